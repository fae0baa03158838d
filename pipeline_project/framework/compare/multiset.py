"""Tables without a key: equal when every row occurs equally often on both sides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline_project.framework.compare.model import Column, Difference, RowSample
from pipeline_project.framework.compare.samples import Sampler
from pipeline_project.framework.compare.sql import Pair, companion, fingerprint, names, quote

if TYPE_CHECKING:
    import duckdb


_BITS = 12
"""How many bits of a fingerprint name its bucket: 4,096 sums stay in a processor's cache."""
_REST = 64 - _BITS
_KEPT = 100_000
"""Up to so many fingerprints that are uneven, their rows are set aside once; more could be both tables."""


@dataclass
class Multiset:
    """One comparison of whole rows."""

    connection: duckdb.DuckDBPyConnection
    sampler: Sampler
    expected: str
    actual: str
    pairs: list[Pair]
    base: Difference
    exact: bool

    def compare(self) -> Difference:
        """Count every row on both sides; what is left over on one side was removed or added."""
        if self.exact or not all(pair.hashable for pair in self.pairs):
            return self._compare(f"({self._counted(None)})")
        buckets = self._uneven_buckets()
        if not buckets:
            return replace(self.base, added=0, removed=0, changed=0, same=self.base.expected_rows)
        uneven, counted = "__compare_uneven", "__compare_counted"
        try:
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {uneven} AS {self._uneven(buckets)}")
            found = self.connection.execute(f"SELECT count(*) FROM temp.{uneven}").fetchone()
            if found is None or found[0] > _KEPT:
                return self._compare(f"({self._counted(uneven)})")
            # Each question would read both tables again.
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {counted} AS {self._counted(uneven)}")
            return self._compare(f"temp.{counted}")
        finally:
            for table in (uneven, counted):
                self.connection.execute(f"DROP TABLE IF EXISTS temp.{table}")

    def _compare(self, counted: str) -> Difference:
        row = self.connection.execute(
            f"SELECT coalesce(sum(greatest(__e - __a, 0)), 0), coalesce(sum(greatest(__a - __e, 0)), 0) FROM {counted}"
        ).fetchone()
        assert row is not None
        removed, added = int(row[0]), int(row[1])
        return replace(
            self.base,
            added=added,
            removed=removed,
            changed=0,
            same=self.base.expected_rows - removed,
            only_actual=self._left_over(counted, "__a - __e") if added else (),
            only_expected=self._left_over(counted, "__e - __a") if removed else (),
        )

    def _counted(self, uneven: str | None) -> str:
        """Rows by identity, with how often each side has it, where that differs; `uneven` narrows the rows to look at."""
        sides = []
        for side, query in (("e", self.expected), ("a", self.actual)):
            columns = [f"{name} AS __c{i}" for i, name in enumerate(names(self.pairs, side))]
            counts = ["1 AS __e", "0 AS __a"] if side == "e" else ["0 AS __e", "1 AS __a"]
            where = f" WHERE {fingerprint(self.pairs, side)} IN (FROM temp.{uneven})" if uneven else ""
            sides.append(f"SELECT {', '.join([*columns, *counts])} FROM ({query}){where}")
        by = [f"__c{i}" for i in range(len(self.pairs))]
        extra = [companion(f"__c{i}", pair.expected.type) for i, pair in enumerate(self.pairs)]
        group = ", ".join([*by, *(sql for sql in extra if sql)]) or "()"
        return (
            f"SELECT {', '.join([*by, 'sum(__e) AS __e', 'sum(__a) AS __a'])} FROM ({' UNION ALL '.join(sides)}) "
            f"GROUP BY {group} HAVING sum(__e) <> sum(__a)"
        )

    @property
    def _fingerprints(self) -> str:
        return (
            f"SELECT {fingerprint(self.pairs, 'e')} AS __h, 1 AS __n FROM ({self.expected}) "
            f"UNION ALL SELECT {fingerprint(self.pairs, 'a')}, -1 FROM ({self.actual})"
        )

    def _uneven_buckets(self) -> set[int]:
        """Where fingerprints differ, by their first bits: their sums are the same on both sides elsewhere.

        Most tables are equal, and a few sums take a third of the time of counting every fingerprint.
        """
        found = self.connection.execute(
            f"SELECT __h >> {_REST} AS __b FROM ({self._fingerprints}) GROUP BY __b "
            f"HAVING sum(__n) <> 0 OR sum(__h::HUGEINT * __n) <> 0"  # a sum alone would not see the fingerprint 0
        ).fetchall()
        return {int(row[0]) for row in found}

    def _uneven(self, buckets: Collection[int]) -> str:
        """Fingerprints that do not occur equally often on both sides; they are in `buckets`."""
        flags = "".join("1" if bucket in buckets else "0" for bucket in range(1 << _BITS))
        return (
            f"SELECT __h FROM ({self._fingerprints}) WHERE get_bit('{flags}'::BIT, (__h >> {_REST})::INTEGER) = 1 "
            f"GROUP BY __h HAVING sum(__n) <> 0"
        )

    def _left_over(self, counted: str, copies: str) -> tuple[RowSample, ...]:
        columns = [*(f"__c{i}" for i in range(len(self.pairs))), "__n"]
        order = ", ".join(f"__c{i}" for i in range(len(self.pairs))) or "__n"
        rows = self.sampler.rows(columns, f"SELECT *, {copies} AS __n FROM {counted} WHERE {copies} > 0", order)
        return tuple(
            RowSample(
                {},
                {pair.name: self.sampler.text(pair.name, row[f"__c{i}"]) for i, pair in enumerate(self.pairs)},
                int(row["__n"] or 1),
            )
            for row in rows
        )


def numbered(expected: str, actual: str, pairs: list[Pair]) -> tuple[str, str, list[Pair]]:
    """Both queries with a number per row among the rows equal in every exactly compared column, and the key that gives.

    The number follows the loosely compared columns, so that the nearest rows meet. Returns the two queries and
    the pairs that identify a row.
    """
    strict = [pair for pair in pairs if not pair.loose]
    loose = [pair for pair in pairs if pair.loose]
    queries = []
    for query, name in ((expected, "expected"), (actual, "actual")):
        by = ", ".join(quote(getattr(pair, name).name) for pair in strict)
        order = ", ".join(quote(getattr(pair, name).name) for pair in loose)
        partition = f"PARTITION BY {by} " if by else ""
        queries.append(f"SELECT *, row_number() OVER ({partition}ORDER BY {order}) AS __nth FROM ({query})")
    nth = Column("__nth", "BIGINT")
    return queries[0], queries[1], [*strict, Pair(nth, nth)]
