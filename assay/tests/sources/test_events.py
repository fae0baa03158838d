from __future__ import annotations

import json
from decimal import Decimal

import pytest

from assay.errors import SourceError
from assay.sources.events import EventLog
from tests.sources.log import append as append_to

COLUMNS = {"event_offset": "BIGINT", "id": "INTEGER", "price": "DECIMAL(10,2)", "event_partition": "INTEGER"}


@pytest.fixture
def append(tmp_path):
    return lambda *events, partition=0: append_to(tmp_path, "sold", *events, partition=partition)


def test_events_come_with_their_places_and_only_once(land, append, tmp_path):
    append({"id": 1, "price": 1.10}, {"price": "2.20", "id": 2})
    append({"id": 9, "price": None}, partition=1)
    found = land(EventLog("shop", "sold"), tmp_path, COLUMNS)
    assert found.rows == [(0, 1, Decimal("1.10"), 0), (1, 2, Decimal("2.20"), 0), (0, 9, None, 1)]
    assert found.places == [("sold/0.ndjson", 1), ("sold/0.ndjson", 2), ("sold/1.ndjson", 1)]
    assert found.landed.offsets == {0: 2, 1: 1}
    append({"id": 3, "price": 3})
    found = land(EventLog("shop", "sold"), tmp_path, COLUMNS, offsets=found.landed.offsets)
    assert [row[1] for row in found.rows] == [3]
    assert found.landed.offsets == {0: 3, 1: 1}
    assert land(EventLog("shop", "sold"), tmp_path, COLUMNS, offsets=found.landed.offsets).rows == []


def test_a_table_may_leave_the_places_out(land, append, tmp_path):
    append({"id": 1})
    assert land(EventLog("shop", "sold"), tmp_path, {"id": "INTEGER"}).rows == [(1,)]


def test_a_landing_that_is_not_committed_changes_nothing(land, append, tmp_path):
    append({"id": 1, "price": 1})
    first = land(EventLog("shop", "sold"), tmp_path, COLUMNS)
    assert land(EventLog("shop", "sold"), tmp_path, COLUMNS).rows == first.rows


def test_a_batch_is_bounded_and_the_rest_waits(land, append, tmp_path):
    append(*({"id": number, "price": 0} for number in range(5)))
    source = EventLog("shop", "sold", limit=2)
    found = land(source, tmp_path, COLUMNS)
    assert [row[1] for row in found.rows] == [0, 1]
    assert found.landed.offsets == {0: 2}
    assert source.lag(str(tmp_path), found.landed.offsets) == 3


def test_events_that_do_not_fit_are_kept_and_do_not_block_the_rest(land, append, tmp_path):
    append(
        {"id": 1, "price": 1},
        b'{"id": 2',
        b'{"id": 2, "id": 2, "price": 1}',
        b'{"id": "\xe9", "price": 1}',
        {"id": 2},
        {"id": 2, "price": 1, "x": 1},
        {"id": True, "price": 1},
        {"id": "two", "price": 1},
        b"",
        b"[" * 500 + b"]" * 500,
        b'{"id": 2, "price": 1e999999999}',
        {"id": 3, "price": 3},
    )
    found = land(EventLog("shop", "sold"), tmp_path, COLUMNS)
    assert [row[1] for row in found.rows] == [1, 3]
    assert found.reasons == [
        ("event.json", 2),
        ("event.json", 3),
        ("event.json", 4),
        ("event.fields", 5),
        ("event.fields", 6),
        ("event.cast", 7),
        ("event.cast", 8),
        ("event.json", 10),
        ("event.cast", 11),
    ]
    assert json.loads(found.malformed[0][3]) == {"_event": '{"id": 2', "_error": "ends in the middle, at character 8"}
    assert found.landed.offsets == {0: 12}


def test_a_torn_last_event_waits_until_it_is_whole(land, append, tmp_path):
    file = append({"id": 1, "price": 1}, {"id": 2, "price": 2})
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    found = land(EventLog("shop", "sold"), tmp_path, COLUMNS)
    assert found.landed.offsets == {0: 1}
    file.write_bytes(whole)
    assert [row[1] for row in land(EventLog("shop", "sold"), tmp_path, COLUMNS, offsets=found.landed.offsets).rows] == [
        2
    ]


def test_a_log_that_changed_stops_the_landing(land, append, tmp_path):
    file = append({"id": 1, "price": 1})
    offsets = land(EventLog("shop", "sold"), tmp_path, COLUMNS).landed.offsets
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))
    with pytest.raises(SourceError, match=r"sold/0\.ndjson: changed before line 2"):
        land(EventLog("shop", "sold"), tmp_path, COLUMNS, offsets=offsets)


def test_the_fingerprint_follows_the_ends(land, append, tmp_path):
    append({"id": 1, "price": 1})
    append(partition=1)
    source = EventLog("shop", "sold")
    found = land(source, tmp_path, COLUMNS)
    assert source.fingerprint(str(tmp_path)) == found.landed.fingerprint
    append({"id": 2, "price": 1}, partition=1)
    assert source.fingerprint(str(tmp_path)) != found.landed.fingerprint


def test_a_missing_topic(land, tmp_path):
    with pytest.raises(SourceError, match="no such event log"):
        land(EventLog("shop", "nothing"), tmp_path, COLUMNS)
