"""What comes to this machine of a lake's tables, to compare versions and to judge rejects, and what a table is in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.compare.engine import compare
from assay.compare.model import Difference
from assay.contract import profile, types
from assay.contract.classification import public
from assay.contract.contract import Contract
from assay.spark import differing, engine, lake_tables
from assay.spark.numbers import profiled, row_hash
from assay.spark.session import Cluster
from assay.spark.warehouse import SparkDryRun
from assay.tables.graph import Graph
from assay.tables.nodes import Reference, RejectBudget
from assay.tables.run import Run
from assay.warehouse.quarantine.replay import replay
from tests.warehouse.conftest import lakes
from tests.warehouse.house import Given, House, given

ROWS = 30_000


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(nullable=True, metadata=public)
    t: dt.String = pa.Field(nullable=True, metadata=public)


TABLE = given("a", Row, Given())
BEFORE = f"SELECT id AS k, if(id % 5 = 0, NULL, -id * 100000000000007) AS v, concat('t', id % 9) AS t FROM range({ROWS}) AS r(id)"


def changed(condition: str, v: str = "v", k: str = "k", more: int = 0) -> str:
    """The rows for which a condition holds, with another `v` or `k`, and so many new ones."""
    return (
        f"SELECT {k} AS k, {v} AS v, t FROM ({BEFORE}) AS b WHERE {condition} "
        f"UNION ALL SELECT 100000 + id, 1, 'new' FROM range({more}) AS m(id)"
    )


def said(sql: str, where: Any) -> str:
    """Rows that both engines make, of whole numbers of 64 bits."""
    return f"SELECT CAST(k AS BIGINT) AS k, CAST(v AS BIGINT) AS v, CAST(t AS {where}) AS t FROM ({sql}) AS s"


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows came to this machine, each time."""
    real, counts = engine.brought, list[int]()

    def counted(*arguments: Any) -> str:
        found = real(*arguments)
        counts.extend(duckdb.sql(f"SELECT count(*) FROM ({found})").fetchall()[0])
        return found

    monkeypatch.setattr(lake_tables, "brought", counted)
    return counts


@pytest.fixture
def session(spark: Cluster, tmp_path: Path) -> Iterator[Any]:
    """A dry run's session in front of a lake that has `BEFORE`."""
    house = House(tmp_path, kind=lakes(tmp_path / "lake", spark))
    lake: Any = house.session.lake  # type: ignore[attr-defined]
    lake.make("warehouse")
    lake.replace(said(BEFORE, "STRING"), "warehouse", "a")
    house.leave()
    dry: Any = SparkDryRun(tmp_path / "w.duckdb", scratch=tmp_path / "dry", lake=str(tmp_path / "lake"), cluster=spark)
    with dry.session() as session:
        session.lake.make("warehouse")
        yield session


VERSIONS = {
    "a few rows": (changed("k NOT IN (3, 4)", "if(k IN (7, 8), 0, v)", more=1), ("k",), 8),
    "a few rows, without a key": (changed("k NOT IN (3, 4)", "if(k IN (7, 8), 0, v)", more=1), (), 8),
    "most rows": (changed("k >= 300", "if(k % 2 = 0, coalesce(v, 0) + 1, v)", more=500), ("k",), 80),
    "most rows, without a key": (changed("k >= 300", "if(k % 2 = 0, coalesce(v, 0) + 1, v)", more=500), (), 60),
    "a key that repeats": (changed("k < 20000", k="k % 100"), ("k",), 60),
}


