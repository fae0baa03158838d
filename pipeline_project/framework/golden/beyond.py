"""`pipeline golden mutate|determinism|capture|shrink`: what goes beyond equal or not."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipeline_project.framework.project import Project


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
    from pipeline_project.framework.golden.mutation import report
    from pipeline_project.framework.golden.mutation.run import mutate as run

    result = run(project, selection, search=search, on_progress=_progress(as_json))
    if as_json:
        click.echo(json.dumps(report.as_dict(result, minimum / 100), indent=2))
    else:
        for line in report.lines(result, minimum / 100):
            click.echo(line)
    sys.exit(2 if result.stale else 0 if result.rate() >= minimum / 100 else 1)


def _progress(quiet: bool):  # type: ignore[no-untyped-def]
    """Tells a person at a terminal what is being done."""
    if quiet or not sys.stderr.isatty():
        return lambda text: None
    return lambda text: click.echo(f"  {text}", err=True)
