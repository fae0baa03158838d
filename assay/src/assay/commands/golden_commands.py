"""`pipeline golden`: run cases, and decide about new output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.commands import lab_commands as beyond
from assay.commands.coverage_command import coverage
from assay.commands.group import Group
from assay.errors import GoldenError, PipelineError, on_disk
from assay.terminal import live, say, say_json, styled
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.golden.pending import PendingStore
    from assay.golden.result import CaseResult
    from assay.project import Project
    from assay.terminal import Live
    from assay.warehouse.session import Engine


class GoldenGroup(Group):
    """A group that runs cases when its first argument is no subcommand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = bool(args) and args[0] in ctx.help_option_names
        if not asks_for_help and (not args or args[0] not in self.commands):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [CASE[/TABLE]]...")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")


@click.group(cls=GoldenGroup)
def golden() -> None:
    """Run golden cases: expected input, expected output, the real code in between.

    Without CASE, all of them; patterns are allowed. New output waits in golden/.pending until you accept it.
    See `pipeline golden run --help` for the options of a run.

    Exit codes: 0 equal, 1 differs, 2 error, 3 new or orphaned goldens.
    """


golden.add_command(beyond.capture)
golden.add_command(beyond.determinism)
golden.add_command(beyond.mutate)
golden.add_command(coverage)

workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that share the cases; by default one a processor."
)
ci_option = click.option(
    "--ci/--no-ci", envvar="CI", default=False, show_envvar=True, help="Keep nothing: no new output is written."
)


@golden.command("run")
@click.argument("selection", nargs=-1, metavar="[CASE[/TABLE]]...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a report to this file.")
@click.option(
    "--pending-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep new output there, CI or not."
)
@click.option("--every", is_flag=True, help="Also show the differences that follow from others upstream.")
@click.option(
    "--engine",
    type=click.Choice(["duckdb", "spark"]),
    default="duckdb",
    help="What computes the tables and their contracts. Spark, at PIPELINE_SPARK, keeps no new output, and takes one process.",
)
@workers_option
@ci_option
@click.pass_obj
def run(
    project: Project,
    selection: tuple[str, ...],
    as_json: bool,
    html: Path | None,
    pending_dir: Path | None,
    every: bool,
    engine: str,
    workers: int | None,
    ci: bool,
) -> None:
    """Run all cases, or those named."""
    with live() as screen, ExitStack() as stack:
        screen.doing("loading the tables")
        from assay.golden import text
        from assay.golden.pending import PendingStore
        from assay.golden.runner import run_golden
        from assay.golden.workers import processors

        keep = PendingStore(pending_dir) if pending_dir else None if ci else _store(project)
        if engine == "spark":
            keep = None  # what is accepted is what DuckDB computes
        done: list[str] = []

        def on_case(case: CaseResult) -> None:
            if not as_json:
                screen.say(text.case_line(case))
            done.append(case.name)

        _ = project.graph
        spark = stack.enter_context(_spark(project, selection, screen)) if engine == "spark" else None
        screen.doing("running the cases", lambda: f"{len(done)} done")
        result = run_golden(
            project, selection, keep=keep, on_case=on_case, workers=workers or processors(), engine=spark
        )
    if as_json:
        say_json(result.as_dict())
    else:
        for line in [*text.details(result, every=every), *text.summary(result)]:
            say(line)
    if html:
        from assay.disk import write_atomically
        from assay.report.golden_page import page

        with on_disk(GoldenError, "cannot be written", where=str(html)):
            write_atomically(html, page(result).encode())
        say(f"report: {html}", err=as_json)
    sys.exit(result.exit_code)


@golden.command()
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.pass_obj
def pending(project: Project, as_json: bool) -> None:
    """List new output that waits for a decision; exits 3 if there is any."""
    from assay.golden.yaml_file import shown

    store = _store(project)
    waiting = [store.read(case, name) for case, name in store.names()]
    if as_json:
        rows = [
            {"case": p.case, "table": p.table, "name": p.name, "rows": len(p.rows), "refused": p.refused,
             "path": shown(p.path)}
            for p in waiting
        ]  # fmt: skip
        say_json(rows)
    else:
        for each in waiting:
            note = f"cannot be accepted: {each.refused}" if each.refused else rows_told(len(each.rows))
            say(f"{each.address:<50} {note}")
    sys.exit(3 if waiting else 0)


@golden.command()
@click.argument("selection", nargs=-1, metavar="[CASE[/TABLE]]...")
@ci_option
@click.pass_obj
def accept(project: Project, selection: tuple[str, ...], ci: bool) -> None:
    """Make new output the golden: all that is pending, or what is named.

    Of each case all of it is accepted; where a part may not be, nothing is.
    """
    from assay.golden.case import read_case
    from assay.golden.pending import accept as accept_all

    _refuse_in_ci(ci)
    store = _store(project)
    problems = []
    by_case: dict[str, list[str]] = {}
    for case, name in _chosen(store, selection):
        by_case.setdefault(case, []).append(name)
    for case, names in by_case.items():
        try:
            accept_all([store.read(case, name) for name in names], read_case(project.golden / case), project.graph)
            say("\n".join(f"accepted  {case}/{name}" for name in names))
        except GoldenError as error:
            nothing = f"; nothing of {case} was accepted" if len(names) > 1 else ""
            problems.append(GoldenError(f"{error.what}{nothing}", where=error.where, fix=error.fix))
    _raise_all(problems)


