"""Keys: whether the columns that name a row are present and never repeat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.contract.columns import masked_rows
from assay.contract.payload import free
from assay.sql import quoted

if TYPE_CHECKING:
    import duckdb

    from assay.contract.columns import Column

SAMPLE = 10
SUSPECTS = "__suspects"
"""The temporary table of what `find_suspects` found last."""
FEW = 250_000
"""Up to so many rows their keys are grouped at once."""


@dataclass(frozen=True)
class KeyProblems:
    """What is wrong with a key.

    Attributes:
        nulls: rows in which a column of the key is missing.
        repeated: keys that occur more than once.
        excess: rows that would have to go for every key to occur once.
        sample: up to ten repeated keys with their `rows`, classified values masked.
        sample_sql: finds all of them; None if the key is sound.
    """

    key: tuple[str, ...]
    nulls: int
    repeated: int
    excess: int
    sample: tuple[Mapping[str, Any], ...] = ()
    sample_sql: str | None = None

    @property
    def sound(self) -> bool:
        return self.nulls == 0 and self.excess == 0


def hashed_key(columns: Sequence[str]) -> str:
    """SQL: 32 bits of the key's hash. Equal keys have equal ones; different keys nearly always differ."""
    return f"(hash({', '.join(quoted(name) for name in columns)}) >> 32)::UINTEGER"


def find_suspects(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str], *, rows: int | None = None
) -> str:
    """SQL: whether a row's key may be repeated in `relation`; few rows are, so the keys themselves are compared only there.

    Sorting four bytes a row takes a quarter of the time and memory of grouping by the key: on 21 million rows
    of three BIGINT columns 2.2 s against 9.1 s of processor time, 0.4 GB against 1.3 GB. Of at most
    `FEW` rows all are suspects.
    """
    if rows is not None and rows <= FEW:
        return "true"
    hashed = hashed_key(columns)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {SUSPECTS} AS SELECT DISTINCT __hashed FROM (
                SELECT __hashed, lag(__hashed) OVER (ORDER BY __hashed) AS __previous
                FROM (SELECT {hashed} AS __hashed FROM {relation}))
            WHERE __hashed = __previous"""
    )
    return f"{hashed} IN (SELECT __hashed FROM {SUSPECTS})"


def key_problems(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Iterable[Column],
    key: tuple[str, ...],
    *,
    rows: int | None = None,
) -> KeyProblems:
    """Nulls and repeats of a key of `relation` (a name or a parenthesized query).

    Rows whose key is null count as `nulls` and never as repeats.

    Args:
        columns: the relation's, whose classes say what may be shown.
        key: names of some of them; a key of none is sound.
        rows: how many rows there are, where that is known.
    """
    if not key:
        return KeyProblems((), 0, 0, 0)
    listed = ", ".join(quoted(name) for name in key)
    present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in key)
    repeats = (
        f"SELECT {listed}, count(*) AS __rows FROM {relation} WHERE {present} GROUP BY {listed} HAVING count(*) > 1"
    )
    missing = f"SELECT * FROM {relation} WHERE NOT ({present})"
    suspected = find_suspects(connection, relation, key, rows=rows)
    found_sql = repeats.replace(f" WHERE {present} ", f" WHERE {present} AND {suspected} ", 1)
    found = connection.execute(
        f"SELECT (SELECT count(*) FROM ({missing})), count(*), coalesce(sum(__rows - 1), 0) FROM ({found_sql})"
    ).fetchall()[0]
    nulls, repeated, excess = (int(number) for number in found)
    if excess:
        some = f"{found_sql} ORDER BY ALL LIMIT {SAMPLE}"
        shown = masked_rows(connection, f"SELECT {listed} FROM ({some})", columns)
        counted = connection.execute(f"SELECT __rows FROM ({some})").fetchall()
        sample = tuple({**row, free("rows", key): count} for row, (count,) in zip(shown, counted, strict=True))
        return KeyProblems(key, nulls, repeated, excess, sample, f"{repeats} ORDER BY ALL")
    if nulls:
        shown = masked_rows(connection, f"SELECT {listed} FROM ({missing}) ORDER BY ALL LIMIT {SAMPLE}", columns)
        return KeyProblems(key, nulls, 0, 0, shown, missing)
    return KeyProblems(key, 0, 0, 0)
