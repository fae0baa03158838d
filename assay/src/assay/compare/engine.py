"""The comparison: what is to be compared, checked first, then matched by key or counted as a multiset."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.compare.keyed import KeyedRows
from assay.compare.model import CompareError, Difference, KeyProblem, SqlColumn, Tolerance
from assay.compare.multiset import Multiset, numbered
from assay.compare.samples import Sampler
from assay.compare.schema import describe, match, schema_changes
from assay.compare.sql import Pair, check_tolerance

if TYPE_CHECKING:
    import duckdb

EXACT_ROWS = 100_000
"""Above so many rows a side, rows whose 64-bit fingerprints agree are taken as equal without looking at each column."""


def compare(
    connection: duckdb.DuckDBPyConnection,
    expected: str,
    actual: str,
    *,
    key: Sequence[str] | None = None,
    tolerances: Mapping[str, Tolerance] | None = None,
    volatile: Collection[str] = (),
    masked: Collection[str] = (),
    max_samples: int = 10,
    expected_columns: Sequence[SqlColumn] | None = None,
    actual_columns: Sequence[SqlColumn] | None = None,
    exact_rows: int = EXACT_ROWS,
    rows: tuple[int, int] | None = None,
) -> Difference:
    """How the rows of query `actual` differ from those of query `expected`.

    Both are SELECTs over tables: each is read a few times. Memory is bounded by DuckDB's own limit; what Python
    holds are the samples. A temporary table of the connection is used and dropped.

    Args:
        key: the columns that identify a row; without any, the tables are compared as multisets.
        tolerances: per FLOAT or DOUBLE column. Without a key, rows equal in all other columns are paired in order.
        volatile: columns compared by type and by being null only.
        masked: columns whose values samples show as numbers, which tell equal ones from others.
        max_samples: how many changed, added and removed rows to show, each.
        expected_columns, actual_columns: the schemas to compare, where the queries' own do not say everything
            (nullability; a column stored as text).
        exact_rows: see EXACT_ROWS.
        rows: how many rows the two have, where that is known.

    Raises:
        CompareError: a tolerance, volatile or key column that the expected side does not have or cannot have; a
            column whose name begins with `__`, as those of the comparer's own do.
    """
    left, right = describe(connection, expected), describe(connection, actual)
    for column in (*left, *right):
        if column.name.startswith("__"):
            raise CompareError("names that begin with __ are the comparer's own", where=column.name, fix="Rename it.")
    _check_names({"key": key or (), "tolerance": tolerances or {}, "volatile": volatile}, left)
    changes = schema_changes(expected_columns or left, actual_columns or right)
    pairs = [Pair(e, a, (tolerances or {}).get(e.name), e.name in volatile) for e, a in match(left, right)]
    keys = [pair for name in key or () for pair in pairs if pair.name == name]
    for pair in pairs:
        if pair.tolerance is not None:
            check_tolerance(pair.expected, pair.tolerance, key=pair in keys)
        if pair.volatile and pair in keys:
            raise CompareError("the key cannot be volatile", where=pair.name)
    rows = rows or _count(connection, expected, actual)
    base = Difference(key=tuple(key or ()), expected_rows=rows[0], actual_rows=rows[1], schema=changes)
    problems = _missing(key or (), left, right)
    if problems:
        return replace(base, key_problems=problems)
    sampler = Sampler(connection, frozenset(masked), max_samples)
    exact = max(rows) <= exact_rows
    if keys:
        return KeyedRows(connection, sampler, expected, actual, keys, pairs, base, exact).compare()
    if not any(pair.loose for pair in pairs):
        return Multiset(connection, sampler, expected, actual, pairs, base, exact).compare()
    expected, actual, keys = numbered(expected, actual, pairs)
    return KeyedRows(connection, sampler, expected, actual, keys, pairs, base, exact).compare()


def _check_names(uses: Mapping[str, Collection[str]], columns: Sequence[SqlColumn]) -> None:
    known = {column.name for column in columns}
    for use, names in uses.items():
        for name in names:
            if name not in known:
                raise CompareError(f"{use} column '{name}' does not exist", fix=f"Columns: {', '.join(sorted(known))}.")


def _missing(key: Sequence[str], left: Sequence[SqlColumn], right: Sequence[SqlColumn]) -> tuple[KeyProblem, ...]:
    found = {pair[0].name for pair in match(left, right)}
    return tuple(KeyProblem("actual", "missing", 0, ({name: None},)) for name in key if name not in found)


def _count(connection: duckdb.DuckDBPyConnection, expected: str, actual: str) -> tuple[int, int]:
    """The rows of each side."""
    row = connection.execute(
        f"SELECT (SELECT count(*) FROM ({expected})), (SELECT count(*) FROM ({actual}))"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
