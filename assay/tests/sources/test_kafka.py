"""Against the mock cluster that librdkafka itself brings: real protocol, real sockets, no broker to install."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from assay.errors import SourceError, SourceUnavailable
from assay.sources.events import EventLog
from assay.sources.kafka import KafkaLog

confluent_kafka = pytest.importorskip("confluent_kafka")

COLUMNS = {"id": "INTEGER", "event_partition": "INTEGER", "event_offset": "BIGINT"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, Any]]:
    producer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0, "linger.ms": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    yield "kafka://" + ",".join(f"{broker.host}:{broker.port}" for broker in brokers), producer
    producer.flush(10)


@pytest.fixture
def base(cluster: tuple[str, Any]) -> str:
    return cluster[0]


@pytest.fixture
def produce(cluster, request) -> Callable[..., str]:
    """Writes to a topic of this test alone; returns its name."""
    topic: str = request.node.name.replace("[", "_").replace("]", "")

    def run(*events: str, partition: int = 0) -> str:
        for event in events:
            cluster[1].produce(topic, event.encode(), partition=partition)
        assert cluster[1].flush(10) == 0
        return topic

    return run


def test_events_come_in_order_and_only_once(land, base, produce):
    topic = produce(*(f'{{"id": {number}}}' for number in range(50)))
    produce('{"id": 100}', partition=2)
    found = land(EventLog("shop", topic), base, COLUMNS)
    assert found.rows == [*((number, 0, number) for number in range(50)), (100, 2, 0)]
    assert {partition: offset for partition, offset in found.landed.offsets.items() if offset} == {0: 50, 2: 1}
    produce('{"id": 50}')
    again = land(EventLog("shop", topic), base, COLUMNS, offsets=found.landed.offsets)
    assert again.rows == [(50, 0, 50)]
    assert land(EventLog("shop", topic), base, COLUMNS, offsets=again.landed.offsets).rows == []


def test_a_batch_is_bounded_and_the_rest_waits(land, base, produce):
    topic = produce(*('{"id": 1}' for _ in range(7)))
    source = EventLog("shop", topic, limit=3)
    found = land(source, base, COLUMNS)
    assert len(found.rows) == 3
    assert found.landed.offsets[0] == 3
    assert source.lag(base, found.landed.offsets) == 4
    assert len(land(source, base, COLUMNS, offsets={0: 3}).rows) == 3
    assert len(land(source, base, COLUMNS, offsets={0: 6}).rows) == 1


def test_nothing_is_committed_to_kafka(land, base, produce):
    topic = produce('{"id": 1}')
    assert land(EventLog("shop", topic), base, COLUMNS).rows == land(EventLog("shop", topic), base, COLUMNS).rows


def test_malformed_events_are_kept(land, base, produce):
    topic = produce('{"id": 1}', '{"id": ', '{"id": "x"}', "", '{"id": 2}')
    found = land(EventLog("shop", topic), base, COLUMNS)
    assert [row[0] for row in found.rows] == [1, 2]
    assert found.reasons == [("event.json", 1), ("event.cast", 2), ("event.json", 3)]


def test_the_fingerprint_follows_the_ends(land, base, produce):
    topic = produce('{"id": 1}')
    found = land(EventLog("shop", topic), base, COLUMNS)
    assert EventLog("shop", topic).fingerprint(base) == found.landed.fingerprint
    produce('{"id": 2}')
    assert EventLog("shop", topic).fingerprint(base) != found.landed.fingerprint


def test_an_offset_beyond_the_end(land, base, produce):
    topic = produce('{"id": 1}')
    with pytest.raises(
        SourceError, match=rf"kafka://.*/{topic}, partition 0: offset 9 was expected next, but .* ends at 1"
    ):
        land(EventLog("shop", topic), base, COLUMNS, offsets={0: 9})


def test_an_offset_that_is_gone(base, produce, monkeypatch):
    """The mock cluster has no retention, so the bounds are told."""
    topic = produce('{"id": 1}')
    monkeypatch.setattr(KafkaLog, "_bounds", lambda *_: (5, 9))
    with pytest.raises(SourceError, match="offset 2 is gone: the log now starts at 5"), KafkaLog(base, topic) as log:
        list(log.read({0: 2}, 10))


def test_a_partition_that_is_gone(land, base, produce):
    with pytest.raises(SourceError, match="partition 99 is gone"):
        land(EventLog("shop", produce('{"id": 1}')), base, COLUMNS, offsets={99: 1})


def test_a_topic_that_was_replaced_is_no_lag_of_nothing(base, produce):
    source = EventLog("shop", produce('{"id": 1}'))
    assert source.lag(base, {0: 1}) == 0
    with pytest.raises(SourceError, match="offset 9 was expected next, but the log ends at 1"):
        source.lag(base, {0: 9})
    with pytest.raises(SourceError, match="partition 99 is gone"):
        source.lag(base, {99: 1})


def test_a_partition_that_stays_silent(base, produce, monkeypatch):
    topic = produce('{"id": 1}')
    with KafkaLog(base, topic, patience=5.0) as log:
        monkeypatch.setattr(log, "_bounds", lambda *_: (0, 2))
        monkeypatch.setattr(log, "_consumer", _Silent(log._consumer))
        with pytest.raises(SourceUnavailable, match="partition 0 is silent at offset 0 of 2"):
            list(log.read({}, 10))


class _Silent:
    """A consumer that never gets a message."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def poll(self, _: float) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def test_nobody_listens():
    with pytest.raises(SourceUnavailable, match=r"kafka://127\.0\.0\.1:1/sold: .*transport failure"):
        KafkaLog("kafka://127.0.0.1:1", "sold", patience=0.2).ends()


def test_a_setting_that_is_none():
    with pytest.raises(SourceError, match="No such configuration property") as raised:
        KafkaLog("kafka://127.0.0.1:1?colour=red", "sold")
    assert not isinstance(raised.value, SourceUnavailable)


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(SourceError, match=r"needs the package confluent-kafka\. pip install 'dagster-assay\[kafka\]'"):
        EventLog("shop", "sold").fingerprint("kafka://127.0.0.1:1")
