"""What rows look like: count, per column nulls, distinct, minimum, maximum, mean, and a hash of the content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_project.framework.classification import mask
from pipeline_project.framework.contract.payload import quoted
from pipeline_project.framework.results import ColumnProfile

if TYPE_CHECKING:
    import duckdb

    from pipeline_project.framework.contract.columns import Column
    from pipeline_project.framework.contract.contract import Contract


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
    connection: duckdb.DuckDBPyConnection, relation: str, contract: Contract, *, where: str | None = None
) -> Profile:
    """Profile `relation` (a name or a parenthesized query) in one scan; `where` is SQL that narrows it."""
    expressions = ["count(*)", f"sum(hash({', '.join(quoted(column.name) for column in contract.columns)}))"]
    for column in contract.columns:
        expressions += _aggregates(column)
    condition = f" WHERE {where}" if where else ""
    row = connection.execute(f"SELECT {', '.join(expressions)} FROM {relation}{condition}").fetchall()[0]
    rows, total, values = int(row[0]), row[1] or 0, row[2:]
    columns = tuple(
        _column_profile(column, rows, values[index * 5 : index * 5 + 5])
        for index, column in enumerate(contract.columns)
    )
    described = "\n".join(f"{name} {sql_type}" for name, sql_type in contract.duckdb_columns.items())
    digest = hashlib.sha256(f"{described}\n{rows}\n{total}".encode()).hexdigest()
    return Profile(rows, columns, digest[:32])


def _aggregates(column: Column) -> list[str]:
    name = quoted(column.name)
    ordered = _is_ordered(column)
    return [
        f"count({name})",
        f"approx_count_distinct({name})",
        f"CAST(min({name}) AS VARCHAR)" if ordered else "NULL",
        f"CAST(max({name}) AS VARCHAR)" if ordered else "NULL",
        _mean(column),
    ]


def _is_ordered(column: Column) -> bool:
    dtype = column.dtype
    return bool(dtype.is_numeric() or dtype.is_temporal() or dtype.is_string() or dtype.is_boolean())


def _mean(column: Column) -> str:
    name, dtype = quoted(column.name), column.dtype
    if dtype.is_floating():
        # A plain sum of doubles depends on the order of rows and the number of threads; Kahan's does not in practice.
        finite = f"CAST({name} AS DOUBLE)"
        return f"kahan_sum({finite}) FILTER (isfinite({finite})) / nullif(count(*) FILTER (isfinite({finite})), 0)"
    return f"avg({name})" if dtype.is_numeric() else "NULL"


def _column_profile(column: Column, rows: int, values: tuple[Any, ...]) -> ColumnProfile:
    present, distinct, low, high, mean = values
    return ColumnProfile(
        name=column.name,
        nulls=rows - int(present),
        distinct=distinct,
        minimum=mask(low, column.classification),
        maximum=mask(high, column.classification),
        mean=None if mean is None or mask(mean, column.classification) == "***" else float(mean),
    )
