"""SQL expressions that decide whether two values are the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assay.compare.model import CompareError, SqlColumn, Tolerance
from assay.sql import quoted

_FLOATS = {"FLOAT", "DOUBLE"}
_CONVERTIBLE = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("UHUGEINT", "DECIMAL", "FLOAT", "DOUBLE", "BOOLEAN", "VARCHAR", "UUID", "DATE", "TIME", "TIMESTAMP"),
    *("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"),
}
_TEXT_TELLS_MORE = re.compile(r"FLOAT|DOUBLE|INTERVAL|TIME WITH TIME ZONE")
_NESTED = re.compile(r"\[\d*\]$|^(STRUCT|MAP|UNION|VARIANT)")


def is_float(type_: str) -> bool:
    """Whether a tolerance makes sense for the type."""
    return type_ in _FLOATS


def companion(value: str, type_: str) -> str | None:
    """What DuckDB's equality of `type_` overlooks, as an expression; None where it overlooks nothing.

    DuckDB holds -0.0 for equal to 0.0, and an interval of one month for equal to one of 30 days, also inside
    lists and structs. The text of such a value tells them apart (and has a sign on some NaNs, taken off again).
    """
    if is_float(type_):
        return f"CASE WHEN {value} = 0 THEN signbit({value}) END"
    if type_ == "INTERVAL":
        return f"CAST({value} AS VARCHAR)"
    if _NESTED.search(type_) and _TEXT_TELLS_MORE.search(type_):
        return f"replace(CAST({value} AS VARCHAR), '-nan', 'nan')"
    return None


def distinct(left: str, right: str, type_: str) -> str:
    """Whether two values of one type differ, exactly."""
    sql = f"{left} IS DISTINCT FROM {right}"
    ours, theirs = companion(left, type_), companion(right, type_)
    return f"({sql} OR {ours} IS DISTINCT FROM {theirs})" if ours else f"({sql})"


def _converts(left: str, left_type: str, right: str, right_type: str) -> str:
    """Whether values of two types differ: neither equal as the one type nor as the other."""
    if left_type.split("(")[0] in _CONVERTIBLE and right_type.split("(")[0] in _CONVERTIBLE:
        there, back = f"TRY_CAST({left} AS {right_type})", f"TRY_CAST({right} AS {left_type})"
        return f"({there} IS DISTINCT FROM {right} OR {back} IS DISTINCT FROM {left})"
    return f"(CAST({left} AS VARCHAR) IS DISTINCT FROM CAST({right} AS VARCHAR))"


@dataclass(frozen=True)
class Pair:
    """A column that both sides have, and how its values are compared."""

    expected: SqlColumn
    actual: SqlColumn
    tolerance: Tolerance | None = None
    volatile: bool = False

    @property
    def name(self) -> str:
        return self.expected.name

    @property
    def retyped(self) -> bool:
        return self.expected.type != self.actual.type

    @property
    def loose(self) -> bool:
        """Whether equality is more than exact equality, so that it cannot be part of a row's identity."""
        return self.retyped or self.volatile or self.tolerance is not None

    @property
    def left(self) -> str:
        return f"e.{quoted(self.expected.name)}"

    @property
    def right(self) -> str:
        return f"a.{quoted(self.actual.name)}"

    @property
    def hashable(self) -> bool:
        """Whether different values have different hashes. DuckDB hashes [], [NULL] and a NULL list alike."""
        return not self.retyped and (self.volatile or not _NESTED.search(self.expected.type))

    def inexact(self) -> str:
        """Whether the two values differ, before any tolerance."""
        if self.volatile:
            return f"(({self.left} IS NULL) <> ({self.right} IS NULL))"
        if self.retyped:
            return _converts(self.left, self.expected.type, self.right, self.actual.type)
        return distinct(self.left, self.right, self.expected.type)

    def distance(self) -> str:
        """How far two finite numbers are apart, NULL for anything else."""
        finite = f"isfinite({self.left}) AND isfinite({self.right})"
        return f"CASE WHEN {finite} THEN abs({self.right}::DOUBLE - {self.left}::DOUBLE) END"

    def within(self) -> str:
        """Whether the tolerance covers the difference; false where there is no tolerance."""
        if self.tolerance is None or self.retyped or self.volatile:
            return "false"
        allowed = f"greatest({self.tolerance.abs!r}::DOUBLE, {self.tolerance.rel!r}::DOUBLE * abs({self.left}::DOUBLE))"
        return f"coalesce({self.distance()} <= {allowed}, false)"

    def changed(self) -> str:
        """Whether the two values differ by more than the tolerance."""
        within = self.within()
        return self.inexact() if within == "false" else f"({self.inexact()} AND NOT {within})"

    def key(self, side: str) -> str:
        """The value as rows are matched on it; a retyped key by what both types can hold."""
        here, there = (self.expected, self.actual) if side == "e" else (self.actual, self.expected)
        column = quoted(here.name)
        if not self.retyped:
            return column
        text = f"CAST({column} AS VARCHAR)"
        if side == "a" or {here.type.split("(")[0], there.type.split("(")[0]} - _CONVERTIBLE:
            return text
        moved = f"TRY_CAST({column} AS {there.type})"
        back = f"TRY_CAST({moved} AS {here.type})"
        return f"CASE WHEN {back} IS NOT DISTINCT FROM {column} THEN CAST({moved} AS VARCHAR) ELSE {text} END"


def names(pairs: list[Pair], side: str) -> list[str]:
    """The pairs' columns on one side, quoted."""
    return [quoted((pair.expected if side == "e" else pair.actual).name) for pair in pairs]


def fingerprint(pairs: list[Pair], side: str) -> str:
    """A 64-bit hash of all compared values. Whoever finds two that differ has to look at the values.

    Values that differ have different hashes. Equal ones have the same, but for NaNs of different signs: to ask for
    the sign alone costs a third of asking whose sign matters.
    """
    parts: list[str] = []
    for pair in pairs:
        column = pair.expected if side == "e" else pair.actual
        value = f"({quoted(column.name)} IS NULL)" if pair.volatile else quoted(column.name)
        parts.append(value)
        if not pair.volatile:
            extra = f"signbit({value})" if is_float(column.type) else companion(value, column.type)
            parts += [extra] if extra else []
    return f"hash({', '.join(parts)})" if parts else "0::UBIGINT"


def sum_of_hashes(columns: list[str]) -> str:
    """What the hashes of these columns add up to over all rows; BIGINTs add up faster than UBIGINTs."""
    return f"sum((hash({', '.join(columns)}) >> 1)::BIGINT)"


def check_tolerance(column: SqlColumn, tolerance: Tolerance, *, key: bool) -> None:
    """Raises CompareError where a tolerance is not allowed."""
    if key or not is_float(column.type):
        kind = "the key" if key else column.type
        raise CompareError(
            f"no tolerance is allowed on {kind}", where=column.name, fix="Tolerances are for FLOAT and DOUBLE values."
        )
