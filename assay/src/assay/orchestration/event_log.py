"""Dagster's event log in SQLite, which writes events that come together in one transaction.

Dagster's own opens the file, prepares a statement, waits for the disk and closes the file again, three times for
every event. It has a way to hand over many at once (`DAGSTER_EVENT_BATCH_SIZE`), which its storage in SQLite takes one
by one: a backfill of ten years of days is 7,300 events for each table. What is written is the same.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import AssetKey
from dagster._core.event_api import EventLogRecord
from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    DagsterEvent,
    DagsterEventType,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import bindparam, create_engine, func, select
from sqlalchemy.dialects import sqlite

from assay.orchestration import alike, migrations

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.events.log import EventLogEntry
    from sqlalchemy.engine import Connection, Engine

migrations.read_once()
AT_ONCE = 500
"""So many events are written in one transaction, for whose length other writers wait."""
SOON = 0.25
"""So many seconds an event of a run waits for others, unless it is read, or ends or begins the run."""

OF_RUNS = frozenset(EVENT_TYPE_TO_PIPELINE_RUN_STATUS)
OF_ASSETS, OF_CHECKS = ({kind.value for kind in kinds} for kinds in (ASSET_EVENTS, ASSET_CHECK_EVENTS))
INDEXED = {kind.value for kind in OF_RUNS} | OF_ASSETS | OF_CHECKS
"""What is asked of all runs, and stands in a file of its own as well."""
_CHECKS = AssetCheckExecutionsTable.c
EVALUATED = AssetCheckExecutionsTable.update().where(
    _CHECKS.asset_key == bindparam("of_asset"),
    _CHECKS.check_name == bindparam("of_check"),
    _CHECKS.run_id == bindparam("of_run"),
    _CHECKS.partition.is_not_distinct_from(bindparam("of_part")),
)


@dataclass(frozen=True)
class _Numbered:
    """An event as it stands in the file of all runs."""

    event: EventLogEntry
    row: dict[str, Any]
    id: int

    @property
    def told(self) -> DagsterEvent:
        return self.event.get_dagster_event()

    @property
    def kind(self) -> str | None:
        return self.row["dagster_event_type"]


class EventLog(SqliteEventLogStorage):
    """For `dagster.yaml`. It stands where Dagster's own does: in the folder `history/runs` of the instance."""

    def __init__(self, base_dir: str | None = None, inst_data: Any = None) -> None:
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(AT_ONCE))
        self._thread = threading.local()
        self._inst_data = inst_data
        self._engines: dict[str, Engine] | None = None
        self._waiting: list[EventLogEntry] = []
        self._built: dict[str, EventLogRecord] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        if base_dir is not None:
            super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> EventLog:
        return cls(inst_data=inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        # Only now it is known where the instance is: DAGSTER_HOME need not be set.
        if not hasattr(self, "_base_dir"):
            super().__init__(f"{instance.root_directory}/history/runs", self._inst_data)
        super().register_instance(instance)

    def store_event(self, event: EventLogEntry) -> None:
        if self._engines is None or self._joined is not None:
            self.store_event_batch([event])
            return
        with self._lock:
            self._waiting.append(event)
            if event.dagster_event_type in OF_RUNS or len(self._waiting) >= AT_ONCE:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(SOON, self._flush_in_time)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write the events that wait."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            try:
                self.store_event_batch(waiting)
            except BaseException:
                self._waiting[:0] = waiting
                raise

    def _flush_in_time(self) -> None:
        with self._lock:
            self._timer = None
            with suppress(Exception):  # who writes or reads next meets it too, and can say so
                self.flush()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        for run_id, found in groupby(events, key=lambda event: event.run_id):
            of_run = [*alike.rows(found, self._event_to_row, self._event_insert_timestamp)]
            with self.together():
                with self.run_connection(run_id) as connection:
                    connection.execute(SqlEventLogStorageTable.insert(), [row for _, row in of_run])
                if indexed := [each for each in of_run if each[1]["dagster_event_type"] in INDEXED]:
                    self._index(indexed)

    def _index(self, events: list[tuple[EventLogEntry, dict[str, Any]]]) -> None:
        """Write the events, with their rows, into the file of what is asked of all runs."""
        with self.index_connection() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [row for _, row in events])
            # Nobody else has written since the transaction's first row.
            last = connection.execute(select(func.max(SqlEventLogStorageTable.c.id))).scalar_one()
            numbered = [
                _Numbered(event, row, number) for number, (event, row) in enumerate(events, last - len(events) + 1)
            ]
            self._note_assets(connection, [each for each in numbered if each.kind in OF_ASSETS])
            checks = [each for each in numbered if each.kind in OF_CHECKS]
            for kind, of_kind in groupby(checks, key=lambda each: each.kind):
                if kind == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value:
                    self._note_planned(connection, [*of_kind])
                elif kind == DagsterEventType.ASSET_CHECK_EVALUATION.value:
                    self._note_evaluated(connection, [*of_kind])

    def _note_assets(self, connection: Connection, events: list[_Numbered]) -> None:
        tagged = [each for each in events if not alike.is_untagged(each.event)]
        self._store_asset_event_tags(connection, [each.event for each in tagged], [each.id for each in tagged])
        # An asset's own row tells of its last event of a kind.
        last = {(each.kind, each.row["asset_key"]): number for number, each in enumerate(events)}
        noted = [
            (each, {"asset_key": each.row["asset_key"], **values})
            for each in (events[number] for number in sorted(last.values()))
            if each.row["asset_key"]
            and (values := self._get_asset_entry_values(each.event, each.id, self._has_columns))
        ]
        for names, changes in groupby((row for _, row in noted), key=tuple):
            insert = sqlite.insert(AssetKeyTable)
            changed = {name: insert.excluded[name] for name in names[1:]}
            connection.execute(insert.on_conflict_do_update(index_elements=names[:1], set_=changed), [*changes])
        if self._engines is not None:
            told = ((each, row.get("last_materialization")) for each, row in noted)
            self._built |= {text: EventLogRecord(each.id, each.event) for each, text in told if text}

    def _get_latest_materialization_records(self, raw_asset_rows: Any) -> Any:
        """Dagster asks for what a step has just built, to name it in its checks: what is known is not unpacked again."""
        found = {
            AssetKey.from_db_string(row["asset_key"]): self._built.get(row["last_materialization"])
            for row in raw_asset_rows
        }
        wiped = any(row["asset_details"] for row in raw_asset_rows)
        return super()._get_latest_materialization_records(raw_asset_rows) if wiped or None in found.values() else found

    def _note_planned(self, connection: Connection, events: list[_Numbered]) -> None:
        """Dagster's writes the event anew for each partition, all in one statement: more than SQLite takes of 4,096."""
        rows = []
        for each in events:
            planned: Any = each.told.event_specific_data
            keys = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
            named = {"asset_key": planned.asset_key.to_string(), "check_name": planned.check_name}
            row = named | {"run_id": each.event.run_id} | self._of_check(each, AssetCheckExecutionRecordStatus.PLANNED)
            rows += [{**row, "partition": key} for key in keys]
        connection.execute(AssetCheckExecutionsTable.insert(), rows)

    def _note_evaluated(self, connection: Connection, events: list[_Numbered]) -> None:
        rows = []
        for each in events:
            done: Any = each.told.event_specific_data
            status = AssetCheckExecutionRecordStatus
            row = self._of_check(each, status.SUCCEEDED if done.passed else status.FAILED)
            row["materialization_event_storage_id"] = getattr(done.target_materialization_data, "storage_id", None)
            named = {"asset": done.asset_key.to_string(), "check": done.check_name, "part": done.partition}
            rows.append(row | {f"of_{name}": value for name, value in {**named, "run": each.event.run_id}.items()})
        if connection.execute(EVALUATED, rows).rowcount != len(rows):  # some were not planned
            for each in events:
                self.store_asset_check_event(each.event, each.id)

    def _of_check(self, each: _Numbered, status: AssetCheckExecutionRecordStatus) -> dict[str, Any]:
        return {
            "execution_status": status.value,
            "evaluation_event": each.row["event"],
            "evaluation_event_timestamp": each.row["timestamp"],
            "evaluation_event_storage_id": each.id,
        }

    @cached_property
    def _has_columns(self) -> bool:
        return self.has_asset_key_index_cols()

    @property
    def _joined(self) -> tuple[ExitStack, dict[str, Connection]] | None:
        return getattr(self._thread, "joined", None)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what this thread writes in the block in one transaction a file; other threads write as always."""
        if self._joined is not None:
            yield
            return
        with ExitStack() as stack:
            self._thread.joined = stack, {}
            try:
                yield
            finally:
                self._thread.joined = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one run: files stay open in the block, and events wait for each other a moment.

        Servers look at thousands of runs, and close them. Whoever reads, in this process, gets all that was stored.
        """
        if self._engines is not None:
            yield
            return
        self._engines = {}
        try:
            yield
        finally:
            with self._lock:
                try:
                    self.flush()
                finally:
                    self._close()
                    self._engines = None

    def _close(self) -> None:
        for engine in (self._engines or {}).values():
            engine.dispose()
        (self._engines or {}).clear()
        self._built.clear()

    def forget(self, run_id: str) -> None:
        """Remove a run's own page. What is said of assets, their partitions and checks stays in the file of all runs."""
        shard = Path(self.path_for_shard(run_id))
        for file in (shard, *(shard.with_name(shard.name + ending) for ending in ("-wal", "-shm"))):
            file.unlink(missing_ok=True)
        shutil.rmtree(Path(self._instance.storage_directory()) / run_id, ignore_errors=True)

    def run_connection(self, run_id: str | None = None) -> Any:
        return self._connection(INDEX_SHARD_NAME if run_id is None else run_id)

    def index_connection(self) -> Any:
        return self._connection(INDEX_SHARD_NAME)

    def _connection(self, shard: str) -> Any:
        if self._joined is None:
            if self._engines is None:
                return self._connect(shard)
            self.flush()
            return self._begun(shard)
        stack, held = self._joined
        if shard not in held:
            held[shard] = stack.enter_context(self._begun(shard))
        return nullcontext(held[shard])

    @contextmanager
    def _begun(self, shard: str) -> Iterator[Connection]:
        engine = (self._engines or {}).get(shard) or self._made(shard)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            if self._engines is None:
                engine.dispose()

    def _made(self, shard: str) -> Engine:
        with super()._connect(shard):
            pass  # makes the file with its tables, if it is new
        url = self.conn_string_for_shard(shard)
        made = create_engine(url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
        if self._engines is not None:
            self._engines[shard] = made
        return made


class HeldOpen(EventLog):
    """The same `held` from the beginning, until `dispose`."""

    def __init__(self, base_dir: str | None = None, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._engines = {}
        self._migrated: set[str] = set()
        for name in ("has_table", "has_asset_key_col"):  # which Dagster asks for each event
            setattr(self, name, cache(getattr(self, name)))

    def dispose(self) -> None:
        try:
            self.flush()
        finally:
            super().dispose()
            self._close()

    def has_secondary_index(self, name: str) -> bool:
        if name not in self._migrated and super().has_secondary_index(name):
            self._migrated.add(name)
        return name in self._migrated
