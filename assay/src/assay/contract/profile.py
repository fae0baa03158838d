"""What rows look like: count, per column nulls, distinct, minimum, maximum, mean, and a hash of the content.

Distinct values: DuckDB's HyperLogLog costs more than all the rest together, errs by 20%, and its stored
statistics do not exist before a commit. So a column's values are sampled by their hash: of the values whose
hash ends in six zero bits the distinct ones are counted, which is 1/64 of all distinct values, whatever the
order of rows or the number of threads. Where that is too few to multiply, the column has few distinct values
and counting them exactly is cheap. (Distinct sampling: P. Gibbons, VLDB 2001.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.contract.classification import is_masked, mask
from assay.sql import quoted

if TYPE_CHECKING:
    import duckdb

    from assay.contract.columns import Column

SAMPLED = 64
"""One of so many distinct values is counted; a power of two."""
ENOUGH = 256
"""Sampled values from which the estimate counts: its relative standard error is below 1/16."""


@dataclass(frozen=True)
class ColumnProfile:
    """One column of the published rows; `distinct` is exact up to about 16,000, values are text, masked if classified."""

    name: str
    nulls: int
    distinct: int | None
    minimum: str | None
    maximum: str | None
    mean: float | None


@dataclass(frozen=True)
class Profile:
    """A relation in numbers.

    Attributes:
        content_hash: of the multiset of rows with their columns' names and types; no order of rows, no number
            of threads changes it. It is DuckDB's `hash`, so it is comparable within one DuckDB version.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    content_hash: str


def profile(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[Column],
    *,
    rows: int | None = None,
) -> Profile:
    """Profile `relation` (a name or a parenthesized query).

    One scan, and a second one of the columns that turn out to have few distinct values. Distinct counts are
    exact up to about 16,000 values and estimated to some percent above.

    Args:
        rows: how many there are, where that is known: with few rows one scan counts every distinct value.
    """
    small = rows is not None and rows < SAMPLED * ENOUGH
    hashed = ", ".join(f"hash({quoted(column.name)}) AS __hash_{index}" for index, column in enumerate(columns))
    row_hash = f"hash({', '.join(f'__hash_{index}' for index in range(len(columns)))})"
    expressions = ["count(*)", f"sum({row_hash})"]
    for index, column in enumerate(columns):
        expressions += _aggregates(column, None if small else f"__hash_{index}")
    row = connection.execute(f"SELECT {', '.join(expressions)} FROM (SELECT *, {hashed} FROM {relation})").fetchall()[0]
    found, total = int(row[0]), row[1] or 0
    values = [row[2 + index * 5 : 7 + index * 5] for index in range(len(columns))]
    distinct = {column.name: int(numbers[1]) for column, numbers in zip(columns, values, strict=True)}
    if not small:
        exact = _count_distinct(connection, relation, [name for name, sampled in distinct.items() if sampled < ENOUGH])
        distinct = {name: exact.get(name, sampled * SAMPLED) for name, sampled in distinct.items()}
    return Profile(
        found,
        tuple(
            _column_profile(column, found, distinct[column.name], numbers)
            for column, numbers in zip(columns, values, strict=True)
        ),
        _digest(columns, found, int(total)),
    )


def _aggregates(column: Column, hashed: str | None) -> list[str]:
    """What is asked of a column; its distinct values are sampled by `hashed`, or counted where that is None."""
    name, shown = quoted(column.name), not is_masked(column.classification)
    ordered = shown and _is_ordered(column)
    return [
        f"count({name})",
        f"count(DISTINCT {hashed}) FILTER ({hashed} & {SAMPLED - 1} = 0)" if hashed else f"count(DISTINCT {name})",
        f"CAST(min({name}) AS VARCHAR)" if ordered else "NULL",
        f"CAST(max({name}) AS VARCHAR)" if ordered else "NULL",
        _mean(column) if shown else "NULL",
    ]


def _is_ordered(column: Column) -> bool:
    dtype = column.dtype
    return bool(dtype.is_numeric() or dtype.is_temporal() or dtype.is_string() or dtype.is_boolean())


def _mean(column: Column) -> str:
    name, dtype = quoted(column.name), column.dtype
    if dtype.is_floating():
        # A plain sum of doubles depends on the order of rows; Kahan's hardly does. NaN and infinities have no mean.
        return f"favg({name}) FILTER (isfinite({name}))"
    return f"avg({name})" if dtype.is_numeric() else "NULL"


def _count_distinct(connection: duckdb.DuckDBPyConnection, source: str, names: list[str]) -> dict[str, int]:
    if not names:
        return {}
    counts = ", ".join(f"count(DISTINCT {quoted(name)})" for name in names)
    return dict(zip(names, connection.execute(f"SELECT {counts} FROM {source}").fetchall()[0], strict=True))


def _column_profile(column: Column, rows: int, distinct: int, values: tuple[Any, ...]) -> ColumnProfile:
    present, _, low, high, mean = values
    if present and is_masked(column.classification):
        low = high = mask("a value", column.classification)
    return ColumnProfile(
        name=column.name,
        nulls=rows - int(present),
        distinct=min(distinct, int(present)),
        minimum=low,
        maximum=high,
        mean=mean,
    )


def _digest(columns: Sequence[Column], rows: int, total: int) -> str:
    described = "\n".join(f"{column.name} {column.sql_type}" for column in columns)
    return hashlib.sha256(f"{described}\n{rows}\n{total}".encode()).hexdigest()[:32]