def test_only_rows_that_differ_come_to_this_machine(
    session: Any, brought: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many are told as of both versions whole, to the cell; of many that differ, those that are shown."""
    monkeypatch.setattr(differing, "PULLED", 100)
    for name, (after, key, most) in VERSIONS.items():
        session.lake.replace(said(after, "STRING"), "warehouse", "a")
        brought.clear()
        sides = session.sides(TABLE, key)
        found = sides.whole(compare(session.connection, sides.before, sides.after, key=sides.key))
        whole = compare(session.connection, said(BEFORE, "VARCHAR"), said(after, "VARCHAR"), key=key)
        if whole.key_problems:
            whole = compare(session.connection, said(BEFORE, "VARCHAR"), said(after, "VARCHAR"))
        assert told(found) == told(whole), name
        assert 0 < sum(brought) <= most < ROWS, (name, brought)
        if sides.counts is None or key == ("k",) == sides.key:  # in the key's order, so the same ones
            assert (found.changes, found.only_actual, found.only_expected) == (
                whole.changes,
                whole.only_actual,
                whole.only_expected,
            ), name


def told(found: Difference) -> tuple[Any, ...]:
    rows = (found.expected_rows, found.actual_rows, found.added, found.removed, found.changed, found.same)
    return (*rows, dict(found.columns), found.schema)


def test_a_column_of_another_type_brings_no_row_whose_value_is_the_same(session: Any, brought: list[int]) -> None:
    narrow = said(BEFORE, "STRING").replace("CAST(v AS BIGINT)", "CAST(v AS DECIMAL(30, 2))")
    session.lake.replace(narrow.replace(", CAST(t AS STRING) AS t", ""), "warehouse", "a")
    sides = session.sides(TABLE, ("k",))
    found = sides.whole(compare(session.connection, sides.before, sides.after, key=sides.key))
    assert (found.changed, found.added, found.removed, found.same, brought) == (0, 0, 0, ROWS, [0, 0])
    assert {(each.kind, each.column) for each in found.schema} == {("retyped", "v"), ("removed", "t")}


def test_a_replay_brings_what_its_rows_are_judged_by(spark: Cluster, tmp_path: Path, brought: list[int]) -> None:
    """Rows with their keys, and those that they refer to; the tables stay where they are."""

    class Child(pa.DataFrameModel):
        c: dt.Int64 = pa.Field(unique=True, metadata=public)
        k: dt.Int64 = pa.Field(lt=100, metadata=public)

    class Looser(Child):
        k: dt.Int64 = pa.Field(lt=1000, metadata=public)

    source = Given(f"SELECT range AS c, if(4 > range, 100 + range * 290, 7)::BIGINT AS k FROM range({ROWS})")
    parent = given("a", Row, Given("SELECT range AS k, range AS v, 'x' AS t FROM range(700)"))

    def child(model: Any) -> Any:
        references = [Reference(("k",), "a", severity="error")]
        return given("b", model, source, max_rejects=RejectBudget(rows=9), references=references)

    house = House(tmp_path, kind=lakes(tmp_path / "lake", spark))
    assert house.build(parent, child(Child)).ok
    brought.clear()
    again = replay(house.session, Graph.of([parent, child(Looser)]), child(Looser), Run.start())
    assert (again.action, again.staged, again.rejected, again.rows) == ("replay", 4, 1, ROWS - 1)
    assert sum(brought) == 3, brought  # of `a` those that are there; of `b` none has the keys
    house.leave()


def test_a_large_table_in_numbers_is_as_duckdb_s(session: Any) -> None:
    """Sums beyond 64 bits, minus signs, nulls; of many values their number is an estimate on both."""
    contract = Contract.of(Row)
    found = profiled(session, contract, session.relation(TABLE))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE a AS {said(BEFORE, 'VARCHAR')}")
        expected = profile.profile(connection, "a", contract.columns)
    for mine, theirs in zip(found.columns, expected.columns, strict=True):
        assert (mine.nulls, mine.minimum, mine.maximum, mine.mean) == (
            theirs.nulls,
            theirs.minimum,
            theirs.maximum,
            theirs.mean,
        ), mine.name
        exact = {"k": ROWS, "v": ROWS * 4 // 5, "t": 9}[mine.name]
        assert mine.distinct is not None
        assert mine.distinct == exact if exact < 16_000 else abs(mine.distinct / exact - 1) < 0.2, mine.name


def test_nested_values_that_spark_hashes_alike_are_told_apart(session: Any) -> None:
    class Nested(pa.DataFrameModel):
        lists: types.Array(dt.Array(dt.int64)) = pa.Field(nullable=True)
        pair: types.Struct({"a": dt.int64}) = pa.Field(nullable=True)

    lists = ("NULL", "array()", "array(NULL)", "array(array())", "array(array(1), array(2))", "array(array(1, 2))")
    pairs = ("NULL", "struct(NULL)", "struct(1)")
    rows = " UNION ALL ".join(
        f"SELECT CAST({each} AS ARRAY<ARRAY<BIGINT>>) AS lists, CAST({pair} AS STRUCT<a: BIGINT>) AS pair"
        for each in lists
        for pair in pairs
    )
    hashes = session.ask(f"SELECT {row_hash(Contract.of(Nested))} FROM ({rows})")
    assert len(set(hashes)) == len(lists) * len(pairs)
