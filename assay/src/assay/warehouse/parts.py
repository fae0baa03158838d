"""The partitions that one build of a table replaces, and which rows they and the others are, in SQL."""

from __future__ import annotations

import datetime as dtm
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.sql import quoted

if TYPE_CHECKING:
    from assay.tables.nodes import TableDef
    from assay.tables.partitions import PartitionRange, Partitions


@dataclass(frozen=True)
class Parts:
    """What a build covers of a partitioned table.

    Attributes:
        asked: the table's own partitions to build; None for all that are complete.
        now: the run's moment, which says which are.
    """

    partitions: Partitions
    asked: PartitionRange | None
    now: dtm.datetime

    @classmethod
    def of(cls, table: TableDef, asked: PartitionRange | None, now: dtm.datetime) -> Parts | None:
        """None where the table has no partitions."""
        return cls(table.partitions, asked, now) if table.partitions is not None else None

    @property
    def built(self) -> PartitionRange | None:
        """The partitions this build replaces; None where none is complete yet."""
        return self.asked or self.partitions.whole(self.now)

    @property
    def keys(self) -> list[str]:
        """Their keys, in order."""
        return self.partitions.keys(self.built) if self.built is not None else []

    @property
    def rows(self) -> str:
        """SQL: the rows of these partitions."""
        return self._within(self.built)

    def summed(self, rows: str, **sums: str) -> str:
        """SQL: of each partition that `rows`, which stands in a FROM, has rows of, its key as `__part`, and what adds up.

        Keys are made of the column's few values: as texts of all rows they would cost more than the sums.
        """
        column = quoted(self.partitions.column)
        if self.partitions.unit == "hour":
            column = f"date_trunc('hour', make_timestamp(epoch_us({column})))"
        inner = ", ".join(f"{sql} AS {name}" for name, sql in sums.items())
        outer = ", ".join(f"sum({name}) AS {name}" for name in sums)
        return (
            f"SELECT {self.partitions.key_sql('__part')} AS __part, {outer} "
            f"FROM (SELECT {column} AS __part, {inner} FROM {rows} GROUP BY 1) GROUP BY 1"
        )

    def judged(self, column: str | None = None) -> str:
        """SQL: the rows that a build looks at: those of its partitions, and those that belong to none.

        Args:
            column: SQL of the partition column's value.
        """
        return f"(coalesce({self._within(self.built, column)}, true) OR {self.outside(column)})"

    @property
    def waiting(self) -> str:
        """SQL: the rows of the partition that is not over yet; a later build takes them."""
        return f"coalesce({self._within(self.partitions.current(self.now))}, false)"

    @property
    def code(self) -> str:
        """The reason code of rows that belong to no partition."""
        return f"{self.partitions.column}.outside_partitions"

    def outside(self, column: str | None = None) -> str:
        """SQL: rows whose partition is none of the table's; a row without a value is the contract's to judge.

        Args:
            column: SQL of the partition column's value.
        """
        known = (
            self._within(each, column) for each in (self.partitions.whole(self.now), self.partitions.current(self.now))
        )
        return f"coalesce(NOT ({' OR '.join(known)}), false)"

    def _within(self, of: PartitionRange | None, column: str | None = None) -> str:
        return self.partitions.within(of, column) if of is not None else "false"
