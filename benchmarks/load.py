"""Loading the code location against loading an empty Dagster project."""

from __future__ import annotations

from benchmarks.measure import HEAD, PYTHON, ROOT, Measured, Series, process, table
from benchmarks.options import Options

INTRODUCTION = """
*Empty* is a project whose definitions are `Definitions()`. *Load* is what `dagster dev`, a schedule or a run does to a
code location: `dagster definitions validate`, which starts its server and asks it for everything. *Import* is only a
Python process that imports the definitions and resolves them. The bar: at most 1.5x the empty project's load.
""".strip()
EMPTY = """import dagster as dg

defs = dg.Definitions()
"""


def measure(options: Options) -> str:
    """Markdown: load and import, in turns."""
    folder = options.folder / "empty"
    folder.mkdir()
    (folder / "empty_definitions.py").write_text(EMPTY)
    home = options.folder / "dagster"
    home.mkdir()
    projects = {"empty": ("empty_definitions", folder), "this project": ("pipeline_project.definitions", ROOT)}
    found: dict[tuple[str, str], list[Measured]] = {}
    for _ in range(options.repeat + 1):
        for name, (module, place) in projects.items():
            commands = {
                "load": ["-m", "dagster", "definitions", "validate", "-m", module],
                "import": ["-c", f"from {module} import defs; defs.get_repository_def()"],
            }
            for kind, command in commands.items():
                measured = process([*PYTHON, *command], environment={"DAGSTER_HOME": str(home)}, folder=place)
                found.setdefault((kind, name), []).append(measured)
    rows = []
    for kind in ("load", "import"):
        # The first round compiles byte code and makes Dagster's databases.
        series = {name: Series(tuple(found[kind, name][1:])) for name in projects}
        rows += [[f"{kind}, {name}", *runs.cells(series["empty"])] for name, runs in series.items()]
    parts = ["## Loading the code location", INTRODUCTION]
    return "\n\n".join([*parts, table(["", *HEAD], rows)])
