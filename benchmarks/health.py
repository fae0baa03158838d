"""`pipeline health` over a long history and over many tables, and what the check `usual` adds to the example's run."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from assay.health import kept
from benchmarks import job
from benchmarks.measure import HEAD, Series, child, process, say, table
from benchmarks.options import Options

SIZES = ((24, 1000), (500, 50))
"""Tables, and runs of all of them."""
INTRODUCTION = """
`pipeline health` of a project with so many tables, of which each was built and checked in so many runs; one run is
real, its history is repeated. *After a change* is the first look at changed code: all tables are loaded. The bar: 2 s of the
processor with 24 tables and 1,000 runs, 5 s with 500 tables.
""".strip()
PROJECT = """
import os
from pathlib import Path
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources

ROOT = Path(__file__).resolve().parent.parent
project = Project(
    package="many", stages=("extract",), root=ROOT, settings=lambda: BaseSettings.read(os.environ, root=ROOT),
    sources=lambda _: Sources({"files": str(ROOT)}),
)
"""
DEFINITIONS = """
import dagster as dg
from assay.definitions import build_assets, build_resources, project_jobs
from many.project import project

defs = dg.Definitions(
    assets=build_assets(project), resources=build_resources(project), jobs=project_jobs(project),
    executor=dg.in_process_executor,
)
"""
TABLE = '''"""One row per number."""

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from assay.sources import Csv


class T{number}(pa.DataFrameModel):
    n: dt.Int64 = pa.Field(metadata=public)


@table(source=Csv("files", "numbers.csv"))
def t{number}(source: ibis.Table) -> Table[T{number}]:
    """Numbers."""
    return source
'''


def measure(options: Options) -> str:
    """Markdown: both questions."""
    rows = []
    for tables, runs in SIZES:
        folder = options.folder / f"many_{tables}"
        make_project(folder, tables)
        ran = pipeline(folder, "run")
        assert ran.failure is None, ran.output
        repeat(folder / ".dagster", runs)
        pipeline(folder, "health")  # which compiles what no run has needed
        looked = Series(tuple(pipeline(folder, "health") for _ in range(options.repeat)))
        (folder / ".dagster" / kept.FILE).unlink()
        first = Series((pipeline(folder, "health"),))
        for name, series in ((f"{tables} tables, {runs:,} runs", looked), ("after a change", first)):
            rows.append([name, *series.cells(looked)])
            say(f"{name}: {series.cpu:.2f} s of the processor")
    with job.sources(options.folder) as places:
        addresses = {name: address for name, address in places.items() if name != "server"}
        usual = child(share_of_usual, folder=str(options.folder / "example"), addresses=addresses)
    assert usual.failure is None, usual.failure
    said = (
        f"Of the example's run `usual` takes {usual.facts['usual'] / usual.facts['whole']:.1%} of the processor's time"
    )
    return "\n\n".join(["## Health", INTRODUCTION, table(["", *HEAD], rows), f"{said}; the bar: 3%."])


def pipeline(folder: Path, command: str) -> Any:
    """A command of the project in `folder`."""
    environment = {"PYTHONPATH": str(folder), "DAGSTER_HOME": str(folder / ".dagster")}
    return process([sys.executable, "run.py", command], environment=environment, folder=folder)


def make_project(folder: Path, tables: int) -> None:
    """A project with so many tables of one row."""
    make_folder(folder, {f"t{number}": TABLE.replace("{number}", str(number)) for number in range(tables)})
    (folder / "numbers.csv").write_text("n\n1\n")


def make_folder(folder: Path, tables: Mapping[str, str]) -> None:
    """A project of tables, given as the text of their files by name."""
    package = folder / "many"
    (package / "extract").mkdir(parents=True)
    (folder / ".dagster").mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")  # as every fork has it
    (folder / "run.py").write_text(
        'from assay.cli import command_line, run\nrun(command_line("many.project:project", distribution="dagster-assay"))\n'
    )
    files = {"__init__": "", "extract/__init__": "", "project": PROJECT, "definitions": DEFINITIONS}
    for name, text in (files | {f"extract/{name}": text for name, text in tables.items()}).items():
        (package / f"{name}.py").write_text(text)


def repeat(home: Path, runs: int) -> None:
    """Let the run in `home` have happened so often."""
    for file, tables in {
        "history/runs.db": ("runs", "run_tags"),
        "history/runs/index.db": ("event_logs", "asset_check_executions"),
    }.items():
        with closing(sqlite3.connect(home / file)) as connection, connection:
            for name in tables:
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})") if row[1] != "id"]
                changed = [f"{column} || '-' || copy" if column == "run_id" else column for column in columns]
                connection.execute(
                    f"""WITH RECURSIVE copies(copy) AS (SELECT 1 UNION ALL SELECT copy + 1 FROM copies WHERE copy < {runs - 1})
                        INSERT INTO {name} ({", ".join(columns)}) SELECT {", ".join(changed)}
                        FROM (SELECT * FROM {name}) JOIN copies ORDER BY copy, id"""
                )


def share_of_usual(folder: str, addresses: dict[str, str]) -> dict[str, Any]:
    """Processor seconds of building all of the example, and of `usual` in them."""
    os.environ.update(
        PIPELINE_WAREHOUSE=f"{folder}/warehouse.duckdb",
        PIPELINE_OUTPUT=folder,
        **{f"PIPELINE_SOURCE_{name.upper()}": address for name, address in addresses.items()},
    )
    from assay.build import build
    from assay.tables.run import Run
    from assay.warehouse import usual
    from assay.warehouse.warehouse import DuckDBWarehouse
    from pipeline_project.project import project

    taken = 0.0

    def timed(name: str) -> None:
        function = getattr(usual, name)

        def call(*arguments: Any) -> Any:
            nonlocal taken
            began = time.process_time()
            try:
                return function(*arguments)
            finally:
                taken += time.process_time() - began

        setattr(usual, name, call)

    for name in ("judge", "keep"):
        timed(name)
    settings, graph = project.settings(), project.graph
    began = time.process_time()
    with project.sources(settings) as sources, DuckDBWarehouse.of(settings).session() as session:
        result = build(graph, list(graph.nodes), session, Run.start(), sources)
    if result.errors:
        raise SystemExit("; ".join(map(str, result.errors.values())))
    assert taken, "nobody calls usual by these names any more"
    return {"usual": taken, "whole": time.process_time() - began}
