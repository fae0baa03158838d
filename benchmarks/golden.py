"""The golden suite: with nothing compiled, and the second time."""

from __future__ import annotations

from benchmarks.measure import HEAD, PYTHON, ROOT, Measured, Series, process, table
from benchmarks.options import Options

JUDGED = (0, 1, 3)
"""Exit codes of a suite that ran to its end: equal, different, new."""
INTRODUCTION = """
*Cold*: no byte code of any package is compiled. *Warm*: as it is in daily use; every run still starts a new process and
builds every table of a case from its inputs.
""".strip()


def measure(options: Options) -> str:
    """Markdown: cold and warm."""
    cases = sorted(path.parent.name for path in (ROOT / "golden").glob("*/case.yml"))
    parts = ["## Golden suite"]
    if not cases:
        return "\n\n".join([*parts, "There are no golden cases yet."])
    parts.append(f"`pipeline golden` over {len(cases)} cases. {INTRODUCTION}")
    command = [*PYTHON, "-m", "pipeline_project", "golden"]
    home = options.folder / "dagster"
    home.mkdir()
    cold: list[Measured] = []
    warm: list[Measured] = []
    process(command, environment={"DAGSTER_HOME": str(home)}, good=JUDGED)  # compiles what has changed
    for number in range(options.repeat):
        empty = {"PYTHONPYCACHEPREFIX": str(options.folder / f"byte_code_{number}")}
        cold.append(process(command, environment={"DAGSTER_HOME": str(home), **empty}, good=JUDGED))
        warm.append(process(command, environment={"DAGSTER_HOME": str(home)}, good=JUDGED))
    base = Series(tuple(warm))
    rows = [["cold", *Series(tuple(cold)).cells(base)], ["warm", *base.cells(base)]]
    return "\n\n".join([*parts, table(["", *HEAD], rows)])
