"""A run whose history is on Postgres, of the extra `postgres`: connections are kept, and old runs give up their page.

Nothing here imports SQLAlchemy: who only loads the code would wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    import dagster as dg

MODULE = "dagster_postgres"

_held: WeakSet[dg.DagsterInstance] = WeakSet()


def is_history_of(instance: dg.DagsterInstance) -> bool:
    """Whether the history of `instance` is on Postgres."""
    return type(instance.event_log_storage).__module__.startswith(MODULE)


def hold(instance: dg.DagsterInstance) -> None:
    """Keep connections for a run: the storage opens one for each statement, as much work as all that it writes."""
    if instance in _held:
        return
    _held.add(instance)
    instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=20)


def forget(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove a run's own page; what is said of assets and checks stays, as in SQLite."""
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        connection.exec_driver_sql("DELETE FROM event_logs WHERE run_id = %s AND asset_key IS NULL", (run_id,))
