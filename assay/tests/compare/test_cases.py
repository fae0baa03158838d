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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_comparison(connection: duckdb.DuckDBPyConnection, case: dict[str, Any]) -> None:
    """In both ways, with the sides swapped, and of a side with itself."""
    by_columns = run(connection, case, COLUMN_BY_COLUMN)
    says_what_the_case_says(by_columns, case)
    says_what_the_case_says(run(connection, case, BY_FINGERPRINT), case)
    itself = run(connection, {**case, "actual": case["expected"]}, COLUMN_BY_COLUMN)
    assert itself.equal or itself.key_problems
    if "tolerances" in case or "volatile" in case:
        return
    swapped = {**case, "expected": case["actual"], "actual": case["expected"]}
    if any(problem.kind == "missing" for problem in by_columns.key_problems):
        with pytest.raises(CompareError, match="key column 'id' does not exist"):
            run(connection, swapped, COLUMN_BY_COLUMN)
        return
    back = run(connection, swapped, COLUMN_BY_COLUMN)
    assert by_columns.equal is back.equal
    assert (by_columns.added, by_columns.removed, by_columns.changed) == (back.removed, back.added, back.changed)


def says_what_the_case_says(difference: Difference, case: dict[str, Any]) -> None:
    text = render(difference)
    assert difference.equal is case["equal"], text
    if "rows" in case:
        counts = [difference.added, difference.removed, difference.changed, difference.same]
        assert counts == case["rows"], text
    for says in case.get("says", ()):
        assert says in text
    for silent in case.get("silent", ()):
        assert silent not in text
