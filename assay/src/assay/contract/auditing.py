"""Counting what `Contract.label` found: broken rules and rejected rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import duckdb

    from assay.contract.rules import RowRule


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


class Labelled(Protocol):
    """What of a contract says how its rows are labelled."""

    @property
    def mask_columns(self) -> tuple[str, ...]: ...

    @property
    def row_rules(self) -> tuple[RowRule, ...]: ...

    def codes(self, masks: Sequence[int]) -> tuple[str, ...]: ...


def broken(connection: duckdb.DuckDBPyConnection, relation: str, contract: Labelled) -> Broken:
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
