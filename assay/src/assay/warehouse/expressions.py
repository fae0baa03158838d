"""Relations as Ibis expressions, and expressions as SQL: what a type or an expression alone says is worked out once a process.

Golden cases, tests and the days of a range build the same tables again and again.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import duckdb
import ibis.expr.operations as ops
import ibis.expr.schema as sch
from ibis.backends.sql.datatypes import DuckDBType

from assay.sql import quoted

if TYPE_CHECKING:
    import ibis
    import ibis.expr.datatypes as dt
    from ibis.backends.duckdb import Backend


def backend_of(connection: duckdb.DuckDBPyConnection) -> Backend:
    """Ibis's view of a connection."""
    return _backend().from_connection(connection)


@cache
def _backend() -> type[Backend]:
    # Whoever only loads the code would wait for it. For the version Ibis reads the distribution's metadata, each time.
    whole = import_module("ibis.backends.duckdb").Backend
    return type("Backend", (whole,), {"version": duckdb.__version__})


def of_table(backend: Backend, place: tuple[str, str, str]) -> ibis.Table:
    """The table `place`, catalog, schema and name; raises DuckDB's CatalogException if there is none."""
    catalog, schema, name = place
    columns = schema_of(backend.con, ".".join(map(quoted, place)))
    if columns.geospatial:
        backend.load_extension("spatial")
    namespace = ops.Namespace(catalog=catalog, database=schema)
    return ops.DatabaseTable(name, schema=columns, source=backend, namespace=namespace).to_expr()


def of_query(backend: Backend, sql: str) -> ibis.Table:
    """The rows of a SELECT."""
    return backend.sql(sql, schema=schema_of(backend.con, sql))


def schema_of(connection: duckdb.DuckDBPyConnection, described: str) -> sch.Schema:
    """The columns of a table, by its quoted SQL name, or of a SELECT."""
    rows = connection.execute(f"DESCRIBE {described}").fetchall()
    return sch.Schema({name: _type(kind, null == "YES") for name, kind, null, *_ in rows})


@lru_cache(maxsize=1024)
def _type(kind: str, nullable: bool) -> dt.DataType:
    # Ibis has SQLGlot parse it, which takes longer than DuckDB needs to describe the table.
    return DuckDBType.from_string(kind, nullable=nullable)


def compiled(backend: Backend, expression: ibis.Table) -> str | None:
    """The DuckDB SQL of an expression; None where it holds functions or rows of Python's, of which a connection has to be told.

    Raises as Ibis does.
    """
    return _compiled(backend, expression.op())


@lru_cache(maxsize=512)
def _compiled(backend: Backend, op: ops.Relation) -> str | None:
    # Backends of different connections are equal to Ibis, and expressions where all their parts are, names and types included.
    return None if op.find((ops.ScalarUDF, ops.InMemoryTable)) else str(backend.compile(op.to_expr()))
