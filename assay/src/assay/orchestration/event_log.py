"""Dagster's event log in SQLite, which writes events that come together in one transaction.

Dagster's own opens the file, prepares a statement, waits for the disk and closes the file again, three times for
every event. It has a way to hand over many at once (`DAGSTER_EVENT_BATCH_SIZE`), which its storage in SQLite takes one
by one: a backfill of ten years of days is 7,300 events for each table. What is written is the same.
"""

from __future__ import annotations

import datetime as dtm
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES, RunsFilter
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import serialize_value
from sqlalchemy import create_engine, func, inspect, select, text

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.events.log import EventLogEntry
    from sqlalchemy.engine import Connection, Engine

AT_ONCE = 500
"""So many events are written in one transaction, for whose length other writers wait."""


RETIRED_AT_ONCE = 200
"""How many runs one run retires: the first on an old history must not take minutes."""


_from_config = ScriptDirectory.from_config
_read: dict[str, ScriptDirectory] = {}


def _once(config: Config) -> ScriptDirectory:
    """Dagster's 89 migrations, read once a process: it reads them whenever it opens a file, to know which is the newest."""
    place = config.get_main_option("script_location") or ""
    if not place.startswith("dagster"):
        return _from_config(config)
    if place not in _read:
        _read[place] = _from_config(config)
    return _read[place]


ScriptDirectory.from_config = staticmethod(_once)  # type: ignore[method-assign]  # Dagster asks nobody else


class EventLog(SqliteEventLogStorage):
    """For `dagster.yaml`. It stands where Dagster's own does: in the folder `history/runs` of the instance."""

    def __init__(self, base_dir: str | None = None, inst_data: Any = None) -> None:
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(AT_ONCE))
        self._thread = threading.local()
        self._inst_data = inst_data
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

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        with self.together():
            if not all(event.dagster_event_type in ASSET_EVENTS | ASSET_CHECK_EVENTS for event in events):
                super().store_event_batch(events)
                return
            rows = [self._event_to_row(event) for event in events]
            with self.run_connection(events[0].run_id) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)
            with self.index_connection() as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)
                # Nobody else has written since the transaction's first row.
                last = connection.execute(select(func.max(SqlEventLogStorageTable.c.id))).scalar_one()
                numbered = list(zip(events, range(last - len(rows) + 1, last + 1), strict=True))
                of_assets = [each for each in numbered if each[0].dagster_event_type in ASSET_EVENTS]
                self._store_asset_event_tags(
                    connection, [each[0] for each in of_assets], [each[1] for each in of_assets]
                )
                # An asset's own row tells of its last event of a kind.
                for event, number in {
                    (e.dagster_event_type, e.get_dagster_event().asset_key): (e, n) for e, n in of_assets
                }.values():
                    self._store_asset_event(connection, event, number)
            for event, number in numbered:
                if event.dagster_event_type in ASSET_CHECK_EVENTS:
                    self.store_asset_check_event(event, number)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Dagster's writes the event anew for each partition, all in one statement: more than SQLite takes of 4,096."""
        planned: Any = event.get_dagster_event().event_specific_data
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": dtm.datetime.fromtimestamp(event.timestamp, dtm.UTC).replace(tzinfo=None),
            "evaluation_event_storage_id": event_id,
        }
        keys = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
        with self.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.insert(), [{**row, "partition": key} for key in keys])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what this thread writes in the block in one transaction a file; other threads write as always."""
        if getattr(self._thread, "joined", None) is not None:
            yield
            return
        with ExitStack() as stack:
            self._thread.joined = stack, {}
            try:
                yield
            finally:
                self._thread.joined = None

    def retire(self, keep: int) -> None:
        """Remove the logs of finished runs but the newest `keep`, and but those that built an asset last.

        What is said of assets, their partitions and checks stays in the catalog: only a run's own page goes.
        """
        instance = self._instance
        old = instance.get_run_ids(RunsFilter(statuses=FINISHED_STATUSES))[keep:]
        if not old:
            return
        with self.index_connection() as connection:
            newest = {row[0] for row in connection.execute(text("SELECT last_run_id FROM asset_keys"))}
        for run_id in [run_id for run_id in reversed(old) if run_id not in newest][:RETIRED_AT_ONCE]:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            shard = Path(self.path_for_shard(run_id))
            for file in (shard, *(shard.with_name(shard.name + ending) for ending in ("-wal", "-shm"))):
                file.unlink(missing_ok=True)
            shutil.rmtree(Path(instance.storage_directory()) / run_id, ignore_errors=True)
            # Last, so that what a killed process has not removed is found again.
            instance.run_storage.delete_run(run_id)

    def run_connection(self, run_id: str | None = None) -> Any:
        return self._connection(INDEX_SHARD_NAME if run_id is None else run_id)

    def index_connection(self) -> Any:
        return self._connection(INDEX_SHARD_NAME)

    def _connection(self, shard: str) -> Any:
        joined = getattr(self._thread, "joined", None)
        if joined is None:
            return self._connect(shard)
        stack, held = joined
        if shard not in held:
            held[shard] = stack.enter_context(self._begun(shard))
        return nullcontext(held[shard])

    @contextmanager
    def _begun(self, shard: str) -> Iterator[Connection]:
        with self._engine(shard) as engine, engine.begin() as connection:
            yield connection

    @contextmanager
    def _engine(self, shard: str) -> Iterator[Engine]:
        engine = self._made(shard)
        try:
            yield engine
        finally:
            engine.dispose()

    def _made(self, shard: str) -> Engine:
        with super()._connect(shard):
            pass  # makes the file with its tables, if it is new
        return create_engine(self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})


class HeldOpen(EventLog):
    """The same for one run: its files stay open until `dispose`. Servers look at thousands of runs, and close them."""

    def __init__(self, base_dir: str | None = None, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    def has_table(self, table_name: str) -> bool:
        if not self._tables:
            with self.index_connection() as connection:
                self._tables = set(inspect(connection).get_table_names())
        return table_name in self._tables

    def dispose(self) -> None:
        super().dispose()
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _connect(self, shard: str) -> Any:
        return self._begun(shard)

    @contextmanager
    def _engine(self, shard: str) -> Iterator[Engine]:
        if shard not in self._engines:
            self._engines[shard] = self._made(shard)
        yield self._engines[shard]
