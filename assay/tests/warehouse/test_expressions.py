"""What is worked out once a process is the same for every session, and nothing that belongs to one of them is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import ibis
import ibis.expr.datatypes as dt
import pytest

from assay.warehouse import expressions
from assay.warehouse.session import Session
from assay.warehouse.warehouse import DryRunWarehouse


@contextmanager
def opened(folder: Path, sql: str = "SELECT 1") -> Iterator[Session]:
    with DryRunWarehouse(None, scratch=folder, in_memory=True).session() as session:
        session.connection.execute(sql)
        yield session


def doubled(session: Session) -> ibis.Table:
    """The rows of `t`, with twice what `n` is."""
    rows = expressions.of_table(session.backend, (session.catalog, "main", "t"))
    return rows.mutate(twice=rows.n * 2)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[ibis.Table]:
    """The expressions that Ibis has compiled."""
    seen: list[ibis.Table] = []
    kind = expressions._backend()
    compile_ = kind.compile

    def noted(self: object, expression: ibis.Table, **options: object) -> str:
        seen.append(expression)
        return compile_(self, expression, **options)

    monkeypatch.setattr(kind, "compile", noted)
    expressions._compiled.cache_clear()
    return seen


def test_equal_expressions_of_two_sessions_are_compiled_once(tmp_path: Path, compiled: list[ibis.Table]) -> None:
    for number in (1, 2):
        with opened(tmp_path, f"CREATE TABLE t AS SELECT {number}::BIGINT AS n") as session:
            assert session.ask(session.sql(doubled(session))) == [(number, 2 * number)]
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("CREATE TABLE t AS SELECT 'a' AS n", [("a", "aa")]),
        ("CREATE TABLE t AS SELECT 2::SMALLINT AS n", [(2, 4)]),
        ("CREATE TABLE t AS SELECT 2::BIGINT AS n, 3 AS m", [(2, 3, 4)]),
    ],
)
def test_a_table_with_other_columns_is_another_expression(
    tmp_path: Path, compiled: list[ibis.Table], sql: str, rows: list[tuple[object, ...]]
) -> None:
    with opened(tmp_path, "CREATE TABLE t AS SELECT 1::BIGINT AS n") as session:
        session.sql(doubled(session))
    with opened(tmp_path, sql) as session:
        assert session.ask(session.sql(doubled(session))) == rows
    assert len(compiled) == 2


def test_rows_and_functions_of_python_are_told_to_each_session(tmp_path: Path, compiled: list[ibis.Table]) -> None:
    rows = ibis.memtable({"n": [1, 2]})

    @ibis.udf.scalar.python  # type: ignore[untyped-decorator]  # Ibis ships no types
    def squared_once(n: int) -> int:
        return n * n

    expression = rows.mutate(square=squared_once(rows.n))
    for _ in range(2):
        with opened(tmp_path) as session:
            assert sorted(session.ask(session.sql(expression))) == [(1, 1), (2, 4)]
    assert len(compiled) == 2


def test_columns_are_what_duckdb_describes(tmp_path: Path) -> None:
    made = "CREATE TABLE t (a BIGINT NOT NULL, b DECIMAL(5,2)[], c STRUCT(x DATE, y VARCHAR), d ENUM ('p', 'q'), e TIMESTAMPTZ)"
    with opened(tmp_path, made) as session:
        found = expressions.of_table(session.backend, (session.catalog, "main", "t"))
        assert found.schema() == session.backend.table("t").schema()
        assert expressions.of_query(session.backend, "FROM t").schema() == session.backend.sql("FROM t").schema()
        assert found.schema()["a"] == dt.Int64(nullable=False)
        with pytest.raises(duckdb.CatalogException):
            expressions.of_table(session.backend, (session.catalog, "main", "u"))


def test_ibis_is_told_the_engine_s_version(tmp_path: Path) -> None:
    with opened(tmp_path) as session:
        assert session.backend.version == duckdb.__version__
        assert session.backend.name == "duckdb"
