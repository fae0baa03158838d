"""Values as text for people: fetched for a few rows only, masked where they are classified."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from assay.compare.sql import is_float
from assay.sql import quoted

if TYPE_CHECKING:
    import duckdb

_EXACT = Context(prec=60)
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)")


@dataclass(frozen=True)
class Sampler:
    """Fetches at most `limit` rows as text."""

    connection: duckdb.DuckDBPyConnection
    masked: frozenset[str]
    limit: int
    _seen: dict[str, dict[str, int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def rows(self, names: Sequence[str], query: str, order: str) -> list[dict[str, str | None]]:
        """Columns `names` of the first rows of `query`, as text."""
        columns = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in names)
        found = self.connection.execute(
            f"SELECT {columns} FROM ({query}) ORDER BY {order} LIMIT {self.limit}"
        ).fetchall()
        return [{name: self.text(name, value) for name, value in zip(names, row, strict=True)} for row in found]

    def text(self, column: str, value: str | None) -> str | None:
        """The value, or in its place a number: equal values of a column have the same, so a change still shows.

        The number counts the values shown so far. No value can be guessed from it, as from a hash one can.
        """
        if value is None or column not in self.masked:
            return value
        seen = self._seen.setdefault(column, {})
        return f"masked:{seen.setdefault(value, len(seen) + 1)}"


def delta(expected: str | None, actual: str | None, *types: str) -> str | None:
    """Actual minus expected with its sign, where both types are numbers and the distance is finite."""
    if expected is None or actual is None or not all(map(_NUMBER.fullmatch, types)):
        return None
    if any(is_float(type_) for type_ in types):
        distance = float(actual) - float(expected)
        return f"{distance:+.6g}" if abs(distance) < float("inf") else None
    return f"{_EXACT.subtract(Decimal(actual), Decimal(expected)):+f}"
