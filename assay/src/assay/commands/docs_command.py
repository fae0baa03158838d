"""`pipeline docs`: the catalog of the tables as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.errors import PipelineError
from assay.terminal import Live, live, say

if TYPE_CHECKING:
    from assay.golden.coverage import Coverage
    from assay.project import Project


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it.  [default: build/docs.html]"
)
@click.option(
    "--golden/--no-golden", "cases", default=True, help="Run the golden cases: they say what each rule shows."
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes that share the cases.")
@click.pass_obj
def docs(project: Project, out: Path | None, cases: bool, workers: int | None) -> None:
    """Write one page about every table: lineage, columns, rules and their golden cases, numbers.

    The page needs nothing else and no network. The warehouse is only read; where there is none, or a run holds it, the
    page says so.

    Exit codes: 0 written, 2 error.
    """
    from assay.disk import write_atomically
    from assay.report.catalog import catalog
    from assay.report.catalog_page import page

    with live() as screen:
        screen.doing("reading the code")
        made = catalog(project, _shown(project, workers, screen) if cases else None)
    target = out or project.root / "build" / "docs.html"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, page(made).encode())
    except OSError as error:
        raise PipelineError(f"cannot be written: {error.strerror}", where=str(target)) from None
    say(made.numbers)
    say(made.proofs)
    say(f"docs  {target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target}")


def _shown(project: Project, workers: int | None, screen: Live) -> Coverage | None:
    from assay.golden.coverage import coverage
    from assay.golden.runner import run_golden
    from assay.golden.workers import processors

    if not project.golden.is_dir():
        return None
    done: list[object] = []
    screen.doing("running the golden cases", lambda: f"{len(done)} done")
    result = run_golden(project, on_case=done.append, workers=workers or processors())
    return coverage(project.graph, result, project.golden)
