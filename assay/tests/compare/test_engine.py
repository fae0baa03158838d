"""What the comparer refuses, hides and promises, beyond single comparisons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import duckdb
import pytest

from assay.compare.engine import compare
from assay.compare.model import CompareError, SqlColumn, Tolerance
from assay.compare.text import render, visible
from tests.memory import connected


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connected() as connection:
        yield connection


@pytest.mark.parametrize(
    ("type_", "refused"), [("DECIMAL(10,2)", True), ("BIGINT", True), ("DATE", True), ("DOUBLE", False)]
)
def test_tolerances_are_for_floats(connection: duckdb.DuckDBPyConnection, type_: str, refused: bool) -> None:
    query = f"SELECT 1 AS id, NULL::{type_} AS x"
    if refused:
        with pytest.raises(CompareError, match=r"x: no tolerance is allowed on"):
            compare(connection, query, query, key=["id"], tolerances={"x": Tolerance(abs=1)})
    else:
        assert compare(connection, query, query, key=["id"], tolerances={"x": Tolerance(abs=1)}).equal


def test_a_key_has_no_tolerance_and_is_not_volatile(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT 1::DOUBLE AS id"
    with pytest.raises(CompareError, match="no tolerance is allowed on the key"):
        compare(connection, query, query, key=["id"], tolerances={"id": Tolerance(abs=1)})
    with pytest.raises(CompareError, match="the key cannot be volatile"):
        compare(connection, query, query, key=["id"], volatile=["id"])


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_tolerance_is_a_number(value: float) -> None:
    with pytest.raises(CompareError):
        Tolerance(abs=value)


@pytest.mark.parametrize("use", ["key", "volatile"])
def test_an_unknown_column_is_named(connection: duckdb.DuckDBPyConnection, use: str) -> None:
    with pytest.raises(CompareError, match=f"{use} column 'amuont' does not exist. Columns: amount."):
        compare(connection, "SELECT 1 AS amount", "SELECT 1 AS amount", **{use: ["amuont"]})


def test_masked_values_do_not_show_but_their_change_does(connection: duckdb.DuckDBPyConnection) -> None:
    old = "SELECT * FROM (VALUES ('ann@x.org', 'secret-1'), ('bob@x.org', 'same')) t(email, token)"
    new = "SELECT * FROM (VALUES ('ann@x.org', 'secret-2'), ('eve@x.org', 'same')) t(email, token)"
    for key in (["email"], []):
        difference = compare(connection, old, new, key=key, masked=["email", "token"])
        said = render(difference) + json.dumps(difference.as_dict())
        assert not [value for value in ("ann", "bob", "eve", "secret") if value in said]
        assert "masked:" in said
        shown = set(re.findall(r"masked:(\w*)", said))
        assert shown <= {"1", "2", "3", "4"}, "they count, so that nothing can be guessed from them"


def test_declared_schemas_carry_nullability(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT 1 AS id"
    difference = compare(
        connection,
        query,
        query,
        expected_columns=[SqlColumn("id", "BIGINT", nullable=False)],
        actual_columns=[SqlColumn("id", "BIGINT", nullable=True)],
    )
    assert not difference.equal
    assert "~ id NOT NULL -> NULL" in render(difference)


def test_samples_are_bounded_and_in_key_order(connection: duckdb.DuckDBPyConnection) -> None:
    difference = compare(
        connection,
        "SELECT 100 - i AS id, i AS x FROM range(100) t(i)",
        "SELECT 100 - i AS id, -i - 1 AS x FROM range(100) t(i)",
        key=["id"],
        max_samples=3,
    )
    assert difference.changed == 100
    assert difference.columns == {"x": 100}
    assert [change.key["id"] for change in difference.changes] == ["1", "2", "3"]
    assert "… 97 more changed" in render(difference)


def test_fingerprints_take_over_for_large_tables(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE old AS SELECT i AS id, i % 7 AS x, 'n' || i AS name FROM range(150000) t(i)")
    connection.execute("CREATE TABLE new AS SELECT * REPLACE (CASE id WHEN 77 THEN 9 ELSE x END AS x) FROM old")
    difference = compare(connection, "FROM old", "FROM new", key=["id"])
    assert (difference.changed, difference.same) == (1, 149999)
    assert render(difference).endswith("id=77  x  0 -> 9  (+9)")


@pytest.mark.parametrize("exact_rows", [10**6, -1])
@pytest.mark.parametrize("key", [["d"], []])
@pytest.mark.parametrize("changed", ["e", "a", "q", "b", "status"])
def test_columns_may_be_called_as_the_comparer_calls_its_own(
    connection: duckdb.DuckDBPyConnection, changed: str, key: list[str], exact_rows: int
) -> None:
    connection.execute(f"CREATE TABLE old AS SELECT i AS d, i AS {changed} FROM range(3) t(i)")
    connection.execute(f"CREATE TABLE new AS SELECT * REPLACE (if(d = 1, 9, {changed}) AS {changed}) FROM old")
    difference = compare(connection, "FROM old", "FROM new", key=key, exact_rows=exact_rows)
    found = (difference.changed, difference.removed, difference.added)
    assert found == ((1, 0, 0) if key else (0, 1, 1))


@pytest.mark.parametrize("key", [["d"], []])
@pytest.mark.parametrize("name", ["__k0", "__here", "__h"])
def test_names_with_two_underscores_first_are_refused(
    connection: duckdb.DuckDBPyConnection, name: str, key: list[str]
) -> None:
    """Where they met the comparer's own, a difference could stay unseen."""
    old, new = f"SELECT 1 AS d, 2 AS {name}", f"SELECT 1 AS d, 3 AS {name}"
    with pytest.raises(CompareError, match=rf"{name}: names that begin with __ are the comparer's own"):
        compare(connection, old, new, key=key)


