"""`pipeline golden coverage`: what no case shows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from assay.terminal import live, say, say_json

if TYPE_CHECKING:
    from assay.project import Project


@click.command()
@click.option("--all", "every", is_flag=True, help="List every rule and check with the cases that show it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that share the cases.")
@click.pass_obj
def coverage(project: Project, every: bool, as_json: bool, workers: int | None) -> None:
    """Run all cases: does every rule and check fail in one, is every table's output compared?

    What no case needs to show stands with a reason in golden/exemptions.yml, table -> name -> reason.

    Exit codes: 0 all is shown or exempt, 1 a case differs, 2 error, 3 something is not shown, or exempt for nothing.
    """
    from assay.golden.coverage import coverage as judge
    from assay.golden.coverage import lines
    from assay.golden.runner import run_golden
    from assay.golden.workers import processors

    with live() as screen:
        screen.doing("running the cases")
        result = run_golden(project, workers=workers or processors())
    found = judge(project.graph, result, project.golden)
    if as_json:
        say_json(found.as_dict())
    else:
        for line in lines(found, every=every):
            say(line)
    sys.exit(found.exit_code)
