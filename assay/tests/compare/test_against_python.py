"""The comparer against a naive one in Python, on random tables full of the values that comparers get wrong."""

from __future__ import annotations

import datetime as dtm
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from assay.compare import keyed, multiset
from assay.compare.engine import compare
from assay.compare.model import Tolerance

FLOATS = [0.0, -0.0, 1.0, 1.05, 2.0, math.nan, math.copysign(math.nan, -1), math.inf, -math.inf, None]
VALUES: dict[str, list[Any]] = {
    "BIGINT": [0, 1, 2, -(2**63), 2**63 - 1, None],
    "DOUBLE": FLOATS,
    "VARCHAR": ["", " ", "a", "A", "NULL", "é", "e\u0301", None],
    "DECIMAL(6,2)": [Decimal("0.00"), Decimal("1.10"), Decimal("1.11"), None],
    "DATE": [dtm.date(2017, 1, 1), dtm.date(2017, 1, 2), None],
    "DOUBLE[]": [[], [None], [0.0], [-0.0], [math.nan], [1.0, None], None],
}


@dataclass(frozen=True)
class Tables:
    """Two tables of the same columns, and how to compare them."""

    types: list[str]
    keys: int
    tolerance: Tolerance | None
    expected: list[tuple[Any, ...]]
    actual: list[tuple[Any, ...]]


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    row = st.tuples(*(st.sampled_from(VALUES[type_]) for type_ in types))
    expected = draw(st.lists(row, max_size=6))
    kept = [each for each in expected if draw(st.integers(0, 3))]
    actual = draw(st.permutations(kept + draw(st.lists(row, max_size=3))))
    keys = draw(st.integers(0, len(types)))
    tolerance = draw(st.sampled_from([None, Tolerance(abs=0.1), Tolerance(rel=0.5)])) if keys else None
    return Tables(types, keys, tolerance, expected, list(actual))


def passed(row: tuple[Any, ...]) -> list[Any]:
    """`row` as DuckDB's Python client takes it unchanged: from a list of floats it would make NaN a NULL."""
    return [str(value).replace("None", "NULL") if isinstance(value, list) else value for value in row]


def canonical(value: Any) -> Any:
    """A value such that Python's equality of canonical values is the comparer's exact equality."""
    if isinstance(value, list):
        return tuple(map(canonical, value))
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else (value, math.copysign(1, value))
    return value


def joined(value: Any) -> Any:
    """A value such that rows meet when these are equal: as exact, but both zeros are one key."""
    if isinstance(value, list):
        return tuple(map(joined, value))
    return canonical(value + 0.0 if isinstance(value, float) else value)


def differs(left: Any, right: Any, tolerance: Tolerance | None) -> bool:
    if canonical(left) == canonical(right):
        return False
    if tolerance is None or not isinstance(left, float) or not isinstance(right, float):
        return True
    if not (math.isfinite(left) and math.isfinite(right)):
        return True
    return abs(right - left) > max(tolerance.abs, tolerance.rel * abs(left))


def naive(given: Tables) -> tuple[str, tuple[int, int, int, int] | None]:
    """`key` or `rows`, and (added, removed, changed, same)."""
    if not given.keys:
        left = Counter(map(canonical, map(list, given.expected)))
        right = Counter(map(canonical, map(list, given.actual)))
        return "rows", ((right - left).total(), (left - right).total(), 0, (left & right).total())
    sides = []
    for rows in (given.expected, given.actual):
        keyed = {tuple(map(joined, row[: given.keys])): row for row in rows}
        if len(keyed) < len(rows) or any(value is None for row in rows for value in row[: given.keys]):
            return "key", None
        sides.append(keyed)
    old, new = sides
    both = old.keys() & new.keys()
    tolerances = [None] * given.keys + [
        given.tolerance if type_ == "DOUBLE" else None for type_ in given.types[given.keys :]
    ]
    changed = sum(any(map(differs, old[key], new[key], tolerances)) for key in both)
    return "rows", (len(new.keys() - both), len(old.keys() - both), changed, len(both) - changed)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exact_rows", "kept", "rest"),
    [(10**6, 10**6, 50), (-1, 10**6, 50), (-1, 10**6, 62), (-1, 2, 50), (-1, 2, 62), (-1, 0, 62)],
    ids=[
        "columns",
        "fingerprints",
        "four buckets",
        "few set aside",
        "four buckets, few set aside",
        "nothing set aside",
    ],
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=tables())
def test_agrees_with_a_naive_comparer(
    connection: duckdb.DuckDBPyConnection, exact_rows: int, kept: int, rest: int, given: Tables
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (keyed, multiset):
            patch.setattr(module, "_KEPT", kept)
        # A few rows are a small share of the real buckets' rows.
        patch.setattr(multiset, "_BUCKETS", 1)
        patch.setattr(multiset, "_REST", rest)
        patch.setattr(multiset, "_COUNT", 1 << rest)
        _check(connection, exact_rows, given)


def _check(connection: duckdb.DuckDBPyConnection, exact_rows: int, given: Tables) -> None:
    names = [f"c{i}" for i in range(len(given.types))]
    columns = ", ".join(f"{name} {type_}" for name, type_ in zip(names, given.types, strict=True))
    for side, rows in (("expected", given.expected), ("actual", given.actual)):
        connection.execute(f"CREATE OR REPLACE TABLE {side} ({columns})")
        if rows:
            connection.executemany(f"INSERT INTO {side} VALUES ({', '.join('?' * len(names))})", map(passed, rows))
    loose = [
        name
        for i, (name, type_) in enumerate(zip(names, given.types, strict=True))
        if i >= given.keys and type_ == "DOUBLE"
    ]
    difference = compare(
        connection,
        "FROM expected",
        "FROM actual",
        key=names[: given.keys],
        tolerances=dict.fromkeys(loose, given.tolerance) if given.tolerance else {},
        exact_rows=exact_rows,
    )
    what, counts = naive(given)
    event(what)
    assert bool(difference.key_problems) is (what == "key")
    assert (difference.added, difference.removed, difference.changed, difference.same) == (counts or (None,) * 4)
    assert difference.equal is (counts is not None and not any(counts[:3]))
    assert len(difference.changes) == min(10, difference.changed or 0)
    assert sum(row.copies for row in difference.only_actual) == (difference.added or 0)
    assert not connection.execute("SELECT * FROM duckdb_tables() WHERE temporary").fetchall()
