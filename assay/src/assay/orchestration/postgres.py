"""A run whose history is on Postgres, of the extra `postgres`: connections are kept, and old runs give up their page.

Nothing here imports SQLAlchemy: who only loads the code would wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from dagster._core.storage.dagster_run import FINISHED_STATUSES, RunsFilter

if TYPE_CHECKING:
    import dagster as dg

MODULE = "dagster_postgres"
RETIRED_AT_ONCE = 200
"""How many runs one run retires: the first on an old history must not take minutes."""

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


def retire(instance: dg.DagsterInstance, keep: int) -> None:
    """Remove the pages of finished runs but the newest `keep`; what is said of assets and checks stays, as in SQLite."""
    old = instance.get_run_ids(RunsFilter(statuses=FINISHED_STATUSES))[keep:]
    if not old:
        return
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        newest = {row[0] for row in connection.exec_driver_sql("SELECT last_run_id FROM asset_keys")}
        for run_id in [run_id for run_id in reversed(old) if run_id not in newest][:RETIRED_AT_ONCE]:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            connection.exec_driver_sql("DELETE FROM event_logs WHERE run_id = %s AND asset_key IS NULL", (run_id,))
            # Last, so that what a killed process has not removed is found again.
            instance.run_storage.delete_run(run_id)
