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

import ibis.expr.datatypes as dt

from assay.contract.classification import is_masked, mask
from assay.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

    from assay.contract.columns import Column

SAMPLED = 64
"""One of so many distinct values is counted; a power of two."""
ENOUGH = 256
"""Sampled values from which the estimate counts: its relative standard error is below 1/16."""
LEFT = 1e-3
"""Of the largest sum that a mean is carried on with, what must be left of it: a double has sixteen digits."""
WIDE = 28
"""Digits up to which ten billion decimals add up in 128 bits, where DuckDB sums them; where one has more, they are added up as doubles."""

Sums = tuple[int, int, Sequence[tuple[Any, ...]]]
"""Rows, the sum of their hashes, and of each column its values that are not null, smallest, largest and mean."""


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
            of threads changes it. It is DuckDB's `hash`, so it is comparable within one DuckDB version. 0.0 and -0.0 count as equal.
        total: the sum of the rows' hashes, from which `updated` goes on.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    content_hash: str
    total: int = 0


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
    hashed = ", ".join(f"{value_hash(column)} AS __hash_{index}" for index, column in enumerate(columns))
    of_row = ", ".join(f"__hash_{index}" for index in range(len(columns)))
    expressions = ["count(*)", f"sum(hash({of_row}))"]
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
            column_profile(column, found, distinct[column.name], numbers)
            for column, numbers in zip(columns, values, strict=True)
        ),
        digest(columns, found, int(total)),
        int(total),
    )


def updated(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[Column],
    before: Profile,
    went: Sums,
    came: Sums,
) -> Profile:
    """The profile of `relation`, of which `before` was known, from the rows that went and came; equal ones change nothing.

    A column whose mean cannot be carried on is read again, and of one whose smallest or largest value went what may hold the next. Distinct values
    cannot be carried on at all: None, for to count them takes as long as everything else.
    """
    (gone, minus, theirs), (come, plus, ours) = went, came
    if (gone, minus) == (come, plus):
        return before
    rows, total = before.rows - gone + come, before.total - minus + plus
    profiles = []
    for column, old, lost, new in zip(columns, before.columns, theirs, ours, strict=True):
        nulls = old.nulls - (gone - lost[0]) + (come - new[0])
        present = before.rows - old.nulls
        missing = {old.minimum, old.maximum} & {lost[1], lost[2]} - {new[1], new[2], None}
        if column.dtype.is_floating():
            numbers = connection.execute(f"SELECT {', '.join(_numbers(column))} FROM {relation}").fetchall()[0]
        else:
            ends: list[str | None] = [old.minimum, old.maximum]
            if not all(_has(connection, relation, column, end) for end in missing if end is not None):
                ends = [_end(connection, relation, column, way) for way in ("ASC", "DESC")]
            known_ends = [each for each in (*ends, new[1], new[2]) if each is not None]
            low, high = _ends(connection, column, known_ends)
            parts = [(old.mean, present), (lost[3], -lost[0]), (new[3], new[0])]
            terms = [mean * count for mean, count in parts if mean is not None and count]
            mean = sum(terms) / (rows - nulls) if terms and rows > nulls else None
            if mean is not None and abs(sum(terms)) < LEFT * max(map(abs, terms)):
                mean = connection.execute(f"SELECT {_mean(column)} FROM {relation}").fetchall()[0][0]
            numbers = (rows - nulls, low, high, mean)
        profiles.append(column_profile(column, rows, None, (numbers[0], None, *numbers[1:])))
    return Profile(rows, tuple(profiles), digest(columns, rows, total), total)


