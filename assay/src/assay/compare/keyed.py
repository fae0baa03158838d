"""Rows matched by key: one narrow join finds the rows that differ, a second look at those tells how.

Most tables that are compared have the same keys, each once. An inner join shows that in half the time of a full one.
Where the hashes of both sides' keys add up to the same, both have every key equally often, m times; the join has the
sum of all m * m rows then, which is that of all m, the rows of a side, only where every m is 1. Nulls match nothing,
so that there must be none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assay.compare.model import (
    CellChange,
    CompareError,
    Difference,
    KeyProblem,
    RowChange,
    RowSample,
    Side,
    ToleranceUse,
)
from assay.compare.samples import Sampler, delta
from assay.compare.sql import Pair, companion, fingerprint, names, sum_of_hashes
from assay.sql import quoted

if TYPE_CHECKING:
    import duckdb

_SAME, _REMOVED, _ADDED, _SUSPECT = 0, 1, 2, 4
"""The status of a row. What a suspect may differ in is a bit per group of columns: 4, 8, 16, or a sum of them."""
_KEPT = 100_000
"""Up to so many suspects are set aside with their columns; more could be both tables."""
_LONG = {"VARCHAR", "JSON", "BLOB", "BIT"}
"""Types whose values take longest to read: not read again where other columns differ only."""
_FOUND_TABLE, _SUSPECT_TABLE = "__compare_found", "__compare_suspects"


@dataclass
class KeyedRows:
    """One comparison by key.

    Attributes:
        keys: may hold nulls only where `base.key` is empty (a numbered multiset).
    """

    connection: duckdb.DuckDBPyConnection
    sampler: Sampler
    expected: str
    actual: str
    keys: list[Pair]
    pairs: list[Pair]
    base: Difference
    exact: bool

    def compare(self) -> Difference:
        """Match, then count and sample what does not match."""
        try:
            return self._compare()
        finally:
            for table in (_FOUND_TABLE, _SUSPECT_TABLE):
                self.connection.execute(f"DROP TABLE IF EXISTS temp.{table}")

    def _compare(self) -> Difference:
        counts = self._match_one_to_one()
        if counts is None:
            counts = self._match()
        removed, added = counts.pop(_REMOVED, 0), counts.pop(_ADDED, 0)
        matched = sum(counts.values())
        fits = matched + removed == self.base.expected_rows and matched + added == self.base.actual_rows
        if not fits or ((removed or added) and self._unmatched_by_their_key()):
            problems = self._problems()
            if not problems:
                raise CompareError(
                    "the rows changed while they were compared", fix="Compare tables, not random values."
                )
            return replace(self.base, key_problems=problems)
        pairs = self._pairs_of(counts)
        if pairs:
            suspects = self._suspects(matched - counts.get(_SAME, 0), pairs)
            changed, columns, tolerance = self._look(suspects, pairs)
            changes = self._changes(suspects, pairs) if changed else ()
        else:
            changed, columns, tolerance, changes = 0, {}, self._uses({}), ()
        return replace(
            self.base,
            added=added,
            removed=removed,
            changed=changed,
            same=matched - changed,
            columns=columns,
            changes=changes,
            only_actual=self._only(_ADDED, self.actual, "a") if added else (),
            only_expected=self._only(_REMOVED, self.expected, "e") if removed else (),
            tolerance=tolerance,
        )

    @property
    def _compared(self) -> list[Pair]:
        """Columns to compare: all but the key, and those of the key that join as equal without being the same."""
        return [
            pair
            for pair in self.pairs
            if pair not in self.keys or pair.loose or companion("x", pair.expected.type) is not None
        ]

    def _key_names(self, of: str = "") -> list[str]:
        """The matched key's columns, of one relation where it has to be said."""
        return [f"{of}__k{i}" for i in range(len(self.keys))]

    def _side(self, query: str, side: str, columns: Sequence[str]) -> str:
        keys = [f"{pair.key(side)} AS __k{i}" for i, pair in enumerate(self.keys)]
        return f"(SELECT {', '.join([*keys, 'true AS __here', *columns])} FROM ({query}))"

    def _on(self, left: str, right: str) -> str:
        same = "IS NOT DISTINCT FROM" if not self.base.key else "="
        return " AND ".join(f"{left}.{key} {same} {right}.{key}" for key in self._key_names())

    def _match_one_to_one(self) -> dict[int, int] | None:
        """Rows per status where every row has exactly one partner; None where some have not, or more."""
        if self.base.expected_rows != self.base.actual_rows or not self._same_key_sums():
            return None
        left, right, status = self._sides()
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE {_FOUND_TABLE} AS
            SELECT {", ".join(self._key_names("e."))}, ({status})::UTINYINT AS status
            FROM {left} AS e JOIN {right} AS a ON {self._on("e", "a")} LIMIT {self.base.expected_rows + 1}""")
        found = self._statuses()
        return found if sum(found.values()) == self.base.expected_rows == self.base.actual_rows else None

    def _same_key_sums(self) -> bool:
        """Whether the keys' hashes add up to the same on both sides, without a null, which would match no row.

        To ask takes longer than to match a few rows.
        """
        if self.exact or not all(pair.hashable for pair in self.keys):
            return False
        sides = []
        for side, query in (("e", self.expected), ("a", self.actual)):
            keys = [pair.key(side) for pair in self.keys]
            null = " OR ".join(f"{key} IS NULL" for key in keys)
            sides.append(f"SELECT {sum_of_hashes(keys)} AS total, count(*) FILTER ({null}) AS nulls FROM ({query})")
        row = self.connection.execute(
            f"SELECT count(DISTINCT total) = 1 AND sum(nulls) = 0 FROM ({' UNION ALL '.join(sides)})"
        ).fetchone()
        return row == (True,)

    def _match(self) -> dict[int, int]:
        """Give every row a status; returns rows per status. The limit stops a join that repeated keys would let explode.

        With unique keys the join has at most `expected_rows + actual_rows` rows, and matched plus removed rows are
        the expected ones; a key that repeats breaks that, or is among the unmatched rows.
        """
        left, right, status = self._sides()
        keys = ", ".join(f"coalesce(e.{key}, a.{key}) AS {key}" for key in self._key_names())
        kept = ", ".join(f"CASE WHEN status <> {_SAME} THEN {key} END AS {key}" for key in self._key_names())
        limit = self.base.expected_rows + self.base.actual_rows + 1
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE {_FOUND_TABLE} AS SELECT {kept}, status FROM (
                SELECT {keys}, CASE WHEN e.__here IS NULL THEN {_ADDED} WHEN a.__here IS NULL THEN {_REMOVED}
                    ELSE {status} END::UTINYINT AS status
                FROM {left} AS e FULL JOIN {right} AS a ON {self._on("e", "a")} LIMIT {limit})""")
        return self._statuses()

    def _statuses(self) -> dict[int, int]:
        rows = self.connection.execute(f"SELECT status, count(*) FROM temp.{_FOUND_TABLE} GROUP BY status").fetchall()
        return dict(rows)

    @cached_property
    def _groups(self) -> list[list[Pair]]:
        """Columns that a status tells apart: those compared by value, the long ones, the others."""
        groups: list[list[Pair]] = [[], [], []]
        for pair in self._compared:
            by_value = self.exact or not pair.hashable
            groups[0 if by_value else 1 if pair.expected.type in _LONG else 2].append(pair)
        return groups

    def _pairs_of(self, statuses: Collection[int]) -> list[Pair]:
        """The columns in which rows of these statuses may differ, in the table's order."""
        groups = [group for i, group in enumerate(self._groups) if any(status & _SUSPECT << i for status in statuses)]
        return [pair for pair in self._compared if any(pair in group for group in groups)]

    def _sides(self) -> tuple[str, str, str]:
        """Both sides with what a match needs, and the status of a row `e` matched with a row `a`."""
        columns: dict[str, list[str]] = {"e": [], "a": []}
        bits = []
        for i, group in enumerate(self._groups):
            if not group:
                continue
            by_value = i == 0
            for side, listed in columns.items():
                listed += names(group, side) if by_value else [f"{fingerprint(group, side)} AS __hash{i}"]
            differs = " OR ".join(pair.inexact() for pair in group) if by_value else f"e.__hash{i} <> a.__hash{i}"
            bits.append(f"CASE WHEN {differs} THEN {_SUSPECT << i} ELSE 0 END")
        status = " + ".join(bits) or f"{_SAME}"
        return self._side(self.expected, "e", columns["e"]), self._side(self.actual, "a", columns["a"]), status

    def _unmatched_by_their_key(self) -> bool:
        """Whether a row without a partner has a null in its key, or shares its key with another."""
        keys = ", ".join(self._key_names())
        null = " OR ".join(f"{key} IS NULL" for key in self._key_names()) if self.base.key else "false"
        unmatched = f"SELECT status, {keys} FROM temp.{_FOUND_TABLE} WHERE status IN ({_ADDED}, {_REMOVED})"
        bad = f"SELECT 1 FROM ({unmatched}) GROUP BY status, {keys} HAVING count(*) > 1 OR {null} LIMIT 1"
        return self.connection.execute(bad).fetchone() is not None

    def _problems(self) -> tuple[KeyProblem, ...]:
        """Why the key cannot match rows: nulls in it, else that it repeats."""
        sides: tuple[tuple[Side, str], ...] = (("expected", self.expected), ("actual", self.actual))
        nulls = [problem for side in sides if self.base.key for problem in self._nulls(*side)]
        return tuple(nulls or [problem for side in sides for problem in self._duplicates(*side)])

    def _key_columns(self, side: Side) -> list[str]:
        return [getattr(pair, side).name for pair in self.keys]

    def _nulls(self, side: Side, query: str) -> list[KeyProblem]:
        columns = self._key_columns(side)
        null = f"FROM ({query}) WHERE " + " OR ".join(f"{quoted(name)} IS NULL" for name in columns)
        row = self.connection.execute(f"SELECT count(*) {null}").fetchone()
        if row is None or not row[0]:
            return []
        samples = self.sampler.rows(columns, f"SELECT * {null}", ", ".join(map(quoted, columns)))
        return [KeyProblem(side, "null", int(row[0]), tuple(samples))]

    def _duplicates(self, side: Side, query: str) -> list[KeyProblem]:
        columns = self._key_columns(side)
        by = ", ".join(map(quoted, columns))
        repeated = f"SELECT {by}, count(*) AS __n FROM ({query}) GROUP BY {by} HAVING count(*) > 1"
        row = self.connection.execute(f"SELECT count(*), sum(__n) FROM ({repeated})").fetchone()
        if row is None or not row[0]:
            return []
        return [KeyProblem(side, "duplicate", int(row[1]), tuple(self.sampler.rows(columns, repeated, by)))]

    def _suspects(self, count: int, pairs: list[Pair]) -> str:
        """SQL after FROM: the rows to look at, as `d` (the key), `e` and `a`, with the key and these columns."""
        left, right = self._side(self.expected, "e", ["*"]), self._side(self.actual, "a", ["*"])
        joined = f"""(SELECT * FROM temp.{_FOUND_TABLE} WHERE status >= {_SUSPECT}) AS d
            JOIN {left} AS e ON {self._on("d", "e")} JOIN {right} AS a ON {self._on("d", "a")}"""
        if count > _KEPT:
            return joined
        # Both tables are read once for them; each becomes a struct, whose fields are named like a table's columns.
        read = [pair for pair in self.pairs if pair in self.keys or pair in pairs]
        structs = {
            "d": [f"{key} := d.{key}" for key in self._key_names()],
            "e": [f"{quoted(pair.expected.name)} := {pair.left}" for pair in read],
            "a": [f"{quoted(pair.actual.name)} := {pair.right}" for pair in read],
        }
        columns = ", ".join(f"struct_pack({', '.join(fields)}) AS {name}" for name, fields in structs.items())
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {_SUSPECT_TABLE} AS SELECT {columns} FROM {joined}")
        return f"temp.{_SUSPECT_TABLE}"

    def _look(self, suspects: str, pairs: list[Pair]) -> tuple[int, dict[str, int], tuple[ToleranceUse, ...]]:
        """Of the suspects: how many changed, per column too, and what the tolerances covered."""
        select = [
            f"count(*) FILTER ({condition})" for condition in (_any_changed(pairs), *(pair.changed() for pair in pairs))
        ]
        tolerant = [pair for pair in pairs if pair.tolerance is not None and not pair.retyped]
        for pair in tolerant:
            used = f"{pair.inexact()} AND {pair.within()}"
            select += [f"count(*) FILTER ({used})", f"max({pair.distance()}) FILTER ({used})"]
        row = self.connection.execute(f"SELECT {', '.join(select)} FROM {suspects}").fetchone()
        assert row is not None
        cells = dict(zip((pair.name for pair in pairs), row[1:], strict=False))
        columns = {name: n for name, n in sorted(cells.items(), key=lambda item: (-item[1], item[0])) if n}
        rest = row[1 + len(pairs) :]
        used_by = {pair.name: (rest[2 * i], rest[2 * i + 1] or 0.0) for i, pair in enumerate(tolerant)}
        return row[0], columns, self._uses(used_by)

    def _uses(self, found: Mapping[str, tuple[int, float]]) -> tuple[ToleranceUse, ...]:
        """What every tolerance covered, those that covered nothing as well."""
        tolerant = (pair.name for pair in self.pairs if pair.tolerance is not None and not pair.retyped)
        return tuple(ToleranceUse(name, *found.get(name, (0, 0.0))) for name in tolerant)

    def _changes(self, suspects: str, pairs: list[Pair]) -> tuple[RowChange, ...]:
        """The first changed rows by key. They are not asked for by value: DuckDB imports pandas to take a key."""
        if not self.sampler.limit:
            return ()
        shown = [pair for pair in self.keys if pair in self.pairs]
        select = [f"CAST({pair.left} AS VARCHAR)" for pair in shown]
        for pair in pairs:
            select += [pair.changed(), f"CAST({pair.left} AS VARCHAR)", f"CAST({pair.right} AS VARCHAR)"]
        order = ", ".join(self._key_names("d."))
        rows = self.connection.execute(
            f"SELECT {', '.join(select)} FROM {suspects} WHERE {_any_changed(pairs)} "
            f"ORDER BY {order} LIMIT {self.sampler.limit}"
        ).fetchall()
        return tuple(self._change(shown, pairs, row) for row in rows)

    def _change(self, shown: list[Pair], pairs: list[Pair], row: tuple[Any, ...]) -> RowChange:
        key = {pair.name: self.sampler.text(pair.name, value) for pair, value in zip(shown, row, strict=False)}
        cells: list[CellChange] = []
        for i, pair in enumerate(pairs):
            changed, left, right = row[len(shown) + 3 * i : len(shown) + 3 * i + 3]
            if changed:
                hidden = pair.name in self.sampler.masked
                far = None if hidden else delta(left, right, pair.expected.type, pair.actual.type)
                cells.append(
                    CellChange(pair.name, self.sampler.text(pair.name, left), self.sampler.text(pair.name, right), far)
                )
        return RowChange(key, tuple(cells))

    def _only(self, status: int, query: str, side: str) -> tuple[RowSample, ...]:
        columns = [row[0] for row in self.connection.execute(f"DESCRIBE SELECT * FROM ({query})").fetchall()]
        columns = [name for name in columns if not name.startswith("__nth")]
        order = ", ".join(self._key_names())
        rows = self.sampler.rows(
            columns,
            f"SELECT q.*, {', '.join(self._key_names('d.'))} FROM (SELECT * FROM temp.{_FOUND_TABLE} "
            f"WHERE status = {status} ORDER BY {order} LIMIT {self.sampler.limit}) AS d "
            f"JOIN {self._side(query, side, ['*'])} AS q ON {self._on('d', 'q')}",
            order,
        )
        return tuple(RowSample({name: row.get(name) for name in self.base.key}, row) for row in rows)


def _any_changed(pairs: list[Pair]) -> str:
    return " OR ".join(pair.changed() for pair in pairs)
