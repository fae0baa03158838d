"""A published table has exactly its contract's types, also where DuckDB computes in wider ones than Ibis says."""

from __future__ import annotations

from pathlib import Path

import duckdb
import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pyarrow
from ibis import _
from pandera.typing.ibis import Table

from assay import public, table
from assay.build import BuildResult, build
from assay.contract.contract import Contract
from assay.sources.base import Sources
from assay.tables.graph import Graph
from assay.tables.run import Run
from assay.warehouse.warehouse import DuckDBWarehouse


class Numbers(pa.DataFrameModel):
    number: dt.Int64 = pa.Field(metadata=public)


class Totals(pa.DataFrameModel):
    total: dt.Int64 = pa.Field(metadata=public)
    small: dt.Int32 = pa.Field(metadata=public)


def publish(path: Path, largest: int) -> BuildResult:
    @table()
    def numbers() -> Table[Numbers]:
        """Two numbers."""
        return ibis.memtable(pyarrow.table({"number": [1, largest]}))

    @table()
    def totals(numbers: Table[Numbers]) -> Table[Totals]:
        """Their sum."""
        return numbers.agg(total=_.number.sum(), small=_.count().cast("int32"))

    graph = Graph.of([numbers, totals])
    with DuckDBWarehouse(path, output=path.parent, scratch=path.parent).session() as session:
        return build(graph, graph.nodes, session, Run.start(), Sources({}))


def columns(path: Path) -> dict[str, str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        stage = __name__.split(".")[-2]
        return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {stage}.totals").fetchall()}


def test_a_sum_has_the_declared_type(tmp_path: Path) -> None:
    path = tmp_path / "types.duckdb"
    assert publish(path, 2).ok
    assert columns(path) == Contract.of(Totals).duckdb_columns == {"total": "BIGINT", "small": "INTEGER"}


def test_a_sum_that_does_not_fit_fails_the_build(tmp_path: Path) -> None:
    path = tmp_path / "types.duckdb"
    assert publish(path, 2).ok
    assert "out of range" in str(publish(path, 2**63 - 1).errors["totals"])
    assert columns(path)["total"] == "BIGINT"
