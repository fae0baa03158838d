"""What Spark would compute otherwise than DuckDB, or cannot compute, told before a row is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import ibis

from assay.contract.contract import Contract
from assay.contract.rules import bind
from assay.errors import EngineError
from assay.sql import quoted
from assay.tables.declared import Declared, declared
from assay.tables.nodes import TableDef
from assay.tables.places import SOURCE_COLUMNS
from assay.tables.run import Run
from assay.warehouse.duckdb_session import DuckDBSession
from assay.warehouse.session import Session, qualified

if TYPE_CHECKING:
    from assay.settings import BaseSettings
    from assay.spark.engine import SparkEngine
    from assay.tables.graph import Graph
    from assay.tables.nodes import InvariantDef


def refusals(
    graph: Graph, names: Iterable[str], engine: SparkEngine, settings: BaseSettings | None = None
) -> Iterator[EngineError]:
    """Each thing that Spark refuses of the tables `names`, their contracts and invariants, with its table's place.

    Functions are called on tables without rows, and Spark reads the SQL that comes of them; nothing is computed.

    Args:
        settings: the project's, for tables that read some.
    """
    with closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        session = DuckDBSession(connection, output=Path(), scratch=Path())
        for table in graph.tables.values():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.stage)}")
            columns = ", ".join(
                f"{quoted(name)} {kind}" for name, kind in Contract.of(table.model).duckdb_columns.items()
            )
            connection.execute(f"CREATE TABLE {qualified(session.catalog, table.stage, table.name)} ({columns})")
        for name in names:
            table = graph.tables[name]
            for about, expression in _asked(table, graph, session, engine, settings):
                problem = engine.problem(session, expression)
                if problem is not None:
                    told = problem if about == name else f"{about}: {problem}"
                    yield EngineError(told, where=f"{table.stage}.{table.name} ({table.file})")


def _asked(
    table: TableDef, graph: Graph, session: Session, engine: SparkEngine, settings: BaseSettings | None
) -> Iterator[tuple[str, Callable[[], ibis.Table]]]:
    """Everything that is computed for a table, by the name under which a person finds it."""
    contract = Contract.of(table.model)
    rows = session.read(table)
    if table.engine != "python":
        yield table.name, partial(_called, table, graph, session, declared(table, settings))
    label = partial(contract.label, rows, mask_type="int64")
    if engine.problem(session, label) is not None:  # all of them at once are quicker asked
        each = [
            (rule.code, partial(rows.select, __broken=bind(rule.broken, contract.rows, rows)))
            for rule in contract.row_rules
        ]
        yield from each
        if all(engine.problem(session, expression) is None for _, expression in each):
            yield contract.name, label
    for rule in contract.table_rules:
        yield rule.code, rule.expression(rows).as_table
    for invariant in graph.invariants_of(table.name):
        yield invariant.name, partial(_called, invariant, graph, session)


def _called(
    node: TableDef | InvariantDef, graph: Graph, session: Session, settings: Declared | None = None
) -> ibis.Table:
    arguments: dict[str, Any] = {name: session.read(graph.tables[name]) for name in node.inputs}
    if isinstance(node, TableDef) and node.source is not None:
        landed = node.source.columns or Contract.of(node.model).duckdb_columns
        kinds = {**landed, SOURCE_COLUMNS[0]: "VARCHAR", SOURCE_COLUMNS[1]: "BIGINT"}
        casts = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in kinds.items())
        arguments["source"] = session.backend.sql(f"SELECT {casts} WHERE false")
    if node.run_parameter:
        run = Run.start()
        arguments[node.run_parameter] = run if settings is None else replace(run, settings=settings)
    return node.function(**arguments)
