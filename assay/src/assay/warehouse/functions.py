"""Functions of Python that expressions call, made known to DuckDB: they belong to the database, to all sessions with it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import duckdb
import ibis.expr.operations as operations
from ibis.expr.operations.udf import InputType

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def make(connection: duckdb.DuckDBPyConnection, backend: Backend, function: Any, known: set[type]) -> None:
    """Make a function known, unless it is among those `known`."""
    maker = getattr(backend, f"_register_{function.__input_type__.name.lower()}_udf")(function)
    if maker is not None and type(function) not in known:
        with suppress(duckdb.InvalidInputException):  # it is none of this connection's
            connection.remove_function(type(function).__name__)
        maker(connection)


def share(connection: duckdb.DuckDBPyConnection, backend: Backend, known: set[type]) -> None:
    """Make all of them known before others are there: one made in a transaction is nobody else's yet."""
    for kind in operations.ScalarUDF.__subclasses__():
        if kind not in known and kind.__input_type__ is not InputType.BUILTIN:
            types = [each.annotation.pattern.dtype for each in kind.__signature__.parameters.values()]
            make(connection, backend, kind(*(operations.Literal(None, dtype=dtype) for dtype in types)), known)
            known.add(kind)
