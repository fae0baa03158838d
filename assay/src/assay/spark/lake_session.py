"""Spark's session: tables stand in a lake, in front of which a dry run has one of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from assay.errors import EngineError, PipelineError
from assay.spark.differing import sides
from assay.spark.engine import SparkEngine
from assay.spark.lake_tables import LakeTables
from assay.spark.load import refusals
from assay.spark.staging import LakeAdded, staged
from assay.tables.loads import History

if TYPE_CHECKING:
    from assay.compare.sides import Sides
    from assay.contract.contract import Contract
    from assay.settings import BaseSettings
    from assay.tables.graph import Graph
    from assay.tables.nodes import TableDef
    from assay.warehouse.added import Added
    from assay.warehouse.builds import Build
    from assay.warehouse.parts import Parts
    from assay.warehouse.protocol import Staging


class LakeSession(LakeTables):
    """A session whose tables are in a lake; see `assay.warehouse.session.Session`."""

    def refusals(self, graph: Graph, names: Iterable[str], settings: BaseSettings) -> Iterator[PipelineError]:
        """What of the tables `names` Spark does not do, or would compute otherwise."""
        tables = [graph.tables[name] for name in names if name in graph.tables]
        for table in tables:
            if (what := unsupported(table)) is not None:
                yield EngineError(*what[:1], where=f"{table.stage}.{table.name} ({table.file})", fix=what[1])
        yield from refusals(graph, [each.name for each in tables], SparkEngine(self.cluster), settings)

    def staging(self, build: Build) -> AbstractContextManager[Staging]:
        """The rows of a build in a table that nobody reads, which is dropped at the end of the block."""
        return staged(self, build)

    def sides(self, table: TableDef, key: Sequence[str]) -> Sides:
        """The rows in which the real table and the planned one differ, brought here."""
        return sides(self, table, self.behind or self.lake, key)

    def add(self, table: TableDef, contract: Contract, rows: str, parts: Parts | None) -> Added:
        """Rows of DuckDB's SQL to be added to `table`, published."""
        added = self.declared(self.sql(self._handed(self.backend.sql(rows))), dict(contract.schema.items()))
        return LakeAdded(self, table, contract, added, parts)


def unsupported(table: TableDef) -> tuple[str, str] | None:
    """What of a table's declaration Spark does not do, and what to write; None where it does all of it."""
    if isinstance(table.load, History):
        return (
            "Spark keeps no history of versions",
            "Keep the table with PIPELINE_ENGINE=duckdb, or build it whole: no load=.",
        )
    if table.load is not None:
        return "Spark loads no table incrementally", "Build it whole, or by partitions: no load=."
    if table.takes_more:
        return "Spark takes no columns beyond the contract", "Name the columns in the contract."
    if table.rereads:
        return "Spark reads no source by what is new in it", "Read it whole: no new_only=."
    return None
