"""Dagster's history: in SQLite made by one process at a time, held open for a run, and rid of runs that died."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
from alembic.script import ScriptDirectory
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.runs.sqlite import sqlite_run_storage as run_storage
from dagster._core.storage.sql import get_alembic_config
from sqlalchemy.exc import SQLAlchemyError

from assay.errors import PipelineError
from assay.orchestration import home as homes
from assay.orchestration import postgres, postgres_server, processes
from assay.orchestration.event_log import HeldOpen
from assay.orchestration.home import in_files


@contextmanager
def told(home: Path) -> Iterator[None]:
    """As `home.told`, whatever database the history is in."""
    with homes.told(home, kinds=(SQLAlchemyError,)):
        try:
            yield
        except Exception as error:
            if (lost := postgres_server.lost(error)) is not None:
                raise lost from error
            raise


def instance(home: Path, *, bury: bool = True) -> dg.DagsterInstance:
    """Dagster's instance in `home`, as its dagster.yaml has it; a history in SQLite there is held open.

    Runs whose process died are marked as failed. Use as a context manager.

    Args:
        bury: whether they are; else nothing is written.

    Raises:
        PipelineError: the history cannot be read or written.
    """
    with told(home):
        made = _in_sqlite(home) if in_files(home) else _elsewhere(home)
        try:
            if bury:
                bury_the_dead(made)
        except BaseException:
            made.dispose()
            raise
    return made


def _elsewhere(home: Path) -> dg.DagsterInstance:
    """The instance, where the history is not in Dagster's own files."""
    try:
        ref = InstanceRef.from_dir(str(home))
        if ref.storage_data is not None and ref.storage_data.module_name == postgres.MODULE:
            postgres_server.ask(ref.storage_data)
        made = dg.DagsterInstance.from_ref(ref)
    except dg.DagsterInvalidConfigError as error:
        raise postgres_server.unreadable(error.errors, str(error)) from None
    if postgres.is_history_of(made):
        postgres.hold(made)
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


GOING_ON = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def bury_the_dead(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose process died without a word: the queue would wait for them for hours."""
    for run in instance.get_runs(dg.RunsFilter(statuses=GOING_ON)):
        message = processes.why_dead(instance, run)
        if message is None:
            continue
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)


class Launcher(DefaultRunLauncher):
    """Dagster's launcher, which also tells its monitor of runs whose process died, whoever started them."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        message = processes.why_dead(self._instance, run)
        # What cannot be told counts as alive: the monitor would end everything else.
        return CheckRunHealthResult(WorkerStatus.FAILED if message else WorkerStatus.RUNNING, message)


def main() -> None:
    """Make the history ready for `make dev`: one process at a time, and without runs that died."""
    home = Path(sys.argv[1])
    try:
        with told(home):
            homes.configure(home, Path.cwd(), dry=os.environ.get("PIPELINE_ENV") == "dry_run")
        with instance(home) as made:
            # The daemon warns of what it has not written yet: where in the history it looks for runs to try again.
            keys = {f"EVENT_LOG_CONSUMER_CURSOR-{kind}" for kind in ("PIPELINE_FAILURE", "PIPELINE_SUCCESS")}
            missing = keys - made.daemon_cursor_storage.get_cursor_values(keys).keys()
            if missing:
                newest = made.event_log_storage.get_maximum_record_id() or 0
                made.daemon_cursor_storage.set_cursor_values(dict.fromkeys(missing, str(newest)))
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
