"""Ten years of daily partitions: one day of them against the same day of one month, all in one run against none."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.health import DEFINITIONS, PROJECT
from benchmarks.measure import HEAD, Measured, Series, child, process, say, seconds, table
from benchmarks.options import Options

ROWS = 2_000
"""Of each day."""
DAY = "2026-01-15"
SPANS = {"one month": ("2026-01-01", "2026-01-31"), "ten years": ("2016-02-01", "2026-01-31")}
INTRODUCTION = f"""
Two tables, {ROWS:,} orders a day from one Parquet file through a contract with a key, and their sum for each day and
product; both partitioned by day. *One day* builds one of them again after all are published: in this process (*build*),
and as `pipeline run --partition`, Dagster and its history included. *All in one run* publishes ten years into an empty
warehouse, against the same tables without partitions. The bars: one day of ten years under 2x that of a month, and ten
years in one run near the unpartitioned build.
""".strip()
ORDERS = '''"""One row per order."""

import datetime as dtm

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import daily, public, table
from assay.sources import Parquet


class Orders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(ge=0, metadata=public)
    ordered_on: dt.Date = pa.Field(metadata=public)
    product: dt.String = pa.Field(metadata=public)
    amount: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Config:
        strict = True
        unique = ["order_id"]


@table(source=Parquet("files", "orders.parquet"){partitions})
def orders(source: ibis.Table) -> Table[Orders]:
    """Orders."""
    return source
'''
SALES = '''"""One row per day and product."""

import datetime as dtm

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import daily, public, table
from many.extract.orders import Orders


class Sales(pa.DataFrameModel):
    ordered_on: dt.Date = pa.Field(metadata=public)
    product: dt.String = pa.Field(metadata=public)
    amount: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Config:
        strict = True
        unique = ["ordered_on", "product"]


@table({options})
def sales(orders: Table[Orders]) -> Table[Sales]:
    """Sums."""
    return orders.group_by("ordered_on", "product").agg(amount=orders.amount.sum())
'''


def measure(options: Options) -> str:
    """Markdown: one day, then all."""
    folders = {name: options.folder / name.replace(" ", "_") for name in (*SPANS, "unpartitioned")}
    for name, folder in folders.items():
        first, last = SPANS.get(name, SPANS["ten years"])
        make_project(folder, first, last, partitioned=name in SPANS)
        # Once to compile byte code and to make Dagster's databases, which stay.
        process([sys.executable, "run.py", "run"], environment=_environment(folder), folder=folder)
    found: dict[tuple[str, str], list[Measured]] = {}
    for _ in range(options.repeat):
        for name, folder in folders.items():
            found.setdefault(("all, build", name), []).append(child(build, folder=str(folder), partition=None))
            found.setdefault(("all, run", name), []).append(_run(folder, []))
        for name in SPANS:
            folder = folders[name]
            found.setdefault(("day, build", name), []).append(child(build, folder=str(folder), partition=DAY))
            found.setdefault(("day, run", name), []).append(_run(folder, ["--partition", DAY]))
        say(", ".join(f"{' '.join(key)} {runs[-1].failure or seconds(runs[-1].cpu)}" for key, runs in found.items()))
    series = {key: Series(tuple(runs)) for key, runs in found.items()}
    days = [
        [f"{name}, {kind.removeprefix('day, ')}", *series[kind, name].cells(series[kind, "one month"])]
        for kind in ("day, build", "day, run")
        for name in SPANS
    ]
    whole = [
        [f"{name}, {kind.removeprefix('all, ')}", *series[kind, name].cells(series[kind, "unpartitioned"])]
        for kind in ("all, build", "all, run")
        for name in ("unpartitioned", "ten years")
    ]
    parts = ["## Partitions", INTRODUCTION, "### One day", table(["", *HEAD], days)]
    return "\n\n".join([*parts, "### All in one run", table(["", *HEAD], whole)])


def make_project(folder: Path, first: str, last: str, *, partitioned: bool) -> None:
    """The two tables, and the file of the orders from `first` to `last`."""
    import duckdb

    package = folder / "many"
    (package / "extract").mkdir(parents=True)
    (folder / ".dagster").mkdir()
    (folder / "run.py").write_text(
        'from assay.cli import command_line, run\nrun(command_line("many.project:project", distribution="dagster-assay"))\n'
    )
    days = f'daily("ordered_on", start="{first}", end="{last}")' if partitioned else ""
    files = {
        "__init__": "",
        "extract/__init__": "",
        "project": PROJECT,
        "definitions": DEFINITIONS,
        "extract/orders": ORDERS.replace("{partitions}", f", partitions={days}" if days else ""),
        "extract/sales": SALES.replace("{options}", f"partitions={days}" if days else ""),
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT row_number() OVER () AS order_id, day::DATE AS ordered_on,
                             'product ' || hash(day, number) % 50 AS product, (hash(number, day) % 10000)::BIGINT AS amount
                      FROM range(DATE '{first}', DATE '{last}' + 1, INTERVAL 1 DAY) AS days(day), range({ROWS}) AS n(number))
                TO '{folder}/orders.parquet' (FORMAT parquet)"""
        )


def _environment(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(folder), "DAGSTER_HOME": str(folder / ".dagster")}


def _run(folder: Path, arguments: list[str]) -> Measured:
    if not arguments:
        _empty(folder)
    return process([sys.executable, "run.py", "run", *arguments], environment=_environment(folder), folder=folder)


def _empty(folder: Path) -> None:
    for file in (folder / "data").glob("*.duckdb*"):
        file.unlink()


def build(folder: str, partition: str | None) -> dict[str, Any]:
    """Build both tables in this process: one day, or all of an empty warehouse."""
    sys.path.insert(0, folder)
    from assay.build import build as build_tables
    from assay.tables.partitions import PartitionRange
    from assay.tables.run import Run
    from assay.warehouse.warehouse import DuckDBWarehouse

    project = import_module("many.project").project
    if partition is None:
        _empty(Path(folder))
    settings, graph = project.settings(), project.graph
    run = replace(Run.start(), partition=PartitionRange.parse(partition) if partition else None)
    began, cpu = time.perf_counter(), time.process_time()
    with project.sources(settings) as sources, DuckDBWarehouse.of(settings).session() as session:
        result = build_tables(graph, list(graph.nodes), session, run, sources)
    assert not result.errors, result.errors
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
