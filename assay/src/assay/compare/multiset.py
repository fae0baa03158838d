"""Tables without a key: equal when every row occurs equally often on both sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.compare.model import Difference, RowSample, SqlColumn
from assay.compare.samples import Sampler
from assay.compare.sql import Pair, companion, fingerprint, names
from assay.sql import quoted

if TYPE_CHECKING:
    import duckdb


_REST = 50
"""Bits of a fingerprint that are added up; the 14 before them name its bucket."""
_BUCKETS = 1 << 64 - _REST
_COUNT = 1 << _REST
"""The bit above those that are added up counts fingerprints, so that 0 is one as well."""
_KEPT = 250_000
"""Up to so many rows, or fingerprints, of uneven buckets are set aside; more could be both tables."""
_BUCKET_TABLE, _UNEVEN_TABLE, _COUNTED_TABLE = "__compare_buckets", "__compare_uneven", "__compare_counted"


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
        try:
            buckets = self._set_aside(_BUCKET_TABLE, self._uneven_buckets())
            if not buckets:
                return replace(self.base, added=0, removed=0, changed=0, same=self.base.expected_rows)
            among = _BUCKET_TABLE
            if self._mixed_buckets() * (self.base.expected_rows + self.base.actual_rows) > _KEPT * _BUCKETS:
                among = _UNEVEN_TABLE
                if self._set_aside(among, self._uneven_fingerprints()) > _KEPT:
                    return self._compare(f"({self._counted(among)})")
            # Each question would read both tables again.
            self._set_aside(_COUNTED_TABLE, self._counted(among))
            return self._compare(f"temp.{_COUNTED_TABLE}")
        finally:
            for name in (_BUCKET_TABLE, _UNEVEN_TABLE, _COUNTED_TABLE):
                self.connection.execute(f"DROP TABLE IF EXISTS temp.{name}")

    def _set_aside(self, name: str, query: str) -> int:
        """Make a temporary table; returns how many rows it has."""
        row = self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}").fetchone()
        assert row is not None
        return int(row[0])

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

    def _counted(self, among: str | None) -> str:
        """Rows by identity, with how often each side has it, where that differs.

        Args:
            among: the table of the buckets or of the fingerprints to look at; None: all rows.
        """
        sides = []
        for side, query in (("e", self.expected), ("a", self.actual)):
            columns = [f"{name} AS __c{i}" for i, name in enumerate(names(self.pairs, side))]
            columns += ["1 AS __e", "0 AS __a"] if side == "e" else ["0 AS __e", "1 AS __a"]
            columns += [f"{fingerprint(self.pairs, side)} AS __h"] if among else []
            rows = f"SELECT {', '.join(columns)} FROM ({query})"
            if among == _UNEVEN_TABLE:
                rows = f"FROM ({rows}) WHERE __h IN (FROM temp.{_UNEVEN_TABLE})"
            elif among == _BUCKET_TABLE:
                on = f"q.__h >> {_REST} = b.__b WHERE b.__alone IS NULL OR b.__alone = q.__h"
                rows = f"SELECT q.* FROM ({rows}) AS q JOIN temp.{_BUCKET_TABLE} AS b ON {on}"
            sides.append(rows)
        by = [f"__c{i}" for i in range(len(self.pairs))]
        extra = [companion(f"__c{i}", pair.expected.type) for i, pair in enumerate(self.pairs)]
        group = ", ".join([*by, *(sql for sql in extra if sql)]) or "()"
        return (
            f"SELECT {', '.join([*by, 'sum(__e) AS __e', 'sum(__a) AS __a'])} FROM ({' UNION ALL '.join(sides)}) "
            f"GROUP BY {group} HAVING sum(__e) <> sum(__a)"
        )

    def _fingerprints(self) -> list[str]:
        """SQL of each side: its fingerprints `__h`."""
        sides = (("e", self.expected), ("a", self.actual))
        return [f"SELECT {fingerprint(self.pairs, side)} AS __h FROM ({query})" for side, query in sides]

    def _uneven_buckets(self) -> str:
        """SQL: where fingerprints differ, by their first bits: their sums are the same on both sides elsewhere.

        Most tables are equal, and a few sums take a third of the time of counting every fingerprint. Where a sum
        and the XOR of a bucket agree, they are the one fingerprint that is left over: `__alone`.
        """
        both = " UNION ALL ".join(
            f"SELECT __h, __h >> {_REST} AS __b, {sign}((__h & {_COUNT - 1}) | {_COUNT})::BIGINT AS __n FROM ({side})"
            for side, sign in zip(self._fingerprints(), ("", "-"), strict=True)
        )
        alone = f"CASE WHEN abs(sum(__n)) = (bit_xor(__h) & {_COUNT - 1}) | {_COUNT} THEN bit_xor(__h) END AS __alone"
        return f"SELECT __b, {alone} FROM ({both}) GROUP BY __b HAVING sum(__n) <> 0"

    def _mixed_buckets(self) -> int:
        """How many of the uneven buckets do not tell what is left over."""
        row = self.connection.execute(f"SELECT count(*) - count(__alone) FROM temp.{_BUCKET_TABLE}").fetchone()
        assert row is not None
        return int(row[0])

    def _uneven_fingerprints(self) -> str:
        """SQL: fingerprints in those buckets that do not occur equally often on both sides."""
        within = f"WHERE __h >> {_REST} IN (SELECT __b FROM temp.{_BUCKET_TABLE})"
        expected, actual = self._fingerprints()
        both = f"SELECT __h, 1 AS __n FROM ({expected}) {within} UNION ALL SELECT __h, -1 FROM ({actual}) {within}"
        return f"SELECT __h FROM ({both}) GROUP BY __h HAVING sum(__n) <> 0"

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

    The number follows the loosely compared columns, so that the nearest rows meet: of a volatile one only whether it
    is null. What equality overlooks comes first. Returns the two queries and the pairs that identify a row.
    """
    strict = [pair for pair in pairs if not pair.loose]
    loose = [pair for pair in pairs if pair.loose]
    queries = []
    for query, name in ((expected, "expected"), (actual, "actual")):
        columns = {pair: quoted(getattr(pair, name).name) for pair in pairs}
        by = ", ".join(columns[pair] for pair in strict)
        terms = [companion(columns[pair], pair.expected.type) for pair in strict]
        terms += [f"{columns[pair]} IS NULL" if pair.volatile else columns[pair] for pair in loose]
        partition, order = f"PARTITION BY {by} " if by else "", ", ".join(term for term in terms if term)
        queries.append(f"SELECT *, row_number() OVER ({partition}ORDER BY {order}) AS __nth FROM ({query})")
    nth = SqlColumn("__nth", "BIGINT")
    return queries[0], queries[1], [*strict, Pair(nth, nth)]
