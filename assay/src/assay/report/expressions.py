"""What the tables' functions return when they are called on tables without rows: SQL, and where columns come from."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis

from assay.contract.contract import Contract
from assay.settings import BaseSettings
from assay.sql import quoted
from assay.tables.declared import declared, fixture
from assay.tables.lineage import Column, column_lineage
from assay.tables.nodes import TableDef
from assay.tables.run import Run

if TYPE_CHECKING:
    from assay.tables.graph import Graph


@dataclass(frozen=True)
class Expression:
    """A table as DuckDB is asked for it, and for each column the (table, column) pairs it is computed from."""

    sql: str
    lineage: Mapping[str, list[Column]]


def expressions(graph: Graph, kind: type[BaseSettings]) -> dict[str, Expression]:
    """By name, every table that is an expression; those computed in Python or only with rows are left out."""
    backend = ibis.duckdb.connect()
    try:
        return dict(_expressions(graph, backend, fixture(kind, {})))
    finally:
        backend.disconnect()


def _expressions(graph: Graph, backend: Any, settings: BaseSettings) -> Iterator[tuple[str, Expression]]:
    for stage in dict.fromkeys(table.stage for table in graph.tables.values()):
        backend.create_database(stage, force=True)
    empty: dict[str, ibis.Table] = {}
    for table in graph.tables.values():
        if table.engine != "python":
            with suppress(Exception):  # whatever its code raises without rows: then nothing is told of it
                yield table.name, _expression(table, backend, empty, settings)
        empty[table.name] = backend.create_table(
            table.name, schema=Contract.of(table.model).schema, database=table.stage
        )


def _expression(table: TableDef, backend: Any, empty: Mapping[str, ibis.Table], settings: BaseSettings) -> Expression:
    inputs = {name: empty[name] for name in table.inputs}
    arguments: dict[str, Any] = dict(inputs)
    if table.source is not None:
        columns = table.source.columns or Contract.of(table.model).duckdb_columns
        typed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        backend.raw_sql(f"CREATE OR REPLACE TABLE source ({typed})")
        arguments["source"] = inputs["source"] = backend.table("source")
    if table.run_parameter:
        arguments[table.run_parameter] = Run("docs", dtm.datetime.now(dtm.UTC), settings=declared(table, settings))
    rows = table.function(**arguments)
    sql = str(ibis.to_sql(rows, dialect="duckdb"))
    return Expression(sql.replace('"memory"."main".', "").replace('"memory".', ""), column_lineage(rows, inputs))