@pytest.mark.parametrize("exact_rows", [10**6, -1])
def test_a_repeated_key_does_not_hide_behind_one_that_is_missing(
    connection: duckdb.DuckDBPyConnection, exact_rows: int
) -> None:
    """As many rows match as either side has."""
    old, new = "SELECT unnest([1, 1]) AS id, 5 AS n", "SELECT unnest([1, 2]) AS id, 5 AS n"
    difference = compare(connection, old, new, key=("id",), exact_rows=exact_rows)
    assert [(problem.side, problem.kind, problem.rows) for problem in difference.key_problems] == [
        ("expected", "duplicate", 2)
    ]


def test_repeated_keys_do_not_hide_behind_nulls(connection: duckdb.DuckDBPyConnection) -> None:
    """Two keys that match twice each are as many rows as there are, with the nulls that match nothing."""
    rows = "SELECT unnest([0, 0, NULL, NULL]) AS id"
    difference = compare(connection, rows, rows, key=("id",), exact_rows=-1)
    assert [(each.side, each.kind, each.rows) for each in difference.key_problems] == [
        ("expected", "null", 2),
        ("actual", "null", 2),
    ]


def test_lists_that_hash_alike_are_different_keys(connection: duckdb.DuckDBPyConnection) -> None:
    """DuckDB has one hash for [] and [NULL]: as many rows match as either side has, and the hashes add up."""
    old, new = "SELECT unnest([[], [NULL], [0]]) AS id", "SELECT unnest([[], [], [0]]) AS id"
    difference = compare(connection, old, new, key=("id",), exact_rows=-1)
    assert [(problem.side, problem.kind) for problem in difference.key_problems] == [("actual", "duplicate")]


def test_rows_without_a_key_may_hold_nulls(connection: duckdb.DuckDBPyConnection) -> None:
    """With a tolerance they are matched on the other columns, which are no key."""
    old, new = "SELECT NULL AS name, unnest([1.0, 2.0]::DOUBLE[]) AS x", "SELECT NULL AS name, 1.05::DOUBLE AS x"
    difference = compare(connection, old, new, tolerances={"x": Tolerance(abs=0.1)})
    assert (difference.key_problems, difference.removed, difference.same) == ((), 1, 1)
    assert [row.values for row in difference.only_expected] == [{"name": None, "x": "2.0"}]


def test_rows_that_differ_in_different_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """Numbers, texts and lists are told apart while rows are matched; each must be looked at where it differs."""
    connection.execute(
        "CREATE TABLE old AS SELECT range AS id, range AS n, range::VARCHAR AS t, [range] AS l FROM range(9)"
    )
    connection.execute(
        "CREATE TABLE new AS SELECT id, if(id=1, 0, n) AS n, if(id IN (1, 2), '', t) AS t, if(id=3, [], l) AS l FROM old"
    )
    difference = compare(connection, "FROM old", "FROM new", key=("id",), exact_rows=-1)
    assert (difference.changed, difference.columns) == (3, {"t": 2, "l": 1, "n": 1})
    assert [[cell.column for cell in change.cells] for change in difference.changes] == [["n", "t"], ["t"], ["l"]]


def test_a_heavily_repeated_key_does_not_explode(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET memory_limit = '200MB'")
    query = "SELECT 1 AS id, i AS x FROM range(200000) t(i)"
    difference = compare(connection, query, query, key=["id"])
    assert [problem.rows for problem in difference.key_problems] == [200000, 200000]


def test_rows_that_change_between_reads_are_no_equality(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE SEQUENCE ticks")
    query = "SELECT i AS id FROM range(10) t(i) WHERE i < nextval('ticks') % 7"
    with pytest.raises(CompareError, match="the rows changed"):
        compare(connection, query, query, key=["id"])


def test_works_inside_a_transaction_and_leaves_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE t AS SELECT 1 AS id")
    assert compare(connection, "FROM t", "FROM t", key=["id"]).equal
    connection.execute("ROLLBACK")
    assert not connection.execute("SELECT * FROM duckdb_tables()").fetchall()


def test_a_difference_is_json(connection: duckdb.DuckDBPyConnection) -> None:
    difference = compare(connection, "SELECT 1 AS id, 2 AS x", "SELECT 1 AS id, 3 AS x", key=["id"])
    data = json.loads(json.dumps(difference.as_dict()))
    assert data["equal"] is False
    assert data["changes"] == [
        {"key": {"id": "1"}, "cells": [{"column": "x", "expected": "2", "actual": "3", "delta": "+1"}]}
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        ("", "''"),
        ("NULL", "'NULL'"),
        ("   ", "···"),
        (" a b ", "·a b·"),
        ("a\\n", "a\\\\n"),
        ("\x1b[31m", "\\u001b[31m"),
        ("\u202eabc", "\\u202eabc"),
        ("\U000e0001", "\\U000e0001"),
        ("日本", "日本"),
    ],
)
def test_nothing_hides_in_a_value(value: str | None, shown: str) -> None:
    assert visible(value) == shown
