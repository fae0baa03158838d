"""Counting and showing what `Contract.label` found: broken rules, rejected rows, offending examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.contract.payload import quoted
from assay.contract.profile import ColumnProfile
from assay.contract.profile import profile as profile_of

if TYPE_CHECKING:
    import duckdb

    from assay.contract.contract import Contract


@dataclass(frozen=True)
class Broken:
    """Broken rules of a labelled relation.

    Attributes:
        rows: all rows.
        rejected: rows that broke at least one rule.
        counts: rows per broken rule's code, in rule order; only rules that were broken.
        masks: rows per combination of mask values.
    """

    rows: int
    rejected: int
    counts: Mapping[str, int]
    masks: Mapping[tuple[int, ...], int]


@dataclass(frozen=True)
class Audit:
    """`Broken` and the profile of the audited rows."""

    rows: int
    broken: Mapping[str, int]
    masks: Mapping[tuple[int, ...], int]
    rejected: int
    profile: tuple[ColumnProfile, ...]
    content_hash: str


def broken(connection: duckdb.DuckDBPyConnection, relation: str, contract: Contract) -> Broken:
    """How many rows of a labelled relation broke which rules; reads the mask columns alone."""
    columns = ", ".join(contract.mask_columns)
    found = connection.execute(f"SELECT {columns}, count(*) FROM {relation} GROUP BY {columns} ORDER BY {columns}")
    masks = {tuple(row[:-1]): int(row[-1]) for row in found.fetchall()}
    counts: dict[str, int] = {rule.code: 0 for rule in contract.row_rules}
    for mask, rows in masks.items():
        for code in contract.codes(mask):
            counts[code] += rows
    return Broken(
        rows=sum(masks.values()),
        rejected=sum(rows for mask, rows in masks.items() if any(mask)),
        counts={code: rows for code, rows in counts.items() if rows},
        masks=masks,
    )


def audit(
    connection: duckdb.DuckDBPyConnection, relation: str, contract: Contract, *, only_valid: bool = False
) -> Audit:
    """Broken rules and profile of a labelled relation, in one scan of the masks and one of the columns.

    Args:
        only_valid: profile and hash only the rows that broke no rule; rules are counted over all rows.
    """
    found = broken(connection, relation, contract)
    where = f"NOT {contract.broken_sql()}" if only_valid and found.rejected else None
    described = profile_of(connection, relation, contract, where=where)
    return Audit(found.rows, found.counts, found.masks, found.rejected, described.columns, described.content_hash)


def sample_sql(contract: Contract, relation: str, code: str) -> str:
    """SQL that finds every row of a labelled relation that broke the rule `code`; raises KeyError if there is none."""
    index = {rule.code: number for number, rule in enumerate(contract.row_rules)}[code]
    columns = ", ".join(quoted(column.name) for column in contract.columns)
    return f"SELECT {columns} FROM {relation} WHERE {contract.bit_sql(index)}"


def sample(
    connection: duckdb.DuckDBPyConnection, relation: str, contract: Contract, code: str, limit: int = 10
) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """Up to `limit` masked rows that broke the rule `code`, and the SQL that finds all of them."""
    sql = sample_sql(contract, relation, code)
    return contract.masked_rows(connection, f"{sql} ORDER BY ALL LIMIT {limit}"), sql
