"""`pipeline run`, `tables`, `settings` and `open`."""

from __future__ import annotations

import datetime as dtm
import os
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay import notices
from assay.commands.selecting import chosen
from assay.errors import PipelineError
from assay.settings import BaseSettings, is_shown
from assay.tables.nodes import ExportDef, Node, TableDef
from assay.tables.partitions import PartitionRange, touched
from assay.terminal import Live, columns, live, say, styled
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.build import Progress
    from assay.orchestration.execute import RunSummary
    from assay.project import Project
    from assay.tables.results import CheckResult, Publication


@click.command()
@click.argument("words", nargs=-1, metavar="[TABLE]...")
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
    words: tuple[str, ...],
    upstream: bool,
    downstream: bool,
    partition_text: str | None,
    full: bool,
    with_traceback: bool,
) -> None:
    """Build tables and publish what passes its audit; without TABLE, all of them.

    TABLE is a name or a pattern, tag:NAME, owner:NAME, stage:NAME or state:failed|new; with + before it all upstream of it
    is chosen as well, with + behind it all downstream.

    Exit codes: 0 done, 1 data broke a rule, 2 error, 130 Ctrl-C, 143 SIGTERM.
    """
    partition = PartitionRange.parse(partition_text) if partition_text is not None else None
    with live() as screen:
        screen.doing("loading the tables")
        graph = project.graph
        names = chosen(project, words, upstream, downstream) or list(graph.nodes)
        if partition is not None:
            names = touched(partition, (graph.get(name) for name in names), dtm.datetime.now(dtm.UTC))
        first = not project.settings().warehouse.exists()
        screen.doing("starting Dagster")
        from assay.orchestration.execute import execute

        printer = ProgressPrinter(screen, [graph.get(name) for name in names])
        summary = execute(project, names, partition=partition, full=full, on_progress=printer)
    if with_traceback:
        for error in summary.errors.values():
            say("".join(traceback.format_exception(error)), err=True)
    for line in summary_lines(project, summary, first=first):
        say(line)
    if summary.interrupted is not None:
        raise summary.interrupted
    sys.exit(summary.exit_code)


SHOWN = 3
"""How many offending rows of a check the command line shows."""
COUNTED = 51
"""How many columns the place, the counts and the time of a line take; what is left is for the name."""


class ProgressPrinter:
    """One line a node: place, name, all its rows, seconds, rejects, and what was built where that is not all of it.

    Between them the live line says what is built now. Names are unique, so where the terminal is narrow the stage, which
    many share, is left out.
    """

    def __init__(self, screen: Live, nodes: Sequence[Node]) -> None:
        self.screen, self.total = screen, len(nodes)
        self.numbers: dict[str, int] = {}
        self.said: set[str] = set()
        self.running: dict[str, float] = {}
        width = columns(sys.stdout)
        longest = max((len(f"{node.stage}.{node.name}") for node in nodes), default=0)
        self.staged = width is None or longest <= width - COUNTED
        self.width = longest if self.staged else max(len(node.name) for node in nodes)

    def __call__(self, told: Progress) -> None:
        node, found = told.node, told.publication
        name = f"{node.stage}.{node.name}" if self.staged else node.name
        again = told.kind != "start" and node.name in self.numbers  # a source is tried again
        number = self.numbers.get(node.name, len(self.numbers) + 1)
        place = f"{number:>{len(str(self.total))}}/{self.total}"
        if told.kind == "start":
            self.running[name] = time.monotonic()
            self._doing()
            return
        self.running.pop(name, None)
        self.numbers[node.name] = number
        self._doing()
        if told.kind == "failed":
            if str(told.error) in self.said and not again:
                return  # as where the warehouse cannot be opened; the summary names the node
            self.said.add(str(told.error))
            self.screen.say(f"{place}  {styled('FAILED', fg='red', bold=True)}  {name}{' again' if again else ''}")
            for line in [str(told.error), *_rows_lines(found)]:
                self.screen.say(f"{'':>{len(place)}}  {line}")
            return
        if found is None:
            return
        if isinstance(node, ExportDef):
            counted = f"{(found.bytes or 0) / 1024:>10,.0f} KB  "
        else:
            counted = f"{found.rows:>10,} {'row ' if found.rows == 1 else 'rows'}"
        rejected = f"  {found.rejected:,} rejected" if found.rejected else ""
        first, *others = (found.partition or "").split(",")
        built = f"  only {first}{f' and {len(others)} more' if others else ''}" if first else ""
        if found.changes:
            loaded = [f"{rows:,} {what}" for what, rows in found.changes.items() if rows and what != "unchanged"]
            built += f"  {', '.join(loaded) or 'nothing new'}"
        self.screen.say(f"{place}  {name:<{self.width}}  {counted} {found.seconds:7.1f} s{rejected}{built}")

    def _doing(self) -> None:
        """Say what is built now: what began first, and how many more."""
        if not self.running:
            self.screen.doing("writing Dagster's history")
            return
        name, since = next(iter(self.running.items()))
        more = f" and {len(self.running) - 1} more" if len(self.running) > 1 else ""
        place = f"{min(len(self.numbers) + 1, self.total):>{len(str(self.total))}}/{self.total}"
        self.screen.doing(f"{place}  {name}{more}", notices.how_far, since=since)


def _rows_lines(found: Publication | None) -> Iterator[str]:
    for check in found.checks if found is not None else ():
        if check.blocks and check.sample_sql:
            yield from check.such_as(SHOWN)
            yield f"{check.name} finds its rows with: {check.sample_sql}"


