"""`pipeline run`, `tables` and `settings`."""

from __future__ import annotations

import datetime as dtm
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.tables.nodes import ExportDef, TableDef
from assay.tables.partitions import PartitionRange, touched
from assay.terminal import console, say
from assay.words import rows_told

if TYPE_CHECKING:
    from rich.console import Console

    from assay.build import Progress
    from assay.orchestration.execute import RunSummary
    from assay.project import Project
    from assay.tables.results import CheckResult


@click.command()
@click.argument("names", nargs=-1, metavar="[TABLE]...")
@click.option("--upstream/--no-upstream", default=False, help="Also build everything the tables depend on.")
@click.option("--downstream/--no-downstream", default=False, help="Also build everything that depends on them.")
@click.option("--partition", "partition_text", metavar="DAY|START..END", help="Only these days of partitioned tables.")
@click.option("--full", is_flag=True, help="Incremental tables take all rows, not only those since their watermark.")
@click.option(
    "--traceback", "with_traceback", is_flag=True, help="Show the whole traceback of errors, values included."
)
@click.pass_obj
def run(
    project: Project,
    names: tuple[str, ...],
    upstream: bool,
    downstream: bool,
    partition_text: str | None,
    full: bool,
    with_traceback: bool,
) -> None:
    """Build tables and publish what passes its audit; without TABLE, all of them.

    Exit codes: 0 done, 1 data broke a rule, 2 error, 130 Ctrl-C, 143 SIGTERM.
    """
    from assay.orchestration.execute import execute

    partition = PartitionRange.parse(partition_text) if partition_text else None
    graph = project.graph
    chosen = [graph.get(name).name for name in names] or list(graph.nodes)
    if upstream:
        chosen = graph.closure(chosen)
    if downstream:
        chosen = graph.downstream(chosen)
    if partition is not None:
        chosen = touched(partition, (graph.get(name) for name in chosen), dtm.datetime.now(dtm.UTC))
    out = console(markup=True)
    printer = ProgressPrinter(out, len(chosen))
    summary = execute(project, chosen, partition=partition, full=full, on_progress=printer)
    if with_traceback:
        for error in summary.errors.values():
            say("".join(traceback.format_exception(error)), err=True)
    print_summary(out, project, summary)
    if summary.interrupted is not None:
        raise summary.interrupted
    sys.exit(summary.exit_code)


SHOWN = 3
"""How many offending rows of a check the command line shows."""


class ProgressPrinter:
    """One line a node: place, name, all its rows, rejects, seconds, and what was built where that is not all of it."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.numbers: dict[str, int] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.kind == "start":
            if self.console.is_terminal:
                self.console.print(f"  ...  {progress.node.stage}.{progress.node.name}", end="\r", style="dim")
            return
        again = progress.node.name in self.numbers  # a source is tried again
        number = self.numbers.setdefault(progress.node.name, len(self.numbers) + 1)
        place = f"{number:>3}/{self.total}"
        name = f"{progress.node.stage}.{progress.node.name}"
        found = progress.publication
        if progress.kind == "failed":
            self.console.print(f"{place}  [red]FAILED[/red]  {name}{' again' if again else ''}")
            self.console.print(f"         {progress.error}", markup=False)
            for check in found.checks if found is not None else ():
                if check.blocks and check.sample_sql:
                    self._print_rows(check)
        elif isinstance(progress.node, ExportDef) and found is not None:
            self.console.print(
                f"{place}  {name:<38} {(found.bytes or 0) / 1024:>11,.0f} KB {'':<20} {found.seconds:6.2f} s"
            )
        elif found is not None:
            rejected = f"{found.rejected:,} rejected" if found.rejected else ""
            first, *others = (found.partition or "").split(",")
            built = f"  only {first}{f' and {len(others)} more' if others else ''}" if first else ""
            built += (
                f"  {', '.join(new)}" if (new := [f"{n:,} {what}" for what, n in found.changes.items() if n]) else ""
            )
            counted = f"{found.rows:>11,} rows  {rejected:<18} {found.seconds:6.2f} s"
            self.console.print(f"{place}  {name:<38} {counted}{built}", markup=False)

    def _print_rows(self, check: CheckResult) -> None:
        for row in check.such_as(SHOWN):
            self.console.print(f"         {row}", markup=False)
        self.console.print(f"         {check.name} finds its rows with: {check.sample_sql}", markup=False)


def print_summary(console: Console, project: Project, summary: RunSummary) -> None:
    """The tables with their checks, where things are, and what to try next."""
    from rich.markup import escape

    settings = project.settings()
    checks = [check for found in summary.publications.values() for check in found.checks]
    warned = [
        (name, check)
        for name, found in summary.publications.items()
        for check in found.checks
        if not check.passed and check.severity == "warn"
    ]
    if warned:
        console.print("\nPublished, and worth knowing:")
        width = max(len(f"{name}.{check.name}") for name, check in warned)
        for name, check in warned:
            label = f"{name}.{check.name}"
            console.print(f"  [yellow]{label:<{width}}[/yellow]  {escape(check.summary)}")
    passed = sum(check.passed for check in checks)
    published = [found for found in summary.publications.values() if not found.failed]
    rejected = sum(found.rejected for found in summary.publications.values())
    console.print()
    console.print(
        f"{len(published)} published, {len(summary.errors)} failed, {len(summary.skipped)} skipped "
        f"in {summary.seconds:.1f} s; {passed} of {len(checks)} checks passed, {len(warned)} warned; "
        f"{rows_told(rejected)} rejected"
    )
    if settings.env == "dry_run":
        console.print("dry run: nothing real was written")
    else:
        console.print(f"warehouse  {_short(project, settings.warehouse)}")
        for found in published:
            if found.path:
                console.print(f"{found.table:<10} {_short(project, found.path)}")
    if not summary.errors:
        command = _own_command()
        console.print(f"\nNext:  {'make dev':<28} the lineage and the checks in Dagster's UI")
        console.print(f"       {f'{command} golden':<28} expected input, expected output, on the real code")
        console.print(f"       {f'{command} plan':<28} what a run would change, without writing")


def _own_command() -> str:
    """How the reader can call this command: by its name, or from an environment that is not activated."""
    own = Path(sys.executable).with_name("pipeline")
    if shutil.which("pipeline") or not own.is_relative_to(Path.cwd()):
        return "pipeline"
    return str(own.relative_to(Path.cwd()))


def _short(project: Project, path: object) -> str:
    full = Path(str(path))
    return str(full.relative_to(project.root)) if full.is_relative_to(project.root) else str(full)


@click.command()
@click.pass_obj
def tables(project: Project) -> None:
    """List the tables in the order they are built: the grain of each, and what it reads."""
    for node in project.graph:
        kind = "" if isinstance(node, TableDef) else f"  -> {node.path}"
        say(f"{node.stage}.{node.name}{kind}")
        say(f"    {node.grain}")
        if node.upstream:
            say(f"    reads {', '.join(node.upstream)}")


@click.command()
@click.pass_obj
def settings(project: Project) -> None:
    """List every setting with its value, default and meaning; addresses are shown without user and password."""
    from assay.sources.addresses import shown

    current = project.settings()
    for variable, (default, description) in type(current).variables().items():
        name = variable.removeprefix(current.prefix).lower()
        value = getattr(current, name, None)
        if name.startswith("source_"):
            value = current.locations.get(name.removeprefix("source_"))
            value = value and shown(value)
        say(f"{variable}={'' if value is None else value}")
        say(f"    {description} Default: {default or 'none'}.")
