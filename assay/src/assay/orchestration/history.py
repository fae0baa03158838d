"""Dagster's history in SQLite, with its files held open for the time of a run.

Dagster's own event log opens a file, prepares its statements and closes the file again for every event. That is
right for servers, which look at thousands of runs; a run of some seconds spends a fifth of its time on it. What is
written, and when it is safe on the disk, is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml
from dagster._core.instance import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine, inspect

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine


class HeldOpen(SqliteEventLogStorage):
    """Dagster's SQLite event log, whose files stay open until `dispose`."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> HeldOpen:
        return cls(inst_data=inst_data, **config_value)

    def run_connection(self, run_id: str | None = None) -> Any:
        return self._held(run_id or INDEX_SHARD_NAME)

    def index_connection(self) -> Any:
        return self._held(INDEX_SHARD_NAME)

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

    @contextmanager
    def _held(self, shard: str) -> Iterator[Connection]:
        if shard not in self._engines:
            with self._connect(shard):
                pass  # makes the file with its tables, if it is new
            self._engines[shard] = create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
        with self._engines[shard].begin() as connection:
            yield connection


@contextmanager
def together(instance: dg.DagsterInstance) -> Iterator[None]:
    """Write the many events of the block in one transaction a file; with SQLite each alone waits for the disk.

    Other writers of the history wait for the block; other threads of this process write as always.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage) or "index_connection" in vars(storage):
        yield
        return
    held: dict[str, Connection] = {}
    owner = threading.get_ident()
    with ExitStack() as stack:

        def joined(shard: str | None) -> Any:
            shard = shard or INDEX_SHARD_NAME
            if threading.get_ident() != owner:
                return storage._connect(shard)
            if shard not in held:
                with storage._connect(shard):
                    pass  # makes the file with its tables, if it is new
                engine = create_engine(
                    storage.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
                )
                stack.callback(engine.dispose)
                held[shard] = stack.enter_context(engine.begin())
            return nullcontext(held[shard])

        vars(storage).update(run_connection=joined, index_connection=lambda: joined(None))
        stack.callback(lambda: [vars(storage).pop(name) for name in ("run_connection", "index_connection")])
        yield


def instance(home: Path) -> dg.DagsterInstance:
    """Dagster's instance in `home`, as its dagster.yaml has it; a history in SQLite there is held open.

    Use as a context manager.
    """
    config = home / "dagster.yaml"
    configured = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}) if config.exists() else {}
    if configured.keys() & {"storage", "run_storage", "event_log_storage", "schedule_storage", "instance_class"}:
        return dg.DagsterInstance.from_config(str(home))
    ref = InstanceRef.from_dir(str(home))
    assert ref.event_storage_data is not None
    overrides = {
        "event_log_storage": {
            "module": HeldOpen.__module__,
            "class": HeldOpen.__name__,
            "config": ref.event_storage_data.config_dict,
        }
    }
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))
