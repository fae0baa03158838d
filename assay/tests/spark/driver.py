"""A driver in a process of its own, which publishes a version of a table, and dies where it is told: `python -m tests.spark.driver`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from assay.build import build
from assay.contract.classification import public
from assay.sources.base import Sources
from assay.spark.lake import Lake
from assay.spark.lake_tables import LakeTables
from assay.spark.session import LITTLE, opened
from assay.spark.warehouse import SparkWarehouse
from assay.tables.graph import Graph
from assay.tables.nodes import RejectBudget, TableDef
from assay.tables.partitions import PartitionRange, daily
from assay.tables.run import Run
from tests.warehouse.house import Given, given


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)
    day: dt.Date = pa.Field(metadata=public)

    class Config:
        strict = True


def version(number: int, rows: int = 2000) -> str:
    """Rows of a version: all but one have its number, the last one is broken."""
    row = f"range AS k, if(range = {rows}, -1, {number}) AS v, DATE '2026-01-01' + (range % 10)::INTEGER AS day"
    return f"SELECT {row} FROM range({rows + 1})"


def a_table(source: Given, *, days: bool = False) -> TableDef:
    """The table that is built."""
    partitions = daily("day", start="2026-01-01", end="2026-01-10") if days else None
    return given("a", Row, source, max_rejects=RejectBudget(rows=9), partitions=partitions)


def built(warehouse: SparkWarehouse, source: Given, *, days: str | None = None, run: str | None = None) -> list[str]:
    """Build the table; what went wrong."""
    partition = PartitionRange.parse(days) if days else None
    with warehouse.session() as session:
        table = a_table(source, days=days is not None)
        begun = Run.start(id=run, partition=partition) if run else Run.start(partition=partition)
        result = build(Graph.of([table]), ["a"], session, begun, Sources({"given": "."}))
        return [str(error) for error in result.errors.values()]


MOMENTS = {
    "rows are staged": (Lake, "replace", 1),
    "the quarantine is kept": (LakeTables, "settle", 1),
    "the commit is made": (Lake, "replace", 2),
}
"""The moments at which a driver can be killed: after the how manieth call of what."""


def kill_at(moment: str) -> None:
    """Have this process and its Java end without a word, at a moment, or so many seconds after the commit has begun."""
    owner, method, wanted = MOMENTS.get(moment, MOMENTS["the commit is made"])
    real, calls = getattr(owner, method), 0

    def end(delay: float = 0.0) -> None:
        time.sleep(delay)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    def watched(*arguments: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == wanted and moment not in MOMENTS:
            threading.Thread(target=end, args=[float(moment)], daemon=True).start()
        real(*arguments, **options)
        if calls == wanted and moment in MOMENTS:
            end()

    setattr(owner, method, watched)


def main() -> None:
    """Arguments: the master's address, the folder, the version's number, then either a moment or a range of days."""
    address, folder, number, how = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    days = how if ".." in how else None
    books = folder / f"{days or 'w'}.duckdb"
    with opened(address, options=LITTLE | {"spark.cores.max": "1"}) as cluster:
        lake = str(folder / "lake")
        warehouse = SparkWarehouse(books, address, lake, output=folder, scratch=folder, cluster=cluster)
        if days is None:
            kill_at(how)
        print(json.dumps(built(warehouse, Given(version(number)), days=days, run=f"run {number}")))


if __name__ == "__main__":
    main()
