"""What a build would take away of what is published: rows, whole partitions, keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.sql import quoted
from assay.tables.nodes import removes_too_much
from assay.warehouse.session import Session
from assay.words import plural

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.nodes import TableDef
    from assay.warehouse.parts import Parts
    from assay.warehouse.staging import Staged

NAMED = 3
"""How many partitions that lost all their rows a message names."""


@dataclass(frozen=True)
class Replaced:
    """The published rows whose place the staged ones would take.

    Attributes:
        emptied: partitions of them for which no row is staged -> how many they have.
        keys: how many keys would go; None where they were not compared.
    """

    rows: int = 0
    emptied: Mapping[str, int] = field(default_factory=dict)
    keys: int | None = None

    def problems(self, table: TableDef, published: int) -> Iterator[str]:
        """What of it is more than the table allows, and what to write if that is right."""
        allowed = "if that is right: @table(may_be_empty=True)"
        if self.rows and not published:
            if not table.may_be_empty:
                yield f"no row is left where {_are(self.rows)} published ({allowed})"
            return
        if self.emptied and not table.may_be_empty:
            named = ", ".join(list(self.emptied)[:NAMED]) + (", ..." if len(self.emptied) > NAMED else "")
            assert table.partitions is not None
            where = named if len(self.emptied) == 1 else f"{len(self.emptied):,} {table.partitions.noun}s ({named})"
            yield f"no row is left of {where} where {_are(sum(self.emptied.values()))} published ({allowed})"
        removed = self.rows - published
        if removes_too_much(removed, self.rows, table.may_shrink):
            keys = "" if self.keys is None else f", {self.keys:,} {plural(self.keys, 'key')} with them"
            share = math.ceil(100 * removed / self.rows) / 100
            yield (
                f"{removed:,} of {self.rows:,} published rows would go ({removed / self.rows:.1%}){keys}, "
                f"more than may_shrink={table.may_shrink:g} (if that is right: @table(may_shrink={share:g}))"
            )


def replaced(session: Session, table: TableDef, contract: Contract, staged: Staged, parts: Parts | None) -> Replaced:
    """What the staged rows would take the place of."""
    if not session.exists(table):
        return Replaced()
    existing = session.relation(table)
    there = session.columns(table)
    # Where the published table has other columns it can only be counted.
    same = {name for name, kind in contract.duckdb_columns.items() if there.get(name) == kind}
    emptied: dict[str, int] = {}
    if parts is not None and parts.partitions.column in same:
        before = f"{existing} WHERE {parts.rows}"
        theirs, ours = (parts.summed(each, __rows="count(*)") for each in (before, staged.relation))
        emptied = dict(
            session.connection.execute(
                f"SELECT __part, __rows::BIGINT FROM ({theirs}) ANTI JOIN ({ours}) USING (__part) ORDER BY __part"
            ).fetchall()
        )
        existing = f"(SELECT * FROM {before})" if parts.asked is not None else existing
    rows = session.number(f"SELECT count(*) FROM {existing}")
    keys = None
    if contract.key and set(contract.key) <= same and removes_too_much(rows - staged.published, rows, table.may_shrink):
        listed = ", ".join(quoted(name) for name in contract.key)
        keys = session.number(f"SELECT count(*) FROM {existing} ANTI JOIN {staged.relation} USING ({listed})")
    return Replaced(rows, emptied, keys)


def _are(count: int) -> str:
    return f"{count:,} {'is' if count == 1 else 'are'}"
