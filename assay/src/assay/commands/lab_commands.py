"""`pipeline golden mutate|determinism|capture`: what goes beyond equal or not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from assay.terminal import live, say, say_json
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.project import Project


@click.command()
@click.argument("selection", nargs=-1, metavar="[CASE|TABLE]...")
@click.option("--min", "minimum", type=click.FloatRange(0, 100), default=90.0, show_default=True, metavar="PERCENT",
              help="How many of the mutants must be killed.")  # fmt: skip
@click.option("--search/--no-search", default=True, help="Look for a row that would kill each survivor.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@click.pass_obj
def mutate(project: Project, selection: tuple[str, ...], minimum: float, search: bool, as_json: bool) -> None:
    """Make small mistakes in the code's SQL: do the cases notice?

    A mutant that no case kills is reported with rows that would kill it: add them to a case. One that cannot be told
    from the original is annotated with a reason in golden/equivalent_mutants.yml.

    Exit codes: 0 enough are killed, 1 too few, 2 error.
    """
    from assay.lab.mutation import report
    from assay.lab.mutation.mutate import mutate as run

    with live() as screen:
        result = run(project, selection, search=search, on_progress=screen.doing)
    if as_json:
        say_json(report.as_dict(result, minimum / 100))
    else:
        for line in report.lines(result, minimum / 100):
            say(line)
    sys.exit(2 if result.stale else 0 if result.rate() >= minimum / 100 else 1)


@click.command()
@click.argument("selection", nargs=-1, metavar="[CASE]...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@click.pass_obj
def determinism(project: Project, selection: tuple[str, ...], as_json: bool) -> None:
    """Run each case again, with shuffled inputs, more threads, another time zone, and events in two landings.

    Names the axis, the first table and the column that vary.

    Exit codes: 0 nothing varies, 1 something does, 2 error.
    """
    import dataclasses

    from assay.lab.determinism.vary import Checked
    from assay.lab.determinism.vary import determinism as run

    def tell(checked: Checked) -> None:
        say(f"{'VARIES' if checked.variations else 'ok    '}  {checked.case}  ({', '.join(checked.axes)})")
        for found in checked.variations:
            where = f"  column={found.column}" if found.column else ""
            say(f"  axis={found.axis}  table={found.table}{where}")
            say("\n".join(f"    {line}" for line in found.detail.splitlines()))
            if found.others:
                say(f"    varies below it too: {', '.join(found.others)}")

    with live() as screen:
        screen.doing("running the cases again and again")
        results = run(project, selection, on_case=(lambda checked: None) if as_json else tell)
    varying = sum(1 for checked in results if checked.variations)
    if as_json:
        say_json({"version": 1, "cases": [dataclasses.asdict(each) for each in results]})
    else:
        say(f"\n{len(results) - varying} of {len(results)} cases give the same rows however they are run")
    sys.exit(1 if varying else 0)


@click.command()
@click.argument("case", metavar="CASE")
@click.option("--from", "table", required=True, metavar="TABLE", help="The table under test.")
@click.option("--where", default="true", metavar="SQL", help="Which of its rows; a condition over its columns.")
@click.option("--limit", type=click.IntRange(1, 500), default=5, show_default=True, help="How many of them at most.")
@click.option("--max-rows", type=click.IntRange(1, 500), default=200, show_default=True,
              help="How many rows of each upstream table at most.")  # fmt: skip
@click.option("--ci/--no-ci", envvar="CI", default=False, show_envvar=True, help="Refuse: nothing is written.")
@click.pass_obj
def capture(project: Project, case: str, table: str, where: str, limit: int, max_rows: int, ci: bool) -> None:
    """Cut a case out of the warehouse: rows of a table, and the upstream rows they come from.

    Values of personal and secret columns are replaced by pseudonyms. The case is run once; what it gives waits for
    your decision: pipeline golden review CASE.
    """
    from assay.errors import GoldenError
    from assay.golden import text
    from assay.golden.pending import FOLDER, PendingStore
    from assay.golden.runner import run_golden
    from assay.golden.yaml_file import shown
    from assay.lab.capture.capture import capture as run

    if ci:
        raise GoldenError("in CI no case is written", fix="Capture on your machine and commit, or pass --no-ci.")
    captured = run(project, case, table, where, limit, max_rows=max_rows)
    say(f"wrote  {shown(captured.folder)}: the inputs of {rows_told(captured.chosen)} of {table}")
    for name, count in captured.rows.items():
        say(f"  {name}: {rows_told(count)}")
    if captured.masked:
        say(f"  pseudonyms in {', '.join(captured.masked)}")
    for note in captured.notes:
        say(f"  note: {note}")
    result = run_golden(project, [case], keep=PendingStore(project.golden / FOLDER))
    for line in text.details(result):
        say(line)
    say(f"Say in case.yml what it teaches, then: pipeline golden review {case}")
    sys.exit(2 if result.status == "error" else 0)
