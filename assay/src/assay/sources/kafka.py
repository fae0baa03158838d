"""Kafka as an event log, read by explicit offsets: Kafka is never told what was consumed, the warehouse knows.

Needs the optional extra: `pip install 'dagster-assay[kafka]'`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from assay.errors import SourceError, SourceUnavailable
from assay.sources.addresses import shown
from assay.sources.eventlog import Event

_BATCH = 10_000

# What a cluster says, or is said of it, while a broker restarts or moves a partition; librdkafka's `retriable()`
# is about producers only.
_PASSING = (
    "_ALL_BROKERS_DOWN",
    "_RESOLVE",
    "_TIMED_OUT",
    "_TRANSPORT",
    "BROKER_NOT_AVAILABLE",
    "LEADER_NOT_AVAILABLE",
    "NETWORK_EXCEPTION",
    "NOT_LEADER_FOR_PARTITION",
    "REPLICA_NOT_AVAILABLE",
    "REQUEST_TIMED_OUT",
)


class KafkaLog:
    """One topic, with the same questions as the embedded log. Use as a context manager.

    Kafka's offsets may have holes (compaction, transaction markers), so a hole is no error here; an offset that
    retention has already removed is.

    Args:
        address: `kafka://host:port[,host:port]`, with further librdkafka settings as a query:
            `kafka://host:9093?security.protocol=ssl`.
        patience: seconds without an answer after which the cluster counts as silent.
    """

    def __init__(self, address: str, topic: str, patience: float = 30.0) -> None:
        self.topic, self.patience = topic, patience
        self.reached: dict[int, int] = {}
        self.positions = self.reached
        try:
            parts = urlsplit(address)
        except ValueError:
            raise SourceError("is no address", where=shown(address), fix="Set kafka://host:port.") from None
        self.where = f"{shown(parts._replace(path='', query='', fragment='').geturl())}/{topic}"
        self._kafka = _library(self.where)
        try:
            self._consumer: Any = self._kafka.Consumer(
                {
                    "bootstrap.servers": parts.netloc.rpartition("@")[2],
                    "group.id": "pipeline",  # librdkafka wants one; no group is ever joined
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "isolation.level": "read_committed",
                    "enable.partition.eof": True,
                    "check.crcs": True,
                    "log_level": 0,
                    **dict(parse_qsl(parts.query)),
                }
            )
        except self._kafka.KafkaException as error:
            raise self._failed(error.args[0]) from None

    def __enter__(self) -> KafkaLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def ends(self) -> dict[int, int]:
        """For each partition the offset the next event will get."""
        return {partition: self._bounds(partition)[1] for partition in self._partitions()}

    def lag(self, offsets: Mapping[int, int]) -> int:
        """How many offsets of all partitions are not yet consumed."""
        return sum(end - offset for _, offset, end in self._reachable(offsets))

    def read(self, offsets: Mapping[int, int], limit: int) -> Iterator[Event]:
        """At most `limit` events from `offsets` up to the ends as they are now; `reached` tells how far it came."""
        for partition, offset, end in self._reachable(offsets):
            self.reached[partition] = offset
            if offset < end and limit > 0:
                for event in self._read_partition(partition, offset, end, limit):
                    limit -= 1
                    yield event

    def _read_partition(self, partition: int, offset: int, end: int, limit: int) -> Iterator[Event]:
        position = self._kafka.TopicPartition(self.topic, partition, offset)
        self._consumer.assign([position])
        try:
            while self.reached[partition] < end and limit > 0:
                first = self._consumer.poll(self.patience)
                if first is None:
                    raise SourceUnavailable(
                        f"partition {partition} is silent at offset {self.reached[partition]} of {end}",
                        where=self.where,
                        fix="Check the cluster and run again.",
                    )
                # What has arrived already; asking to wait for a full batch would always wait at the end.
                more = self._consumer.consume(min(limit, _BATCH) - 1, timeout=0) if limit > 1 else []
                for message in [first, *more]:
                    if (error := message.error()) is not None:
                        if error.code() != self._kafka.KafkaError._PARTITION_EOF:
                            raise self._failed(error, f"partition {partition}: ")
                        # Short of `end` where a transaction is still open; past holes otherwise.
                        self.reached[partition] = max(self.reached[partition], message.offset())
                        return
                    if message.offset() >= end:
                        self.reached[partition] = end
                        return
                    self.reached[partition] = message.offset() + 1
                    limit -= 1
                    offset = message.offset()
                    yield Event(partition, offset, message.value() or b"", f"{self.topic}/{partition}", offset)
        finally:
            self._consumer.unassign()

    def _reachable(self, offsets: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
        """Each partition, its next offset and its end; raises SourceError where the topic is not the one that was read."""
        known = self._partitions()
        for partition in offsets:
            if partition not in known:
                raise SourceError(f"partition {partition} is gone", where=self.where, fix="Was the topic replaced?")
        for partition in known:
            start, end = self._bounds(partition)
            offset = offsets.get(partition, start)
            self._check_reach(partition, offset, start, end)
            yield partition, offset, end

    def _check_reach(self, partition: int, offset: int, start: int, end: int) -> None:
        where = f"{self.where}, partition {partition}"
        if offset < start:
            raise SourceError(
                f"offset {offset} is gone: the log now starts at {start}",
                where=where,
                fix="Events were lost to retention.",
            )
        if offset > end:
            raise SourceError(
                f"offset {offset} was expected next, but the log ends at {end}",
                where=where,
                fix="Was the topic replaced?",
            )

    def _partitions(self) -> list[int]:
        try:
            found = self._consumer.list_topics(self.topic, timeout=self.patience).topics[self.topic]
        except self._kafka.KafkaException as error:
            raise self._failed(error.args[0]) from None
        if found.error is not None:
            raise self._failed(found.error)
        return sorted(found.partitions)

    def _bounds(self, partition: int) -> tuple[int, int]:
        try:
            start, end = self._consumer.get_watermark_offsets(
                self._kafka.TopicPartition(self.topic, partition), timeout=self.patience
            )
        except self._kafka.KafkaException as error:
            raise self._failed(error.args[0]) from None
        return start, end

    def _failed(self, error: Any, prefix: str = "") -> SourceError:
        passing = error.code() in {getattr(self._kafka.KafkaError, name) for name in _PASSING}
        return (SourceUnavailable if passing else SourceError)(
            f"{prefix}{error.str().rstrip('.')}", where=self.where, fix="Check the location, the topic and the cluster."
        )


def _library(where: str) -> Any:
    try:
        import confluent_kafka
    except ImportError:
        raise SourceError(
            "reading Kafka needs the package confluent-kafka", where=where, fix="pip install 'dagster-assay[kafka]'."
        ) from None
    return confluent_kafka
