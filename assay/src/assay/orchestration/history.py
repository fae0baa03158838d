"""Dagster's history in SQLite: made by one process at a time, held open for a run, and rid of runs that died."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import yaml
from alembic.script import ScriptDirectory
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.dagster_run import FINISHED_STATUSES, DagsterRunStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.sqlite import sqlite_run_storage as run_storage
from dagster._core.storage.sql import get_alembic_config
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from assay.errors import PipelineError
from assay.orchestration import processes
from assay.orchestration.event_log import EventLog, HeldOpen


def instance(home: Path, *, bury: bool = True) -> dg.DagsterInstance:
    """Dagster's instance in `home`, as its dagster.yaml has it; a history in SQLite there is held open.

    Runs whose process died are marked as failed. Use as a context manager.

    Args:
        bury: whether they are; else nothing is written.

    Raises:
        PipelineError: the history cannot be read or written.
    """
    config = home / "dagster.yaml"
    with told(home):
        configured = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}) if config.exists() else {}
        if (configured.get("event_log_storage") or {}).get("module") == EventLog.__module__:
            del configured["event_log_storage"]
        if configured.keys() & {"storage", "run_storage", "event_log_storage", "schedule_storage", "instance_class"}:
            made = dg.DagsterInstance.from_config(str(home))
        else:
            made = _in_sqlite(home)
        try:
            if bury:
                bury_the_dead(made)
        except BaseException:
            made.dispose()
            raise
    return made


def _in_sqlite(home: Path) -> dg.DagsterInstance:
    overrides = {"event_log_storage": {"module": HeldOpen.__module__, "class": HeldOpen.__name__}}
    with (home / ".lock").open("w") as lock:
        # Two processes that make the files at once both write down the version of their tables, each another one,
        # and from then on Dagster refuses every run.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in (home / "history/runs.db", home / "history/runs/index.db", home / "schedules/schedules.db"):
            if file.exists():
                _mend(file)
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


def _mend(file: Path) -> None:
    """Leave one version in a file that two processes made at once; the tables are the newest version's."""
    with closing(sqlite3.connect(file)) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall():
            return
        found = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
        if len(found) > 1:
            config = get_alembic_config(str(Path(run_storage.__file__)))
            head = ScriptDirectory.from_config(config).get_current_head()
            if head in found:
                connection.execute("DELETE FROM alembic_version WHERE version_num <> ?", [head])


@contextmanager
def told(home: Path) -> Iterator[None]:
    """Raise a PipelineError where Dagster's history cannot be read or written, as on a full disk."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads the output has gone; the history is sound
    except (OSError, SQLAlchemyError, sqlite3.Error) as error:
        reason = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
        raise PipelineError(
            f"Dagster's history cannot be read or written: {' '.join(str(reason).split())}",
            where=str(home),
            fix="Free the disk, see who may write there, or set DAGSTER_HOME to another folder.",
        ) from error


PROCESS = ".dagster/pipeline_process"
"""The tag that says which process executes a run; the UI hides what begins like this."""
GOING_ON = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def process_tag(run_id: str) -> dict[str, str]:
    """The tag of a run that this process executes; empty where the system cannot tell processes apart.

    It begins with the run's id: a run that is executed again inherits the tags of the first.
    """
    own = processes.identity()
    return {PROCESS: f"{run_id} {own}"} if own else {}


def claim(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Write down that this process executes `run`, so that its death is noticed."""
    tag = process_tag(run.run_id)
    if any(run.tags.get(name) != value for name, value in tag.items()):
        instance.add_run_tags(run.run_id, tag)


def why_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """What to say of `run` if the process that executes it is gone; None if it lives or nobody can tell."""
    run_id, _, recorded = run.tags.get(PROCESS, "").partition(" ")
    here = isinstance(instance.run_storage, SqliteRunStorage)
    if run_id != run.run_id or not processes.is_dead(recorded, here=here):
        return None
    host, _, _, pid, _ = recorded.split(" ")
    return (
        f"The process of this run, {pid} on {host}, is gone: it was killed, or the machine stopped. "
        "Each of its tables is published whole or not at all; run again."
    )


def bury_the_dead(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose process died without a word: the queue would wait for them for hours."""
    for run in instance.get_runs(dg.RunsFilter(statuses=GOING_ON)):
        message = why_dead(instance, run)
        if message is None:
            continue
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)


AT_ONCE = 200
"""How many runs one run retires: the first on an old history must not take minutes."""


def retire(instance: dg.DagsterInstance, keep: int) -> None:
    """Remove the logs of finished runs but the newest `keep`, and but those that built an asset last.

    What is said of assets, their partitions and checks stays in the catalog: only a run's own page goes.
    A history that is not in SQLite is left to its database.
    """
    log = instance.event_log_storage
    if not isinstance(log, SqliteEventLogStorage):
        return
    old = instance.get_run_ids(dg.RunsFilter(statuses=FINISHED_STATUSES))[keep:]
    if not old:
        return
    with log.index_connection() as connection:
        newest = {row[0] for row in connection.execute(text("SELECT last_run_id FROM asset_keys"))}
    for run_id in [run_id for run_id in reversed(old) if run_id not in newest][:AT_ONCE]:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        shard = Path(log.path_for_shard(run_id))
        for file in (shard, *(shard.with_name(shard.name + ending) for ending in ("-wal", "-shm"))):
            file.unlink(missing_ok=True)
        shutil.rmtree(Path(instance.storage_directory()) / run_id, ignore_errors=True)
        # Last, so that what a killed process has not removed is found again.
        instance.run_storage.delete_run(run_id)


class Launcher(DefaultRunLauncher):
    """Dagster's launcher, which also tells its monitor of runs whose process died, whoever started them."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        message = why_dead(self._instance, run)
        # What cannot be told counts as alive: the monitor would end everything else.
        return CheckRunHealthResult(WorkerStatus.FAILED if message else WorkerStatus.RUNNING, message)


def main() -> None:
    """Make the history ready for `make dev`: one process at a time, and without runs that died."""
    try:
        with instance(Path(sys.argv[1])):
            pass
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
