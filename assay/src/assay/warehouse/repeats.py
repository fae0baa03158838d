"""Rows with the same key, of which the first is kept: which one that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.sql import quoted

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.nodes import KeepFirst, TableDef


def losers_sql(
    table: TableDef, contract: Contract, keep: KeepFirst, relation: str, extras: Sequence[str], existing: str | None
) -> str:
    """SQL: the row ids of staged rows that are not the first of their key."""
    key = ", ".join(quoted(column) for column in contract.key)
    listed = ", ".join(quoted(column.name) for column in contract.columns)
    order = order_sql(table, contract, keep, extras)
    rows = (
        f"SELECT {', '.join([listed, *map(quoted, extras)])}, rowid AS __row_id, true AS __is_staged "
        f"FROM {relation} SEMI JOIN __repeated USING ({key})"
    )
    if existing is not None:
        rows += f" UNION ALL BY NAME SELECT {listed}, false AS __is_staged FROM {existing} SEMI JOIN __repeated USING ({key})"
    return f"""
        SELECT __row_id AS row_id FROM (
            SELECT __row_id, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS __place
            FROM ({rows}))
        WHERE __place > 1 AND __row_id IS NOT NULL"""


def order_sql(table: TableDef, contract: Contract, keep: KeepFirst, extras: Sequence[str]) -> str:
    """SQL of the order of rows with one key: published ones come first where rows are only added, and else among equals."""
    order = keep.order_sql([column.name for column in contract.columns])
    order = ["__is_staged", *order] if table.appends else [*order, "__is_staged"]
    return ", ".join([*order, *(f"{quoted(name)} NULLS LAST" for name in extras)])
