"""Run the `pipeline` job in this process, on the project's Dagster instance, so that the UI's history is whole."""

from __future__ import annotations

import re
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterEventType

from assay.build import Progress
from assay.errors import Interrupted, PipelineError
from assay.interrupts import noted
from assay.orchestration import history, origin, processes
from assay.orchestration.home import dagster_home
from assay.orchestration.jobs import PIPELINE
from assay.orchestration.tags import FULL_TAG, PARTITION_TAG
from assay.progress import listening
from assay.tables.results import Publication

if TYPE_CHECKING:
    from assay.project import Project
    from assay.tables.partitions import PartitionRange


@dataclass
class RunSummary:
    """What one run did.

    Attributes:
        publications: by name, failed audits included, in the order they ran.
        errors: by name.
        skipped: names not built because something upstream failed, or the run was interrupted.
        started: names whose building began, each as often as something was said of it.
        interrupted: Ctrl-C, SIGTERM or Dagster's *Terminate* ended the run.
    """

    run_id: str
    seconds: float = 0.0
    publications: dict[str, Publication] = field(default_factory=dict)
    errors: dict[str, PipelineError] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    interrupted: Interrupted | None = None
    started: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 data broke a rule, 2 something else failed, 130 or 143 interrupted."""
        if self.interrupted is not None:
            return self.interrupted.exit_code
        return max((error.exit_code for error in self.errors.values()), default=0)


def execute(
    project: Project,
    names: Sequence[str],
    *,
    partition: PartitionRange | None,
    full: bool = False,
    on_progress: Callable[[Progress], None],
) -> RunSummary:
    """Build the nodes `names` through Dagster's `pipeline` job; errors of the data are in the summary.

    Args:
        full: whether incremental tables take all rows.

    Raises:
        PipelineError: settings are wrong, or the run failed outside of any node.
    """
    settings = project.settings()
    home = dagster_home(project.root, dry=settings.env == "dry_run")
    started = time.perf_counter()
    defs = project.dagster_definitions()
    run_id = str(uuid.uuid4())
    summary = RunSummary(run_id)

    def listen(progress: Progress) -> None:
        summary.started.append(progress.node.name)
        if progress.publication is not None:
            summary.publications[progress.node.name] = progress.publication
        if progress.error is not None:
            summary.errors[progress.node.name] = progress.error
        elif progress.kind == "done":
            summary.errors.pop(progress.node.name, None)
        on_progress(progress)

    tags = {PARTITION_TAG: str(partition)} if partition is not None else {}
    tags |= {FULL_TAG: "true"} if full else {}
    with (
        history.told(home),
        history.instance(home) as instance,
        origin.located(instance, project, PIPELINE),
        listening(listen),
        noted() as arrived,
    ):
        result = defs.resolve_job_def(PIPELINE).execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in names],
            run_id=run_id,
            tags={**tags, **origin.terminal_tags(project.root), **processes.process_tag(run_id)},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    summary.seconds = time.perf_counter() - started
    summary.skipped = [name for name in names if name not in summary.publications and name not in summary.errors]
    if not result.success and (arrived.number is not None or _was_interrupted(result)):
        running = " and ".join(name for name in dict.fromkeys(summary.started) if name in summary.skipped)
        summary.interrupted = Interrupted(
            f"interrupted while building {running}; nothing of it was published" if running else "interrupted",
            arrived.number or signal.SIGINT,
            fix="What was published before stays. Run again for the rest.",
        )
    elif not result.success and not summary.errors:
        name, told = _failure(result)
        raise PipelineError(
            told, where=name or "the run", fix=f"The page of run {result.run_id} in `make dev` has the whole traceback."
        )
    return summary


def _was_interrupted(result: object) -> bool:
    """Whether something else than a signal of this process ended the run, such as *Terminate* in the UI."""
    return any(event.event_type is DagsterEventType.RUN_CANCELED for event in getattr(result, "all_events", ()))


def _failure(result: object) -> tuple[str | None, str]:
    """The table whose function raised an exception of its own, if it was one, and the exception with its place."""
    for event in getattr(result, "all_events", ()):
        data = event.event_specific_data
        error = getattr(data, "error", None)
        if event.is_failure and error is not None:
            cause = error.cause or error
            # The last frame of the project's own code says where; Dagster's are about Dagster.
            own = [frame for frame in cause.stack if "site-packages" not in frame and "File " in frame]
            place = re.search(r'File "([^"]+)", line (\d+)', own[-1]) if own else None
            where = f" ({Path(place[1]).name}:{place[2]})" if place else ""
            return event.step_key, f"{' '.join(cause.message.split())}{where}"
    return None, "failed outside of any table"
