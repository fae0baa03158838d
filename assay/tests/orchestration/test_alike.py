"""Materializations of many partitions are serialized once, and written as Dagster would have written each."""

# No `from __future__ import annotations` here: Dagster compares the annotation of `context` by identity.
import json
import random
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, StepMaterializationData
from dagster._core.storage.event_log import SqliteEventLogStorage

from assay.orchestration import alike, history
from assay.orchestration.event_log import EventLog
from assay.orchestration.metadata import PARTITION_ROWS

ASSET = dg.AssetKey("days")
KEYS = {"x": 1, "2026-01-02": 0, 'said "no"': 10**12, "größer": 3, "back\\slash": 1, '", "partition": "': 2, "y": 1}


@dg.asset
def days(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    told = {key: {PARTITION_ROWS: rows} for key, rows in KEYS.items()}
    if isinstance(context.instance.event_log_storage, EventLog):
        alike.materialize(context, ASSET, told)
    else:
        for key, metadata in told.items():
            context.log_event(dg.AssetMaterialization(ASSET, partition=key, metadata=metadata))
    return dg.MaterializeResult(data_version=dg.DataVersion("1"))


def events_in(file: Path, run_id: str) -> list[tuple[Any, ...]]:
    """Type, step, asset and partition of each event in the order they were written, and the event without times and run."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute(
            """SELECT dagster_event_type, step_key, asset_key, partition, event, timestamp FROM event_logs
               WHERE dagster_event_type LIKE 'ASSET%' ORDER BY id"""
        ).fetchall()
    told = []
    for *columns, text, at in found:
        event = json.loads(text.replace(run_id, ""))
        assert abs(datetime.fromisoformat(f"{at}+00:00").timestamp() - event.pop("timestamp")) < 1e-5
        event["dagster_event"].pop("pid")
        told.append((*columns, event))
    return told


def test_partitions_told_at_once_are_what_dagster_writes_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serialized: list[str | None] = []
    real = EventLog._event_to_row

    def counted(self: EventLog, event: dg.EventLogEntry) -> dict[str, Any]:
        serialized.append(event.dagster_event and event.dagster_event.partition)
        return real(self, event)

    monkeypatch.setattr(EventLog, "_event_to_row", counted)
    found = {}
    for name in ("plain", "held"):
        home = tmp_path / name
        home.mkdir()
        with dg.DagsterInstance.local_temp(str(home)) if name == "plain" else history.instance(home) as instance:
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            run_id = dg.materialize([days], instance=instance, run_config=quiet).run_id
            assert instance.get_materialized_partitions(ASSET) == KEYS.keys()
            newest = instance.get_latest_materialization_event(ASSET)
            assert newest is not None
            assert newest.asset_materialization is not None
        files = [home / "history" / "runs" / f"{of}.db" for of in ("index", run_id)]
        found[name] = [newest.asset_materialization.partition, *(events_in(file, run_id) for file in files)]
    assert len(found["plain"][1]) == len(KEYS) + 2, "planned, each partition, and the asset itself"
    assert found["held"] == found["plain"]
    assert [key for key in serialized if key] == ["x", "y"]


@pytest.fixture
def row_of(tmp_path: Path) -> SqliteEventLogStorage:
    return SqliteEventLogStorage(str(tmp_path))


def entry(number: int, **changed: Any) -> dg.EventLogEntry:
    """The event of a partition, as a step logs it."""
    given = {"asset": "a", "partition": f"p{number}", "metadata": {PARTITION_ROWS: number}, "tags": None, "run": "1"}
    given |= changed
    done = dg.AssetMaterialization(
        given["asset"], partition=given["partition"], metadata=given["metadata"], tags=given["tags"]
    )
    data: Any = StepMaterializationData(done)
    kind = "ASSET_MATERIALIZATION"
    if "planned" in given:
        kind, data = f"{kind}_PLANNED", AssetMaterializationPlannedData(done.asset_key, done.partition)
    told = DagsterEvent(kind, "all", event_specific_data=data, message=str(done.asset_key), step_key="a")
    return dg.EventLogEntry(None, 10, "", given["run"], 1e9 + number / 8, "a", "all", told)


OTHERS: list[dict[str, Any]] = [
    {},
    {"asset": "b"},
    {"run": "2"},
    {"partition": None},
    {"metadata": {}},
    {"metadata": {PARTITION_ROWS: 1.5}},
    {"metadata": {PARTITION_ROWS: "1"}},
    {"metadata": {PARTITION_ROWS: 2, "action": "built"}},
    {"metadata": {PARTITION_ROWS: 2, "action": "replaced"}},
    {"metadata": {PARTITION_ROWS: 2, "other": 2}},
    {"planned": True},
    {"planned": True, "asset": "b"},
    {"planned": True, "partition": None},
    {"tags": {"dagster/data_version": "1"}},
    {"tags": {"dagster/data_version": "2"}},
]


@pytest.mark.parametrize("seed", range(8))
def test_events_of_every_kind_in_any_order_are_as_if_alone(seed: int, row_of: SqliteEventLogStorage) -> None:
    chosen = random.Random(seed)
    kinds = [kind for kind in OTHERS for _ in range(4)]
    chosen.shuffle(kinds)
    if seed % 2:
        kinds.sort(key=OTHERS.index)  # so that many of a kind follow each other
    events = [entry(number, **kind) for number, kind in enumerate(kinds)]
    found = [*alike.rows(events, row_of._event_to_row, row_of._event_insert_timestamp)]
    assert found == [(event, row_of._event_to_row(event)) for event in events]


@pytest.mark.parametrize("more", ['"id": {0}', '"partition": "p0", "id": {0}', '"partition": "p0"'])
def test_what_dagster_writes_otherwise_is_left_to_dagster(more: str, row_of: SqliteEventLogStorage) -> None:
    """Should an event hold more of itself than was known, or the same text twice."""

    def other(event: dg.EventLogEntry) -> dict[str, Any]:
        row = row_of._event_to_row(event)
        return {**row, "event": f"{row['event'][:-1]}, {more.format(event.timestamp)}}}"}

    events = [entry(number) for number in range(5)]
    found = [*alike.rows(events, other, row_of._event_insert_timestamp)]
    assert found == [(event, other(event)) for event in events]
