"""Whether every row of the input that a table preserves arrived, once: by its key, or by counting where that is all there is.

Counting alone takes a row that a join dropped and one that it doubled for nothing. The key tells them apart where the
input has one and the table carries it along as it is, under whatever name. Equal keys add up to equal sums of their
hashes, so both sides are read once, in their key's columns only; the keys are matched where the sums differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.contract.classification import mask
from assay.contract.payload import free
from assay.sql import quoted
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.warehouse.session import Session

SAMPLE = 10


@dataclass(frozen=True)
class Preserved:
    """How the rows of an input compare with those that a table made of them.

    Attributes:
        arrived: of the table, rejected ones included.
        lost, multiplied: rows of the input that did not arrive; rows that arrived once too often.
        how: what was compared, in words.
        sample: some of the keys concerned, with `rows` and `arrived`; classified values masked.
    """

    rows: int
    arrived: int
    lost: int
    multiplied: int
    how: str
    sample: tuple[Mapping[str, Any], ...] = ()

    def problem(self, name: str) -> str | None:
        """What is wrong, in words; None if nothing is."""
        if not self.lost and not self.multiplied:
            return None
        found = [f"{count:,} {verb}" for count, verb in ((self.lost, "lost"), (self.multiplied, "multiplied")) if count]
        return f"{name} has {rows_told(self.rows)}, {self.arrived:,} arrived: {' and '.join(found)} ({self.how})"


def carried_key(upstream: Contract, contract: Contract, carried: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The input's key as the table has it, column by column, and in words what is compared; empty where it has none.

    Args:
        carried: columns of the input -> the table's columns that hold their values unchanged.
    """
    if not upstream.key:
        return {}, "only counted: it has no key"
    key = ", ".join(upstream.key)
    types = contract.duckdb_columns
    lacking = [name for name in upstream.key if types.get(carried.get(name, "")) != upstream.duckdb_columns[name]]
    if lacking:
        return {}, f"only counted: of its key ({key}) {', '.join(lacking)} does not arrive unchanged"
    return {name: carried[name] for name in upstream.key}, f"compared by ({key})"


def compare(
    session: Session, upstream: Contract, key: Mapping[str, str], how: str, rows: str, arrived: str
) -> Preserved:
    """Compare two relations (names or parenthesized queries).

    Args:
        upstream: the input's contract.
        key: of `carried_key`; where it is empty the rows are counted.
        arrived: what the table made of them, at least the key's columns under the table's names.
    """
    ours, theirs = _listed(key), _listed(key.values())
    hashes = [f"sum((hash({listed}) >> 1)::BIGINT)" if key else "0" for listed in (ours, theirs)]
    counted = " UNION ALL ".join(
        f"(SELECT count(*), {total} FROM {side})" for side, total in zip((rows, arrived), hashes, strict=True)
    )
    (before, expected), (after, found) = session.connection.execute(counted).fetchall()
    if not key or (before == after and expected == found):
        return Preserved(before, after, max(before - after, 0), max(after - before, 0), how)
    names = [f"__k{place}" for place in range(len(key))]
    sides = [
        f"SELECT {', '.join(f'{quoted(column)} AS {name}' for column, name in zip(columns, names, strict=True))}, "
        f"{sign} AS __n FROM {side}"
        for columns, sign, side in ((key, 1, rows), (key.values(), -1, arrived))
    ]
    uneven = f"""SELECT {", ".join(names)}, count(*) FILTER (__n > 0) AS __before, count(*) FILTER (__n < 0) AS __after
        FROM ({" UNION ALL ".join(sides)}) GROUP BY {", ".join(names)} HAVING sum(__n) <> 0"""
    lost, multiplied = session.connection.execute(
        f"""SELECT coalesce(sum(greatest(__before - __after, 0)), 0), coalesce(sum(greatest(__after - __before, 0)), 0)
            FROM ({uneven})"""
    ).fetchall()[0]
    shown = session.connection.execute(f"{uneven} ORDER BY ALL LIMIT {SAMPLE}").fetchall()
    sample = tuple(
        {name: mask(value, upstream.column(name).classification) for name, value in zip(key, row, strict=False)}
        | {free("rows", key): row[-2], free("arrived", key): row[-1]}
        for row in shown
    )
    return Preserved(before, after, int(lost), int(multiplied), how, sample)


def _listed(columns: Any) -> str:
    return ", ".join(quoted(name) for name in columns)
