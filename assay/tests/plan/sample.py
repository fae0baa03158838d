"""A small project on disk whose code and sources tests change as a person would, with an editor."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from assay.build import BuildResult, build
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.partitions import PartitionRange
from assay.tables.run import Run
from assay.warehouse.warehouse import DuckDBWarehouse

HEAD = '''"""One row per {grain}."""
from __future__ import annotations

import datetime as dtm

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from ibis import _
from pandera.typing.ibis import Table

from assay import (KeepFirst, Reference, RejectBudget, daily, export, internal, invariant, personal, public, table)
'''

RAW_ORDERS = '''
from assay.sources import Csv


class RawOrders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public)
    customer: dt.String = pa.Field(metadata=personal)
    amount: dt.Int64 = pa.Field(metadata=public)
    day: dt.Date = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["order_id"]


@table(source=Csv("shop", "orders.csv"))
def raw_orders(source: ibis.Table) -> Table[RawOrders]:
    """Orders as they came."""
    return source
'''

ORDERS = '''
from {package}.extract.raw_orders import RawOrders


class Orders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public)
    customer: dt.String = pa.Field(metadata=personal)
    amount: dt.Int64 = pa.Field(ge=0, metadata=public)
    day: dt.Date = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["order_id"]


@table(preserves="raw_orders", max_rejects=RejectBudget(rows=1), partitions=daily("day", start="2024-01-01", end="2024-01-31"))
def orders(raw_orders: Table[RawOrders]) -> Table[Orders]:
    """Orders that can be counted."""
    return raw_orders.mutate(amount=_.amount * 1)
'''

SALES = '''
from {package}.transform.orders import Orders


class Sales(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public)
    total: dt.Int64 = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["day"]


@table()
def sales(orders: Table[Orders]) -> Table[Sales]:
    """What was sold."""
    return orders.group_by("day").agg(total=_.amount.sum().cast("int64"))
'''

COUNTS = '''
from {package}.transform.orders import Orders


class Counts(pa.DataFrameModel):
    orders: dt.Int64 = pa.Field(metadata=public)


@table()
def counts(orders: Table[Orders]) -> Table[Counts]:
    """How many orders there are; a table without a key."""
    return orders.agg(orders=_.count())
'''

REPORT = '''
from {package}.load.sales import Sales


@export("report.txt")
def report(sales: Table[Sales]) -> str:
    """The total as a text."""
    return f"total {{sales.total.sum().to_pyarrow().as_py()}}"
'''

DEFINITIONS = """
import dagster as dg

from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.jobs import project_jobs
from {package}.current import project

defs = dg.Definitions(
    assets=build_assets(project), resources=build_resources(project), jobs=project_jobs(project),
    executor=dg.in_process_executor,
)
"""

ROWS = [
    (1, "ann", 10, "2024-01-01"),
    (2, "bob", 20, "2024-01-01"),
    (3, "cid", 30, "2024-01-02"),
    (4, "dan", 40, "2024-01-03"),
]


@dataclass
class Sample:
    """The project in `root`; `project()` imports it again from its files."""

    root: Path
    package: str
    environ: dict[str, str] = field(default_factory=dict)
    written: int = 0

    def __post_init__(self) -> None:
        for path, text in {
            "__init__.py": "",
            "extract/__init__.py": "",
            "transform/__init__.py": "",
            "load/__init__.py": "",
            "checks/__init__.py": "",
            "extract/raw_orders.py": HEAD.format(grain="order as it came") + RAW_ORDERS,
            "transform/orders.py": HEAD.format(grain="order") + ORDERS.format(package=self.package),
            "load/sales.py": HEAD.format(grain="day") + SALES.format(package=self.package),
            "load/counts.py": HEAD.format(grain="count") + COUNTS.format(package=self.package),
            "load/report.py": HEAD.format(grain="line") + REPORT.format(package=self.package),
            "definitions.py": DEFINITIONS.format(package=self.package),
        }.items():
            self.write(path, text)
        self.rows(ROWS)

    def path(self, name: str) -> Path:
        return self.root / self.package / name

    def write(self, name: str, text: str) -> None:
        """Write a file with a time of its own, so that neither Python nor the code version sees an older one."""
        self.written += 1
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_700_000_000 + self.written, 1_700_000_000 + self.written))

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.path(name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))

    def rows(self, rows: list[tuple[object, ...]]) -> None:
        """What the shop's file holds."""
        folder = self.root / "shop"
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["order_id,customer,amount,day", *(",".join(map(str, row)) for row in rows)]
        (folder / "orders.csv").write_text("\n".join(lines) + "\n")

    @property
    def warehouse(self) -> Path:
        return self.root / "data" / "warehouse.duckdb"

    def project(self) -> Project:
        forget(self.package)
        importlib.invalidate_caches()

        class Settings(BaseSettings):
            default_locations = {"shop": str(self.root / "shop")}

        project = Project(
            package=self.package,
            stages=("extract", "transform", "load", "checks"),
            root=self.root,
            settings=lambda: Settings.read(
                {"PIPELINE_LOCK_TIMEOUT": "0.2", "PIPELINE_THREADS": "1", **self.environ}, root=self.root
            ),
            sources=lambda settings: Sources(settings.locations),
        )
        module = type(sys)(f"{self.package}.current")
        module.project = project  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
        return project

    def run(self, *names: str, partition: str | None = None) -> BuildResult:
        """Really build, without Dagster."""
        project = self.project()
        settings = project.settings()
        days = PartitionRange.parse(partition) if partition else None
        with DuckDBWarehouse.of(settings).session() as session, project.sources(settings) as sources:
            return build(project.graph, names or project.graph.nodes, session, Run.start(partition=days), sources)

    def read(self, table: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()


def forget(package: str) -> None:
    """Let go of a package's modules."""
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
