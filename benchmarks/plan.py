"""`pipeline plan` against `pipeline run`, over the example's real rows."""

from __future__ import annotations

import shutil

from benchmarks import job
from benchmarks.measure import HEAD, Measured, Series, process, say, table
from benchmarks.options import Options

CHANGES = (0, 2)
"""Exit codes of a plan that was made: nothing changes, something does."""
INTRODUCTION = """
*Run* publishes everything into an empty warehouse. *Plan, nothing changed* then asks what another run would do.
*Plan of everything* plans every table by name: it builds them all in a scratch database and compares them with what is
published.
""".strip()


def measure(options: Options) -> str:
    """Markdown: run, then plans over what it published."""
    runs: dict[str, list[Measured]] = {"run": [], "nothing": [], "all": []}
    with job.sources(options.folder) as places:
        names = job.table_names()
        for number in range(min(options.repeat, 2)):
            runs["run"].append(job.ours(options.folder, places, []))
            runs["nothing"].append(_plan(options, places, []))
            runs["all"].append(_plan(options, places, names))
            say(f"run {number + 1}: " + ", ".join(f"{name} {found[-1].seconds:.1f} s" for name, found in runs.items()))
    shutil.rmtree(job.warehouse(options.folder).parent)
    series = {name: Series(tuple(found)) for name, found in runs.items()}
    base = series["run"]
    rows = [
        ["run", *base.cells(base)],
        ["plan, nothing changed", *series["nothing"].cells(base)],
        ["plan of everything", *series["all"].cells(base)],
    ]
    return "\n\n".join(["## Plan", INTRODUCTION, table(["", *HEAD], rows)])


def _plan(options: Options, places: dict[str, str], names: list[str]) -> Measured:
    command, environment = job.command(options.folder, places, "plan", names)
    return process(command, environment=environment, good=CHANGES)
