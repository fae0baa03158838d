"""Each operator changes what it says, and nothing else."""

from __future__ import annotations

import duckdb
import pytest

from assay.lab.mutation.operators import mutants, readable

CASES = [
    ("SELECT a FROM t WHERE a > 1", "comparison", "a > 1", "a >= 1"),
    ("SELECT a FROM t WHERE a <= 1", "comparison", "a <= 1", "a < 1"),
    ("SELECT a FROM t WHERE a = 1", "comparison", "a = 1", "a <> 1"),
    ("SELECT a FROM t WHERE a BETWEEN 1 AND 3", "comparison", "a BETWEEN 1 AND 3", "(a > 1 AND a <= 3)"),
    ("SELECT a FROM t WHERE a BETWEEN 1 AND 3", "constant", "a BETWEEN 1 AND 3", "a BETWEEN 1 AND 4"),
    ("SELECT t.a FROM t LEFT JOIN u ON t.a = u.a", "join", "LEFT JOIN u ON t.a = u.a", "INNER JOIN u ON t.a = u.a"),
    ("SELECT t.a FROM t INNER JOIN u ON t.a = u.a", "join", "INNER JOIN u ON t.a = u.a", "LEFT JOIN u ON t.a = u.a"),
    ("SELECT t.a FROM t SEMI JOIN u ON t.a = u.a", "join", "SEMI JOIN u ON t.a = u.a", "ANTI JOIN u ON t.a = u.a"),
    ("SELECT a FROM t WHERE a > 1", "filter", "WHERE a > 1", ""),
    ("SELECT a FROM t WHERE a > 1 AND b > 2 AND c > 3", "filter", "a > 1 AND b > 2", "a > 1"),
    ("SELECT a FROM t WHERE a > 1 AND b > 2", "logic", "a > 1 AND b > 2", "(a > 1 OR b > 2)"),
    ("SELECT COALESCE(a, 0) AS a FROM t", "coalesce", "COALESCE(a, 0)", "a"),
    ("SELECT NULLIF(a, 0) AS a FROM t", "nullif", "NULLIF(a, 0)", "a"),
    ("SELECT a / NULLIF(b / 7, 0) AS a FROM t", "nullif", "NULLIF(b / 7, 0)", "(b / 7)"),
    ("SELECT SUM(a) AS a FROM t", "aggregate", "SUM(a)", "MAX(a)"),
    ("SELECT MIN(a) AS a FROM t", "aggregate", "MIN(a)", "MAX(a)"),
    ("SELECT COUNT(*) AS a FROM t", "aggregate", "COUNT(*)", "CAST(MAX(1) AS BIGINT)"),
    ("SELECT COUNT(a) AS a FROM t", "aggregate", "COUNT(a)", "SUM(a)"),
    ("SELECT COUNT(DISTINCT a) AS a FROM t", "distinct", "COUNT(DISTINCT a)", "COUNT(a)"),
    ("SELECT a + b AS a FROM t", "arithmetic", "a + b", "a - b"),
    ("SELECT a + 1 AS a FROM t", "constant", "a + 1", "a + 2"),
    ("SELECT a + 1 AS a FROM t", "constant", "a + 1", "a + 0"),
    ("SELECT CASE WHEN a > 1 THEN b ELSE c END AS a FROM t", "case", "CASE WHEN a > 1 THEN b ELSE c END",
     "CASE WHEN a > 1 THEN c ELSE b END"),
    ("SELECT a IS NULL AS a FROM t", "logic", "a IS NULL", "NOT a IS NULL"),
    ("SELECT TIMEZONE('America/New_York', d) AS a FROM t", "time_zone", "TIMEZONE('America/New_York', d)",
     "TIMEZONE('UTC', d)"),
    ("SELECT d + INTERVAL '1' DAY AS a FROM t", "constant", "INTERVAL '1' DAY", "INTERVAL '2' DAY"),
    ("SELECT DATE_TRUNC('WEEK', d) AS a FROM t", "unit", "DATE_TRUNC('WEEK', d)", "DATE_TRUNC('MONTH', d)"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "operator", "before", "after"), CASES)
def test_an_operator_changes_its_fragment(sql: str, operator: str, before: str, after: str) -> None:
    found = [(mutant.operator, mutant.before, mutant.after) for mutant in mutants("t", sql)]
    assert (operator, before, after) in found


@pytest.mark.parametrize("sql", sorted({case[0] for case in CASES}))
def test_every_mutant_is_another_query_that_runs(sql: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (a INT, b INT, c INT, d TIMESTAMPTZ)")
        connection.execute("CREATE TABLE u (a INT)")
        texts = [mutant.sql for mutant in mutants("t", sql)]
        for text in texts:
            connection.execute(text)
    assert len(set(texts)) == len(texts) > 0
    assert sql not in texts


def test_a_fragment_that_stands_twice_is_changed_twice() -> None:
    """Ibis writes an expression that is used twice into the SQL twice."""
    found = mutants("t", "SELECT a > 1 AS x, CASE WHEN a > 1 THEN 1 ELSE 2 END AS y FROM t")
    changed = next(mutant for mutant in found if mutant.before == "a > 1" and mutant.operator == "comparison")
    assert changed.sql.count("a >= 1") == 2
    assert len([mutant for mutant in found if mutant.before == "a > 1" and mutant.operator == "comparison"]) == 1


def test_fragments_that_only_read_the_same_are_numbered() -> None:
    sql = 'SELECT "t1"."a" > 1 AS x, "t2"."a" > 1 AS y FROM t AS "t1", t AS "t2"'
    found = [mutant.nth for mutant in mutants("t", sql) if mutant.operator == "comparison"]
    assert found == [1, 2]


def test_positions_and_types_are_no_constants() -> None:
    assert [m.operator for m in mutants("t", "SELECT CAST(a AS DECIMAL(12, 2)) AS a, b FROM t GROUP BY 1, 2")] == []


def test_subqueries_are_left_out_of_what_is_shown() -> None:
    fragment = 'LEFT JOIN (SELECT (1) AS "a" FROM "x") AS "t3" ON "t2"."a" = "t3"."a"'
    assert readable(fragment) == "LEFT JOIN (...) AS t3 ON a = a"
