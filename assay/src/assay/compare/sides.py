"""The rows of two versions of a table that a comparison looks at, where the others are known to be the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from assay.compare.model import Difference


@dataclass(frozen=True)
class Counts:
    """How many rows differ, and changed cells by column."""

    added: int
    removed: int
    changed: int
    columns: Mapping[str, int]


@dataclass(frozen=True)
class Sides:
    """What is to be compared.

    Attributes:
        before, after: SELECTs for DuckDB.
        key: the columns that identify a row; empty where none do.
        rows: of both versions, where the SELECTs have only those that differ.
        counts: where more differ than the SELECTs have, which are samples then.
    """

    before: str
    after: str
    key: tuple[str, ...] = ()
    rows: tuple[int, int] | None = None
    counts: Counts | None = None

    def whole(self, found: Difference) -> Difference:
        """The difference of the versions, of which the comparer has found that of the SELECTs."""
        if self.rows is None:
            return found
        counts = self.counts or Counts(found.added or 0, found.removed or 0, found.changed or 0, found.columns)
        before, after = self.rows
        same = before - counts.removed - counts.changed
        columns = {name: cells for name, cells in sorted(counts.columns.items(), key=_most_first) if cells}
        found = dataclasses.replace(found, expected_rows=before, actual_rows=after, same=same, columns=columns)
        return dataclasses.replace(found, added=counts.added, removed=counts.removed, changed=counts.changed)


def _most_first(column: tuple[str, int]) -> tuple[int, str]:
    return -column[1], column[0]
