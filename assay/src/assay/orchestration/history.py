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
import yaml
from alembic.script import ScriptDirectory
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.runs.sqlite import sqlite_run_storage as run_storage
from dagster._core.storage.sql import get_alembic_config
from sqlalchemy.exc import SQLAlchemyError

from assay.errors import PipelineError
from assay.orchestration import postgres, postgres_server, processes
from assay.orchestration.event_log import EventLog, HeldOpen

STORES = {"storage", "run_storage", "event_log_storage", "schedule_storage"}
ELSEWHERE = {*STORES, "instance_class"}
"""What says in a dagster.yaml that the history is not in Dagster's own files."""


def configure(home: Path, root: Path, *, dry: bool) -> None:
    """Let Dagster find the dagster.yaml of `root` in `home`, unless there is one.

    A link, for a copy would go stale. The history of dry runs stays in files of its own wherever the other one is:
    there it would tell of tables that were never built. So it has a copy without the store, renewed each time.
    """
    config, wanted = home / "dagster.yaml", root / "dagster.yaml"
    if not wanted.exists():
        return
    text = wanted.read_text(encoding="utf-8") if dry else ""
    settings = yaml.safe_load(text) or {}
    if settings.keys() & {"storage", "run_storage"}:
        if not config.exists() or config.is_symlink() or config.read_text(encoding="utf-8").startswith(COPIED):
            config.unlink(missing_ok=True)
            kept = {name: value for name, value in settings.items() if name not in STORES}
            config.write_text(f"{COPIED}\n{yaml.safe_dump(kept, sort_keys=False)}", encoding="utf-8")
    elif not config.exists():
        config.unlink(missing_ok=True)  # a link that leads nowhere
        config.symlink_to(wanted)


COPIED = "# Copied from the project's dagster.yaml, without its store: the history of dry runs stays here."


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
        made = _elsewhere(home) if configured.keys() & ELSEWHERE else _in_sqlite(home)
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


@contextmanager
def told(home: Path) -> Iterator[None]:
    """Raise a PipelineError where Dagster's history cannot be read or written, as on a full disk or of a server that went."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads the output has gone; the history is sound
    except Exception as error:
        if (lost := postgres_server.lost(error)) is not None:
            raise lost from error
        if not isinstance(error, OSError | SQLAlchemyError | sqlite3.Error):
            raise
        reason = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
        raise PipelineError(
            f"Dagster's history cannot be read or written: {' '.join(str(reason).split())}",
            where=str(home),
            fix="Free the disk, see who may write there, or set DAGSTER_HOME to another folder.",
        ) from error


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
            configure(home, Path.cwd(), dry=os.environ.get("PIPELINE_ENV") == "dry_run")
        with instance(home):
            pass
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
