"""Schemas of relations, and how two of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.compare.model import SchemaChange, SqlColumn

if TYPE_CHECKING:
    import duckdb


def describe(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[SqlColumn, ...]:
    """Names and types of a query's columns. A query does not tell nullability: it is None."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM ({query})").fetchall()
    return tuple(SqlColumn(name, type_) for name, type_, *_ in rows)


def match(expected: Sequence[SqlColumn], actual: Sequence[SqlColumn]) -> list[tuple[SqlColumn, SqlColumn]]:
    """Columns of both sides that belong together: by exact name, else by name ignoring case; in expected order."""
    exact = {column.name: column for column in actual}
    taken = {column.name for column in expected if column.name in exact}
    folded = {column.name.casefold(): column for column in actual if column.name not in taken}
    pairs: list[tuple[SqlColumn, SqlColumn]] = []
    for column in expected:
        if column.name in exact:
            pairs.append((column, exact[column.name]))
        elif column.name.casefold() in folded:
            pairs.append((column, folded.pop(column.name.casefold())))
    return pairs


def schema_changes(expected: Sequence[SqlColumn], actual: Sequence[SqlColumn]) -> tuple[SchemaChange, ...]:
    """Every difference: types and names first, then lost and new columns, then the order of the common ones."""
    pairs = match(expected, actual)
    changes: list[SchemaChange] = []
    for left, right in pairs:
        if left.name != right.name:
            changes.append(SchemaChange("renamed", left.name, left.name, right.name))
        if left.type != right.type:
            changes.append(SchemaChange("retyped", left.name, left.type, right.type))
        if None not in (left.nullable, right.nullable) and left.nullable != right.nullable:
            changes.append(SchemaChange("nullability", left.name, _null(left), _null(right)))
    left_names = {left.name for left, _ in pairs}
    right_names = {right.name for _, right in pairs}
    changes += [SchemaChange("removed", c.name, c.type, None) for c in expected if c.name not in left_names]
    changes += [SchemaChange("added", c.name, None, c.type) for c in actual if c.name not in right_names]
    wanted = [right.name for _, right in pairs]
    found = [column.name for column in actual if column.name in right_names]
    if wanted != found:
        changes.append(SchemaChange("reordered", "", ", ".join(wanted), ", ".join(found)))
    return tuple(changes)


def _null(column: SqlColumn) -> str:
    return "NULL" if column.nullable else "NOT NULL"