def summary_lines(project: Project, summary: RunSummary, *, first: bool = False) -> Iterator[str]:
    """What is worth knowing of the checks, what was not built and why, where things are, and what to try next.

    Args:
        first: whether there was no warehouse before; only then the reader needs to be told what to try.
    """
    settings = project.settings()
    published = [found for found in summary.publications.values() if not found.failed]
    yield from _warnings(published)
    same: dict[str, list[str]] = {}
    for name, error in summary.errors.items():
        same.setdefault(str(error), []).append(f"{project.graph.get(name).stage}.{name}")
    for first_of_them, *others in same.values():
        if others:
            yield f"failed   {', '.join(others)}: as {first_of_them}"
    for name, cause in skipped(project, summary).items():
        yield f"skipped  {name}: {cause}"
    yield ""
    yield _counts(summary, published)
    if settings.env == "dry_run":
        yield "dry run: nothing real was written"
    else:
        yield f"warehouse  {_short(project, settings.warehouse)}"
        for found in published:
            if found.path:
                yield f"{found.table:<9}  {Path(found.path).absolute().as_uri()}"
    if first and summary.exit_code == 0 and settings.env != "dry_run":
        command = _own_command()
        yield ""
        yield f"Next:  {'make open':<{len(command) + 9}}what was made, in the browser"
        yield f"       {'make dev':<{len(command) + 9}}the lineage and the checks in Dagster's UI"
        yield f"       {command} golden  expected input, expected output, on the real code"
        yield f"       {command} plan    what a run would change, without writing"


def _warnings(published: Sequence[Publication]) -> Iterator[str]:
    news = [(found, check) for found in published for check in found.checks if check.warns]
    if news:
        yield ""
        yield "Published, and worth knowing:"
    width = max((len(found.table) for found, _ in news), default=0)
    for found, check in news:
        yield f"  {styled(f'{found.table:<{width}}', fg='yellow')}  {check.summary}"


def skipped(project: Project, summary: RunSummary) -> dict[str, str]:
    """Why each node that was to be built was not."""
    graph = project.graph
    found = {}
    for name in summary.skipped:
        above = graph.closure([name])
        failed = next((other for other in above if other in summary.errors), None)
        full = f"{graph.get(name).stage}.{name}"
        found[full] = f"{failed} failed" if failed else "the run ended before it"
    return found


def _counts(summary: RunSummary, published: Sequence[Publication]) -> str:
    checks: list[CheckResult] = [check for found in summary.publications.values() for check in found.checks]
    verdicts, warned = Counter(check.verdict for check in checks), sum(check.warns for check in checks)
    failed, blocked = len(summary.errors), sum(check.blocks for check in checks)
    told = styled(f"{failed} failed", fg="red", bold=True) if failed else "0 failed"
    parts = [f"{len(published)} published", told, f"{len(summary.skipped)} skipped"]
    judged = [f"{verdicts['passed']} of {len(checks) - verdicts['learning']} checks passed"]
    judged += [f"{verdicts[word]} {word}" for word in ("known", "learning") if verdicts[word]]
    judged += [styled(f"{warned} warned", fg="yellow")] if warned else []
    judged += [styled(f"{blocked} failed", fg="red")] if blocked else []
    rejected = sum(found.rejected for found in summary.publications.values())
    return f"{', '.join(parts)} in {summary.seconds:.1f} s; {', '.join(judged)}; {rows_told(rejected)} rejected"


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
        for known in node.known if isinstance(node, TableDef) else ():
            say(f"    {known.check}: {known}")


@click.command()
@click.option(
    "--env", type=click.Choice(["dev", "prod", "dry_run"]), help="Of this environment; default: PIPELINE_ENV."
)
@click.pass_obj
def settings(project: Project, env: str | None) -> None:
    """List every setting: its value, where it comes from, and what it is for.

    Addresses are shown without user and password, and a project's own settings as *** unless they say that they are
    public. A variable with an environment's name behind it, such as PIPELINE_WAREHOUSE__PROD, and the file .env.prod count
    there alone.
    """
    from assay.sources.addresses import shown

    if env is not None:
        os.environ[f"{BaseSettings.prefix}ENV"] = env

    current = project.settings()
    for variable, (default, description) in type(current).variables().items():
        name = variable.removeprefix(current.prefix).lower()
        value = getattr(current, name, None)
        if name.startswith("source_"):
            value = current.locations.get(name.removeprefix("source_"))
            value = value and shown(value)
        elif value is not None and not is_shown(type(current), name):
            value = "***"
        elif isinstance(value, str) and "://" in value:
            value = shown(value)
        own = current.of_environment.get(current.env, {}).get(name)
        given = current.origins.get(variable)
        origin = f"the default{' of ' + current.env if own else ''}"
        origin = f"from {given}; default {own or default or 'none'}" if given else origin
        say(f"{variable}={'' if value is None else value}  ({origin})")
        say(f"    {description}")


@click.command("open")
@click.argument("names", nargs=-1, metavar="[FILE]...")
@click.pass_obj
def open_(project: Project, names: tuple[str, ...]) -> None:
    """Open what the pipeline made for readers, such as a dashboard, in the browser; without FILE, all of it."""
    import webbrowser

    nodes = [project.graph.get(name) for name in names] or list(project.graph)
    files = {node.name: project.settings().output / node.path for node in nodes if isinstance(node, ExportDef)}
    if not files:
        raise PipelineError("no file is made here", fix="`pipeline tables` lists files as `name -> path`.")
    if missing := [str(path) for path in files.values() if not path.exists()]:
        raise PipelineError("does not exist yet", where=missing[0], fix="Run: pipeline run.")
    for path in files.values():
        address = path.absolute().as_uri()
        say(f"{address}{'' if webbrowser.open(address) else '  (no browser was found)'}")
