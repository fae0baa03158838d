"""Five hundred small tables: loading them, and a run of all of them against a script that does the same statements."""

from __future__ import annotations

import pickle
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.health import make_project
from benchmarks.measure import HEAD, PYTHON, Measured, Series, child, process, say, table
from benchmarks.options import Options

TABLES = 500
ROUNDS = 2
"""A minute each."""
INTRODUCTION = f"""
A project of {TABLES} tables of one row, each read from a CSV file through a contract. *Load* is `dagster definitions
validate`; *run* is `pipeline run` of all of them, a new process with an empty warehouse, Dagster's history included.
*Statements* is a script of nothing but DuckDB that executes, one after the other, every statement that building these
tables gives to DuckDB, books and profiles included; *plain* is one that only creates each table from the file and counts
its rows. The bars: loading under 10 s, and the run within 3x of the statements.
""".strip()


def measure(options: Options) -> str:
    """Markdown: loading, and the run against both scripts, in turns."""
    folder = options.folder / "many"
    make_project(folder, TABLES)
    recorded = child(record, folder=str(folder))
    assert recorded.failure is None, recorded.output
    # Byte code is compiled, and Dagster's databases are made, before anything is measured.
    started = _process(folder, ["run.py", "run"])
    assert started.failure is None, started.output
    found: dict[str, list[Measured]] = {"load": [], "plain": [], "statements": [], "run": []}
    for number in range(min(options.repeat, ROUNDS)):
        found["load"].append(_process(folder, ["-m", "dagster", "definitions", "validate", "-m", "many.definitions"]))
        for name, script in (("plain", plain), ("statements", replay)):
            empty(folder)
            found[name].append(child(script, folder=str(folder)))
        empty(folder)
        found["run"].append(_process(folder, ["run.py", "run"]))
        say(f"round {number}: " + ", ".join(f"{name} {runs[-1].cpu:.1f} s" for name, runs in found.items()))
    series = {name: Series(tuple(runs)) for name, runs in found.items()}
    base = series["statements"]
    rows = [[name, *runs.cells(base)] for name, runs in series.items()]
    told = f"Statements of one build of all: {recorded.facts['statements']:,}."
    return "\n\n".join([f"## {TABLES} tables", INTRODUCTION, table(["", *HEAD], rows), told])


def _process(folder: Path, command: list[str]) -> Measured:
    environment = {"PYTHONPATH": str(folder), "DAGSTER_HOME": str(folder / ".dagster")}
    return process([*PYTHON, *command], environment=environment, folder=folder)


def empty(folder: Path) -> None:
    """Remove the warehouse."""
    for file in (folder / "data").glob("*.duckdb*"):
        file.unlink()


class _Recorder:
    """A connection that writes down what it is given."""

    def __init__(self, connection: Any, statements: list[tuple[str, Any]]) -> None:
        self._connection, self._statements = connection, statements

    def execute(self, sql: str, parameters: Any = None) -> Any:
        self._statements.append((sql, parameters))
        return self._connection.execute(sql, parameters)

    def register(self, name: str, rows: Any) -> Any:
        if isinstance(rows, pa.RecordBatchReader):  # is read once
            rows = rows.read_all()
        self._statements.append((name, rows))
        return self._connection.register(name, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def record(folder: str) -> dict[str, Any]:
    """Build all tables without Dagster, and write down the statements."""
    sys.path.insert(0, folder)
    from assay.build import build
    from assay.tables.run import Run
    from assay.warehouse.warehouse import DuckDBWarehouse

    project = import_module("many.project").project
    settings = project.settings()
    statements: list[tuple[str, Any]] = []
    with project.sources(settings) as sources, DuckDBWarehouse.of(settings).session() as session:
        recorder: Any = _Recorder(session.connection, statements)
        session.connection = recorder
        result = build(project.graph, list(project.graph.nodes), session, Run.start(), sources)
    assert not result.errors, result.errors
    empty(Path(folder))
    (Path(folder) / "statements.pickle").write_bytes(pickle.dumps(statements))
    return {"statements": len(statements)}


def replay(folder: str) -> dict[str, Any]:
    """The recorded statements, in a new file with the books in it."""
    import duckdb

    from assay.warehouse import ops
    from assay.warehouse.connection import Options as Limits
    from assay.warehouse.connection import settle

    statements = pickle.loads((Path(folder) / "statements.pickle").read_bytes())
    file = Path(folder) / "data" / "warehouse.duckdb"
    file.parent.mkdir(exist_ok=True)
    connection = duckdb.connect(str(file), config=Limits().config())
    settle(connection)
    ops.prepare(connection, "warehouse")
    began, cpu = time.perf_counter(), time.process_time()
    for sql, parameters in statements:
        if isinstance(parameters, pa.Table):
            connection.register(sql, parameters)
            continue
        with suppress(duckdb.CatalogException):  # whether a table exists is asked so
            connection.execute(sql, parameters).fetchall()
    connection.close()
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def plain(folder: str) -> dict[str, Any]:
    """One statement for each table, and its rows counted."""
    import duckdb

    file = Path(folder) / "data" / "warehouse.duckdb"
    file.parent.mkdir(exist_ok=True)
    began, cpu = time.perf_counter(), time.process_time()
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA extract")
        for number in range(TABLES):
            connection.execute(f"CREATE TABLE extract.t{number} AS SELECT n FROM read_csv('{folder}/numbers.csv')")
            connection.execute(f"SELECT count(*) FROM extract.t{number}").fetchall()
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
