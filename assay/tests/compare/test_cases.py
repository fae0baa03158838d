"""The table of comparisons in `cases.yml`, run as it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from assay.compare.engine import compare
from assay.compare.model import CompareError, Difference, Tolerance
from assay.compare.text import render

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yml").read_text(encoding="utf-8"))
COLUMN_BY_COLUMN, BY_FINGERPRINT = 10**6, -1


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def run(connection: duckdb.DuckDBPyConnection, case: dict[str, Any], exact_rows: int) -> Difference:
    return compare(
        connection,
        case["expected"],
        case["actual"],
        key=case.get("key", ["id"]),
        tolerances={name: Tolerance(**given) for name, given in case.get("tolerances", {}).items()},
        volatile=case.get("volatile", ()),
        exact_rows=exact_rows,
    )


def test_names_are_unique() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("exact_rows", [COLUMN_BY_COLUMN, BY_FINGERPRINT], ids=["columns", "fingerprints"])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_comparison(connection: duckdb.DuckDBPyConnection, case: dict[str, Any], exact_rows: int) -> None:
    difference = run(connection, case, exact_rows)
    text = render(difference)
    assert difference.equal is case["equal"], text
    if "rows" in case:
        counts = [difference.added, difference.removed, difference.changed, difference.same]
        assert counts == case["rows"], text
    for says in case.get("says", ()):
        assert says in text
    for silent in case.get("silent", ()):
        assert silent not in text


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "tolerances" not in case and "volatile" not in case],
    ids=lambda case: case["name"],
)
def test_swapped_sides_swap_the_difference(connection: duckdb.DuckDBPyConnection, case: dict[str, Any]) -> None:
    there = run(connection, case, COLUMN_BY_COLUMN)
    swapped = {**case, "expected": case["actual"], "actual": case["expected"]}
    if any(problem.kind == "missing" for problem in there.key_problems):
        with pytest.raises(CompareError, match="key column 'id' does not exist"):
            run(connection, swapped, COLUMN_BY_COLUMN)
        return
    back = run(connection, swapped, COLUMN_BY_COLUMN)
    assert there.equal is back.equal
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_side_equals_itself(connection: duckdb.DuckDBPyConnection, case: dict[str, Any]) -> None:
    difference = run(connection, {**case, "actual": case["expected"]}, COLUMN_BY_COLUMN)
    assert difference.equal or difference.key_problems