def sums(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> Sums:
    """What `updated` needs to know of rows that go or come."""
    asked = ", ".join(each for column in columns for each in _numbers(column))
    row = connection.execute(f"SELECT count(*), sum({row_hash(columns)}), {asked} FROM {relation}").fetchall()[0]
    return int(row[0]), int(row[1] or 0), [row[2 + 4 * at : 6 + 4 * at] for at in range(len(columns))]


def row_hash(columns: Sequence[Column]) -> str:
    """SQL: a hash of a row's values; the sum over rows is the same in any order."""
    return f"hash({', '.join(map(value_hash, columns))})"


def value_hash(column: Column) -> str:
    """SQL: a hash of a column's value."""
    name, dtype = quoted(column.name), column.dtype
    # DuckDB hashes no list, [], [NULL] and a struct of nulls alike, [[1], [2]] as [[1, 2]], and a month as 30 days.
    return f"hash({name}, CAST({name} AS VARCHAR))" if dtype.is_nested() or dtype.is_interval() else f"hash({name})"


def _has(connection: duckdb.DuckDBPyConnection, relation: str, column: Column, text: str) -> bool:
    """Whether a value of the column that is given as text is left; found soon where it is."""
    value = f"CAST({literal(text)} AS {column.sql_type})"
    return bool(
        connection.execute(f"SELECT 1 FROM {relation} WHERE {quoted(column.name)} = {value} LIMIT 1").fetchall()
    )


def _end(connection: duckdb.DuckDBPyConnection, relation: str, column: Column, way: str) -> str | None:
    """The first value in an order, as text: of a large table DuckDB skips what cannot hold it, which min() does not."""
    name = quoted(column.name)
    query = f"SELECT CAST({name} AS VARCHAR) FROM {relation} WHERE {name} IS NOT NULL ORDER BY {name} {way} LIMIT 1"
    found = connection.execute(query).fetchall()
    return found[0][0] if found else None


def _ends(connection: duckdb.DuckDBPyConnection, column: Column, texts: list[str]) -> tuple[str | None, str | None]:
    """The smallest and the largest of some values of a column that are given as text."""
    if not texts or is_masked(column.classification):
        return None, None
    values = ", ".join(f"(CAST({literal(text)} AS {column.sql_type}))" for text in texts)
    low, high = connection.execute(
        f"SELECT CAST(min(v) AS VARCHAR), CAST(max(v) AS VARCHAR) FROM (VALUES {values}) AS t(v)"
    ).fetchall()[0]
    return low, high


def _numbers(column: Column) -> list[str]:
    """Of `_aggregates` all but the distinct values."""
    count, _, *others = _aggregates(column, None)
    return [count, *others]


def _aggregates(column: Column, hashed: str | None) -> list[str]:
    """What is asked of a column; its distinct values are sampled by `hashed`, or counted where that is None."""
    name, shown = quoted(column.name), not is_masked(column.classification)
    ordered = shown and is_ordered(column)
    return [
        f"count({name})",
        f"count(DISTINCT {hashed}) FILTER ({hashed} & {SAMPLED - 1} = 0)" if hashed else f"count(DISTINCT {name})",
        f"CAST(min({name}) AS VARCHAR)" if ordered else "NULL",
        f"CAST(max({name}) AS VARCHAR)" if ordered else "NULL",
        _mean(column) if shown else "NULL",
    ]


def is_ordered(column: Column) -> bool:
    """Whether a column has a smallest and a largest value."""
    dtype = column.dtype
    return bool(dtype.is_numeric() or dtype.is_temporal() or dtype.is_string() or dtype.is_boolean())


def _mean(column: Column) -> str:
    name, dtype = quoted(column.name), column.dtype
    if dtype.is_floating():
        # A plain sum of doubles depends on the order of rows; Kahan's hardly does. NaN and infinities have no mean.
        return f"favg({name}) FILTER (isfinite({name}))"
    if isinstance(dtype, dt.Decimal) and (dtype.precision or 0) > WIDE:
        narrow = f"(WHERE abs({name}) < CAST('1e{WIDE - (dtype.scale or 0)}' AS {column.sql_type}))"
        exact = f"count({name}) FILTER {narrow} = count({name})"
        return f"CASE WHEN {exact} THEN avg({name}) FILTER {narrow} ELSE favg(CAST({name} AS DOUBLE)) END"
    return f"avg({name})" if dtype.is_numeric() else "NULL"


def _count_distinct(connection: duckdb.DuckDBPyConnection, source: str, names: list[str]) -> dict[str, int]:
    if not names:
        return {}
    counts = ", ".join(f"count(DISTINCT {quoted(name)})" for name in names)
    return dict(zip(names, connection.execute(f"SELECT {counts} FROM {source}").fetchall()[0], strict=True))


def column_profile(column: Column, rows: int, distinct: int | None, values: tuple[Any, ...]) -> ColumnProfile:
    """Of a column: how many values it has, the distinct ones again, the smallest, the largest, the mean; classified ones masked."""
    present, _, low, high, mean = values
    if present and is_masked(column.classification):
        low = high = mask("a value", column.classification)
    return ColumnProfile(
        name=column.name,
        nulls=rows - int(present),
        distinct=None if distinct is None else min(distinct, int(present)),
        minimum=low,
        maximum=high,
        mean=mean,
    )


def digest(columns: Sequence[Column], rows: int, total: int) -> str:
    """The content hash of so many rows whose hashes add up to `total`."""
    described = "\n".join(f"{column.name} {column.sql_type}" for column in columns)
    return hashlib.sha256(f"{described}\n{rows}\n{total}".encode()).hexdigest()[:32]
