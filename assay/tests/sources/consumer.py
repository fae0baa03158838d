"""Reads an event log into a warehouse, a few events a build, until somebody kills the process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay.build import build
from assay.sources import EventLog, Sources
from assay.tables.declare import table
from assay.tables.graph import Graph
from assay.tables.run import Run
from assay.warehouse.warehouse import DuckDBWarehouse

PUBLIC = {"classification": "public"}


class Ticks(pa.DataFrameModel):
    event_partition: dt.Int32 = pa.Field(metadata=PUBLIC, description="Where it stood")
    event_offset: dt.Int64 = pa.Field(metadata=PUBLIC, description="Where it stood")
    n: dt.Int64 = pa.Field(metadata=PUBLIC, description="What happened")

    class Config:
        strict = True


@table(source=EventLog("log", "ticks", limit=10))
def ticks(source: ir.Table) -> Table[Ticks]:
    """Every event of the log."""
    return source


def warehouse(folder: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(folder / "w.duckdb", output=folder / "out", scratch=folder / "scratch", lock_timeout=10)


def consume(folder: Path) -> int:
    """Build the table once; returns how many rows it has."""
    graph = Graph.of([ticks])
    sources = Sources({"log": str(folder / "log")})
    with warehouse(folder).session() as session:
        result: Any = build(graph, ["ticks"], session, Run.start(), sources)
        assert not result.errors, result.errors
        rows = session.connection.execute(f"SELECT count(*) FROM {session.relation(ticks)}").fetchone()
    return int(rows[0]) if rows else 0


def consume_for_ever(folder: Path) -> None:
    """Build again and again, and print the rows each time."""
    while True:
        sys.stdout.write(f"{consume(folder)}\n")
        sys.stdout.flush()
