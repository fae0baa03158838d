"""`pipeline plan` and `pipeline apply`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay import notices
from assay.commands.selecting import chosen
from assay.errors import PipelineError, PlanError, on_disk
from assay.tables.nodes import MAY_SHRINK
from assay.tables.partitions import PartitionRange
from assay.terminal import live, say, styled

if TYPE_CHECKING:
    from assay.orchestration.applying import Applied
    from assay.plan.model import Plan
    from assay.project import Project

COLOURS = {"danger": "red", "fail": "red", "change": "yellow", "create": "green"}


@click.command()
@click.argument("words", nargs=-1, metavar="[TABLE]...")
@click.option("--upstream/--no-upstream", default=False, help="Also plan everything the tables depend on.")
@click.option("--downstream/--no-downstream", default=False, help="Also plan everything that depends on them.")
@click.option("--partition", "partition_text", metavar="DAY|START..END", help="Only these days of partitioned tables.")
@click.option("--full", is_flag=True, help="Incremental tables take all rows, as `run --full` does.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--details", is_flag=True, help="Also all rows that were kept, all code that changed, metrics and costs.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write the plan as one HTML page.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Keep the plan for `pipeline apply`.")
@click.option(
    "--removed-limit",
    type=click.FloatRange(0, 1),
    default=MAY_SHRINK,
    show_default=True,
    help="The share of a table's rows whose removal is told as destructive.",
)
@click.pass_obj
def plan(
    project: Project,
    words: tuple[str, ...],
    upstream: bool,
    downstream: bool,
    partition_text: str | None,
    full: bool,
    as_json: bool,
    details: bool,
    html: Path | None,
    out: Path | None,
    removed_limit: float,
) -> None:
    """Show what a run would change, without writing; without TABLE, everything that calls for a build.

    TABLE is a name or a pattern, tag:NAME, owner:NAME, stage:NAME or state:failed|new; with + before it all upstream of it
    is chosen as well, with + behind it all downstream.

    Exit codes: 0 nothing changes, 2 changes, 1 error, 3 a blocking check would fail.
    """
    with _exit_code_1(), live() as screen:
        screen.doing("loading the tables")
        from assay.plan.kept import to_json
        from assay.plan.planner import make_plan

        partition = PartitionRange.parse(partition_text) if partition_text is not None else None
        names = chosen(project, words, upstream, downstream)
        made = make_plan(
            project,
            names,
            partition=partition,
            full=full,
            removed_limit=removed_limit,
            on_node=lambda node: screen.doing(f"planning {node.stage}.{node.name}", notices.how_far),
        )
        if out is not None:
            _write(out, to_json(made))
        if html is not None:
            from assay.report.plan_page import render_page

            _write(html, render_page(made))
    say(to_json(made) if as_json else f"{_text(made, details)}\n", nl=False, whole=as_json)
    if out is not None and not as_json:
        say(f"Kept: pipeline apply {out}")
    sys.exit(made.exit_code)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def apply(project: Project, file: Path) -> None:
    """Run exactly what the kept plan FILE shows, or refuse if code, sources or tables moved since.

    Exit codes: 0 the result is the plan, 1 refused or another result, 3 a blocking check failed, 130 Ctrl-C, 143 SIGTERM.
    """
    with _exit_code_1(), live() as screen:
        screen.doing("starting Dagster")
        from assay.commands.run_commands import ProgressPrinter
        from assay.orchestration.applying import apply_plan
        from assay.plan.kept import read_plan

        kept = read_plan(file)
        if kept.build:
            say(f"Applying the plan of {kept.created_at}. {kept.footer}")
        nodes = project.graph.nodes
        printer = ProgressPrinter(screen, [nodes[node.name] for node in kept.build if node.name in nodes])
        applied = apply_plan(project, kept, on_progress=printer)
    _report(applied)
    if applied.interrupted is not None:
        raise applied.interrupted
    sys.exit(applied.exit_code)


def _text(made: Plan, details: bool) -> str:
    from assay.plan.text import render

    def style(text: str, kind: str) -> str:
        return styled(text, fg=COLOURS.get(kind), bold=kind in ("danger", "fail"), dim=kind == "dim")

    return render(made, style, details=details)


def _report(applied: Applied) -> None:
    say()
    for outcome in applied.outcomes:
        name = f"{outcome.planned.stage}.{outcome.planned.name}"
        if outcome.problems:
            say(f"{styled('not as planned', fg='red', bold=True)}  {name}: {'; '.join(outcome.problems)}")
        else:
            rows = f"  {outcome.rows:,} rows" if outcome.planned.rows is not None else ""
            dated = "  but for when versions begin and end: now, not when it was planned" if outcome.dated else ""
            say(f"{styled('as planned', fg='green')}  {name}{rows}{dated}")
    if not applied.outcomes:
        say("Nothing to apply: the plan changes nothing.")
    elif applied.as_planned:
        say(f"Applied in {applied.seconds:.1f} s: the result is the plan.")
    else:
        say(f"Applied in {applied.seconds:.1f} s: the result is NOT the plan.")


def _write(path: Path, text: str) -> None:
    from assay.disk import write_atomically

    with on_disk(PlanError, "cannot be written", where=str(path)):
        write_atomically(path, text.encode())


@contextlib.contextmanager
def _exit_code_1() -> Iterator[None]:
    """A foreseen error leaves with 1: 2 says that the plan has changes."""
    try:
        yield
    except PipelineError as error:
        say(f"{styled('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(1)