@golden.command()
@click.argument("selection", nargs=-1, metavar="[CASE[/TABLE]]...")
@ci_option
@click.pass_obj
def reject(project: Project, selection: tuple[str, ...], ci: bool) -> None:
    """Throw new output away: all that is pending, or what is named. The goldens stay."""
    _refuse_in_ci(ci)
    store = _store(project)
    for case, name in _chosen(store, selection):
        store.drop(case, name)
        say(f"rejected  {case}/{name}")


@golden.command()
@click.argument("selection", nargs=-1, metavar="[CASE[/TABLE]]...")
@ci_option
@click.pass_obj
def review(project: Project, selection: tuple[str, ...], ci: bool) -> None:
    """Walk through new output one by one: accept, reject or skip."""
    from assay.commands.review import introduce
    from assay.contract.contract import Contract
    from assay.golden.case import read_case
    from assay.golden.pending import accept as accept_one

    _refuse_in_ci(ci)
    store = _store(project)
    chosen = _chosen(store, selection)
    problems = []
    for number, (case, name) in enumerate(chosen, start=1):
        try:
            waiting = store.read(case, name)
            found = read_case(project.golden / case)
            say(f"\n[{number}/{len(chosen)}] {styled(waiting.address, bold=True)}  {found.description}")
            node = project.graph.tables.get(waiting.table)
            for line in introduce(waiting, found, Contract.of(node.model).key if node else ()):
                say(line)
            answer = click.prompt("accept, reject, skip or quit", type=click.Choice(list("arsq")), default="s")
            if answer == "a":
                accept_one([waiting], found, project.graph)
            elif answer == "r":
                store.drop(case, name)
            elif answer == "q":
                break
        except GoldenError as error:
            problems.append(error)
            say(str(error), err=True)
    left = len(store.names())
    say(f"{left} left" if left else "nothing left")
    _raise_all(problems)


@golden.command()
@click.option("--dry-run", is_flag=True, help="Only list them.")
@ci_option
@click.pass_obj
def prune(project: Project, dry_run: bool, ci: bool) -> None:
    """Delete golden and pending files that no case has under test any more."""
    from assay.golden.case import read_cases
    from assay.golden.pending import orphaned
    from assay.golden.yaml_file import shown

    if not dry_run:
        _refuse_in_ci(ci)
    for path in orphaned(read_cases(project.golden), _store(project).folder):
        if not dry_run:
            with on_disk(GoldenError, "cannot be deleted", where=shown(path)):
                path.unlink(missing_ok=True)
        say(f"{'would delete' if dry_run else 'deleted'}  {shown(path)}")


@golden.command()
@click.argument("name", metavar="CASE")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option("--returned", is_flag=True, help="Give what the tables' functions would return, had they a mistake.")
@click.pass_obj
def new(project: Project, name: str, tables: tuple[str, ...], returned: bool) -> None:
    """Start a case: case.yml, and a file for every input that the tables read."""
    from assay.golden.scaffold import scaffold_case
    from assay.golden.yaml_file import shown

    for path in scaffold_case(project, name, tables, returned=returned):
        say(f"wrote  {shown(path)}")
    what = "Add the rows that a mistake would give" if returned else "Fill in the inputs"
    say(f"{what}, then: pipeline golden {name}")


@contextmanager
def _spark(project: Project, selection: tuple[str, ...], screen: Live) -> Iterator[Engine]:
    """Spark, which computes the tables of these cases as DuckDB does; raises EngineError where it would not."""
    from assay.golden.runner import built_tables
    from assay.spark.engine import SparkEngine
    from assay.spark.load import refusals
    from assay.spark.session import opened

    names = built_tables(project, selection)
    settings = project.settings()
    screen.doing(f"starting Spark, {settings.spark}")
    with opened(settings.spark, scratch=settings.scratch) as cluster:
        engine = SparkEngine(cluster)
        screen.doing("asking Spark for the tables' SQL")
        _raise_all(list(refusals(project.graph, names, engine, settings)))
        yield engine


def _store(project: Project) -> PendingStore:
    from assay.golden.pending import FOLDER, PendingStore

    return PendingStore(project.golden / FOLDER)


def _chosen(store: PendingStore, selection: tuple[str, ...]) -> list[tuple[str, str]]:
    """The pending files that the selection names: `CASE`, `CASE/TABLE` (with its rejects) or `CASE/TABLE.rejects`."""
    import fnmatch

    from assay.golden.case import case_folders, unknown_case
    from assay.golden.store import REJECTS

    waiting = store.names()
    if not selection:
        return waiting
    found: list[tuple[str, str]] = []
    for text in selection:
        case, _, name = text.partition("/")
        patterns = [name or "*", f"{name}{REJECTS}"]
        matches = [
            (c, n)
            for c, n in waiting
            if fnmatch.fnmatchcase(c, case) and any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)
        ]
        if not matches:
            if not any(fnmatch.fnmatchcase(folder.name, case) for folder in case_folders(store.folder.parent)):
                raise unknown_case(store.folder.parent, case)
            raise GoldenError(f"nothing is pending for {text}", fix=f"Run `pipeline golden {case}` first.")
        found += [match for match in matches if match not in found]
    return found


def _refuse_in_ci(ci: bool) -> None:
    if ci:
        raise GoldenError("in CI no golden is written", fix="Accept on your machine and commit, or pass --no-ci.")


def _raise_all(problems: Sequence[PipelineError]) -> None:
    for error in problems[:-1]:
        say(f"error: {error}", err=True)
    if problems:
        raise problems[-1]
