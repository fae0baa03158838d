"""Every expression of the table gives on Spark what it gives on DuckDB, or is refused before it is computed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.backends.sql.compilers as compilers
import ibis.expr.operations as ops
import pytest

from assay.contract.columns import sql_type
from assay.spark import engine as spark
from assay.spark import known
from assay.spark.dialect import SparkCompiler
from assay.spark.engine import SparkEngine
from assay.sql import quoted
from assay.warehouse.duckdb_session import DuckDBSession
from tests.spark.expressions import EXPRESSIONS, ROWS, Expression, as_table, is_column, is_value

PAGE = Path(__file__).parents[3] / "docs" / "scale.md"
COMPUTED = [each for each in EXPRESSIONS if each.verdict != "refused"]
REFUSED = [each for each in EXPRESSIONS if each.verdict == "refused"]
REWRITTEN = [each for each in EXPRESSIONS if each.verdict == "rewritten"]


def name_of(expression: Expression) -> str:
    return expression.name


@pytest.fixture(scope="module")
def session() -> Iterator[DuckDBSession]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE TABLE t AS {ROWS}")
    yield DuckDBSession(connection, output=Path(), scratch=Path())
    connection.close()


@pytest.fixture(scope="module")
def rows(session: DuckDBSession) -> ibis.Table:
    return session.backend.table("t")


def kept(session: DuckDBSession, name: str, sql: str, expression: ibis.Table) -> str:
    """The rows as a table of DuckDB's, with the types that Ibis tells of them."""
    casts = ", ".join(
        f"CAST({quoted(n)} AS {sql_type(kind)}) AS {quoted(n)}" for n, kind in expression.schema().items()
    )
    session.connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT {casts} FROM ({sql})")
    return name


def difference(session: DuckDBSession, ours: str, theirs: str, columns: str = "*") -> list[Any]:
    """What one of the two tables has and the other one lacks, as often as it lacks it."""
    one, two = f"SELECT {columns} FROM {ours}", f"SELECT {columns} FROM {theirs}"
    sql = f"(SELECT 'duckdb', * FROM ({one} EXCEPT ALL {two})) UNION ALL (SELECT 'spark', * FROM ({two} EXCEPT ALL {one}))"
    return session.connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def computed(session: DuckDBSession, rows: ibis.Table, engine: SparkEngine) -> dict[str, list[Any]]:
    """For every expression what differs. Columns of the one table are computed together: a job for each takes a minute."""
    found = {}
    built = {each.name: each.build(rows) for each in COMPUTED}
    columns = {name: value for name, value in built.items() if is_column(value, rows)}
    values = {name: value for name, value in built.items() if is_value(value, rows)}
    alone = {name: value for name, value in built.items() if name not in columns and name not in values}
    asked = [(tuple(columns), rows.select("id", **columns)), (tuple(values), rows.aggregate(**values))]
    for number, (names, query) in enumerate(
        [*asked, *(((name,), as_table(value, rows)) for name, value in alone.items())]
    ):
        ours = kept(session, f"duckdb_{number}", session.duckdb_sql(query), query)
        theirs = kept(session, f"spark_{number}", engine.rows(session, query), query)
        for name in names:
            shown = f"id, {quoted(name)}" if name in columns else quoted(name) if name in values else "*"
            found[name] = difference(session, ours, theirs, shown)
    return found


@pytest.mark.parametrize("expression", COMPUTED, ids=name_of)
def test_an_expression_gives_the_same(
    computed: dict[str, list[Any]], engine: SparkEngine, expression: Expression
) -> None:
    different = computed[expression.name]
    if expression.verdict == "close":
        ours, theirs = ([row[2] for row in sorted(different) if row[0] == name] for name in ("duckdb", "spark"))
        assert theirs == pytest.approx(ours, rel=1e-15, abs=0)
    else:
        assert different == []


@pytest.mark.parametrize("expression", REFUSED, ids=name_of)
def test_what_is_not_the_same_is_refused_before_it_is_computed(
    session: DuckDBSession, rows: ibis.Table, engine: SparkEngine, expression: Expression
) -> None:
    problem = engine.problem(session, lambda: as_table(expression.build(rows), rows))
    assert problem is not None
    assert ";" in problem, f"it says what is wrong, and not what to write: {problem}"
    assert "\n" not in problem


@pytest.mark.parametrize("expression", REWRITTEN, ids=name_of)
def test_a_rewrite_is_needed(
    monkeypatch: pytest.MonkeyPatch,
    session: DuckDBSession,
    rows: ibis.Table,
    engine: SparkEngine,
    expression: Expression,
) -> None:
    """Once Ibis's own SQL gives the same, the rewrite can go."""
    with warnings.catch_warnings(action="ignore"):
        _ = ibis.pyspark  # its options, which Ibis's compiler asks for
    alone = as_table(expression.build(rows), rows)
    ours = kept(session, "needed_duckdb", session.duckdb_sql(alone), alone)
    monkeypatch.setattr(spark, "to_sql", lambda moved: str(ibis.to_sql(moved, dialect="pyspark")))
    try:
        theirs = kept(session, "needed_spark", engine.rows(session, alone), alone)
    except Exception:  # noqa: BLE001 - Ibis has none, Spark refuses it, or a value is none
        return
    told = "SELECT id, CAST(x AS VARCHAR)" if alone.columns == ("id", "x") else "SELECT *"
    rows_of = [
        str(session.connection.execute(f"{told} FROM {each} ORDER BY ALL").fetchall()) for each in (ours, theirs)
    ]
    assert rows_of[0] != rows_of[1]


def test_the_table_notices_a_rewrite_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, session: DuckDBSession, rows: ibis.Table, engine: SparkEngine
) -> None:
    """Ibis's own `strip` makes est of vest, and the example's golden cases do not notice (ibis #11894)."""
    monkeypatch.setattr(SparkCompiler, "visit_Strip", compilers.PySparkCompiler.visit_Strip)
    stripped = rows.select("id", x=rows.s.strip())
    ours = kept(session, "gone_duckdb", session.duckdb_sql(stripped), stripped)
    theirs = kept(session, "gone_spark", engine.rows(session, stripped), stripped)
    assert ("spark", 1, "est") in difference(session, ours, theirs)


def test_every_known_operation_stands_in_the_table(session: DuckDBSession, rows: ibis.Table) -> None:
    tried = {"UnboundTable"}
    for each in COMPUTED:
        found = as_table(each.build(rows), rows).op().find(ops.Node)
        tried |= {type(node).__name__ for node in found if not isinstance(node, ops.ScalarUDF)}
    assert tried == known.SAME


def test_an_operation_that_nobody_tried_is_refused(session: DuckDBSession, rows: ibis.Table) -> None:
    distance = rows.s.levenshtein("vest").op()
    assert "Levenshtein" in str(known.refusal(distance))


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not here")
def test_the_page_tells_what_is_rewritten_and_what_is_refused() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    told = ", ".join(f"`{each.name}`" for each in REWRITTEN)
    assert f"gives what DuckDB gives: {told}." in page
    lines = [f"| `{op.__name__}` | {why} | {fix} |" for op, (why, fix) in known.DIFFERENT.items()]
    assert [line for line in lines if line not in page] == []
