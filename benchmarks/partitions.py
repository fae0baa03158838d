"""One day of ten years of daily partitions against the same day of one month, and ten years in one run against none."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.health import make_folder
from benchmarks.many import empty
from benchmarks.measure import HEAD, Measured, Series, child, process, say, seconds, table
from benchmarks.options import Options

ROWS = 2_000
"""Of each day."""
DAY = "2026-01-15"
SPANS = {
    "one month": ("2026-01-01", "2026-01-31"),
    "ten years": ("2016-02-01", "2026-01-31"),
    "no partitions": ("2016-02-01", "2026-01-31"),
}
INTRODUCTION = f"""
Two tables, {ROWS:,} orders a day from one Parquet file through a contract with a key, and their sum for each day and
product; both partitioned by day. *One day* builds one of them again after all are published, *all* publishes ten years into an
empty warehouse, against the same tables without partitions: in this process (*build*), and as a command (`pipeline run`), with
its start and Dagster's history. The bars: one day of ten years under 2x that of a month, and ten years in one run near the
unpartitioned build. The ratio in brackets is that of the processor time; profile.md says where it goes.
""".strip()
TABLE = '''"""One row per {grain}."""

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import daily, public, table
{imports}


class {model}(pa.DataFrameModel):
    ordered_on: dt.Date = pa.Field(metadata=public)
    product: dt.String = pa.Field(metadata=public)
    amount: dt.Int64 = pa.Field(ge=0, metadata=public){columns}

    class Config:
        strict = True
        unique = {key}


@table({options})
def {name}({given}) -> Table[{model}]:
    """{model}."""
    return {rows}
'''
ORDERS = {
    "grain": "order",
    "imports": "from assay.sources import Parquet",
    "model": "Orders",
    "columns": "\n    order_id: dt.Int64 = pa.Field(ge=0, metadata=public)",
    "key": '["order_id"]',
    "name": "orders",
    "given": "source: ibis.Table",
    "rows": "source",
}
SALES = {
    "grain": "day and product",
    "imports": "from many.extract.orders import Orders",
    "model": "Sales",
    "columns": "",
    "key": '["ordered_on", "product"]',
    "name": "sales",
    "given": "orders: Table[Orders]",
    "rows": 'orders.group_by("ordered_on", "product").agg(amount=orders.amount.sum())',
}
COMPARED = [
    ("one day", "build", "one month"),
    ("one day", "run", "one month"),
    ("all", "build", "no partitions"),
    ("all", "run", "no partitions"),
]
"""What is done, how, and what ten years are compared with."""


def measure(options: Options) -> str:
    """Markdown: one table, a pair of rows for each comparison."""
    folders = {name: options.folder / name.replace(" ", "_") for name in SPANS}
    for name, folder in folders.items():
        make_project(folder, *SPANS[name], partitioned=name != "no partitions")
    run(folders["one month"], None)
    found: dict[tuple[str, str, str], list[Measured]] = {}
    for number in range(options.repeat):
        for what, how, base in reversed(COMPARED):  # a day is built again of what was published before
            for name in (base, "ten years"):
                done = run if how == "run" else built
                found.setdefault((what, how, name), []).append(done(folders[name], DAY if what == "one day" else None))
        say(f"round {number + 1}: " + ", ".join(f"{' '.join(of)} {runs[-1].cpu:.1f} s" for of, runs in found.items()))
    rows = []
    for what, how, base in COMPARED:
        compared = Series(tuple(found[what, how, base]))
        for name in (base, "ten years"):
            series = Series(tuple(found[what, how, name]))
            cells = series.cells(compared)
            cells[3] = cells[3] and f"{seconds(series.cpu)} ({series.cpu / compared.cpu:.2f}x)"
            rows.append([f"{what}, {name}: {how}", *cells])
    return "\n\n".join(["## Partitions", INTRODUCTION, table(["", *HEAD], rows)])


def make_project(folder: Path, first: str, last: str, *, partitioned: bool) -> None:
    """The two tables, and the file of the orders from `first` to `last`."""
    import duckdb

    days = f'partitions=daily("ordered_on", start="{first}", end="{last}")' if partitioned else ""
    source = f'source=Parquet("files", "orders.parquet"), {days}'
    both = ((ORDERS, source), (SALES, days))
    make_folder(folder, {each["name"]: TABLE.format(**each, options=options) for each, options in both})
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT row_number() OVER () AS order_id, day::DATE AS ordered_on,
                             'product ' || hash(day, number) % 50 AS product, (hash(number, day) % 10000)::BIGINT AS amount
                      FROM range(DATE '{first}', DATE '{last}' + 1, INTERVAL 1 DAY) AS days(day), range({ROWS}) AS n(number))
                TO '{folder}/orders.parquet' (FORMAT parquet)"""
        )


def run(folder: Path, partition: str | None) -> Measured:
    """`pipeline run` of one day, or of all into an empty warehouse."""
    if partition is None:
        empty(folder)
    arguments = ["--partition", partition] if partition else []
    environment = {"PYTHONPATH": str(folder), "DAGSTER_HOME": str(folder / ".dagster")}
    return process([sys.executable, "run.py", "run", *arguments], environment=environment, folder=folder)


def built(folder: Path, partition: str | None) -> Measured:
    """The same in one process, without Dagster."""
    return child(build, folder=str(folder), partition=partition)


def build(folder: str, partition: str | None) -> dict[str, Any]:
    """Build both tables in this process: one day, or all of an empty warehouse."""
    sys.path.insert(0, folder)
    from assay.build import build as build_tables
    from assay.tables.partitions import PartitionRange
    from assay.tables.run import Run
    from assay.warehouse.warehouse import DuckDBWarehouse

    project = import_module("many.project").project
    if partition is None:
        empty(Path(folder))
    settings, graph = project.settings(), project.graph
    run = replace(Run.start(), partition=PartitionRange.parse(partition) if partition else None)
    began, cpu = time.perf_counter(), time.process_time()
    with project.sources(settings) as sources, DuckDBWarehouse.of(settings).session() as session:
        result = build_tables(graph, list(graph.nodes), session, run, sources)
    assert not result.errors, result.errors
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
