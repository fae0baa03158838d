"""A project built on Spark beside the same one on DuckDB; dry runs in front of a lake; what Spark does not do."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.build import BuildResult, build
from assay.contract.classification import internal, personal, public
from assay.contract.types import Array
from assay.errors import PipelineError, WarehouseError
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.spark.session import Cluster
from assay.spark.staging import LakeAdded
from assay.spark.warehouse import LakeState, SparkDryRun, SparkWarehouse
from assay.tables.graph import Graph
from assay.tables.loads import History, Incremental
from assay.tables.nodes import RejectBudget
from assay.tables.run import Run
from assay.warehouse.quarantine.replay import replay
from assay.warehouse.session import Session
from assay.warehouse.warehouse import DuckDBWarehouse
from tests.shop.project import shop_project
from tests.spark.seen import Seen
from tests.warehouse.conftest import lakes
from tests.warehouse.house import Given, House, given, made, values

AT = dtm.datetime(2026, 4, 1, 6, tzinfo=dtm.UTC)


def shop(root: Path, kind: Any) -> tuple[BuildResult, list[Any]]:
    """The shop's tables and exports, built twice in one session, and what the quarantine has then."""
    project = shop_project(root)
    warehouse = kind(root / "w.duckdb", output=root / "out", scratch=root / "scratch")
    with warehouse.session() as session, project.sources(project.settings()) as sources:
        for _ in range(2):
            run = dataclasses.replace(Run.start(id="run"), now=AT)
            result = build(project.graph, [*project.graph.nodes], session, run, sources)
        return result, session.connection.execute("FROM quarantine.rejects ORDER BY ALL").fetchall()


def test_a_project_is_the_same_on_both_engines(spark: Cluster, tmp_path: Path) -> None:
    """Checks in words, profiles, rejects with their ids, what is told of the past, and the exported files."""
    found, rejects = shop(tmp_path / "spark", lakes(tmp_path / "lake", spark))
    expected, there = shop(tmp_path / "duckdb", DuckDBWarehouse)
    assert rejects == there != []
    for name, publication in expected.publications.items():
        same = found.publications[name]
        told = {each: getattr(same, each) for each in ("action", "rows", "staged", "rejected", "profile", "lineage")}
        assert told == {each: getattr(publication, each) for each in told}, name
        checks = [[each for each in side.checks if each.name != "usual"] for side in (same, publication)]
        assert checks[0] == checks[1], name
        assert [each.verdict for each in same.checks] == [each.verdict for each in publication.checks]
    assert (tmp_path / "spark/out/letter.txt").read_bytes() == (tmp_path / "duckdb/out/letter.txt").read_bytes()
    seen = Seen(tmp_path / "lake", "transform", "orders")
    assert seen.rows().num_rows == seen.record()["row_count"] == 4
    assert (seen.record()["run_id"], seen.record()["action"]) == ("run", "replace")


class Kinds(pa.DataFrameModel):
    """Each type that a contract has on both engines."""

    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    small: dt.Int16 = pa.Field(nullable=True, metadata=public)
    count: dt.UInt32 = pa.Field(nullable=True, metadata=public)
    price: dt.Decimal(12, 2) = pa.Field(nullable=True, metadata=public)
    share: dt.Float64 = pa.Field(nullable=True, metadata=internal)
    who: dt.String = pa.Field(nullable=True, metadata=personal)
    on: dt.Date = pa.Field(nullable=True, metadata=public)
    at: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(nullable=True, metadata=public)
    wall: dt.Timestamp(scale=6) = pa.Field(nullable=True, metadata=public)
    sure: dt.Boolean = pa.Field(nullable=True, metadata=public)
    many: Array("string") = pa.Field(nullable=True, metadata=public)

    class Config:
        strict = True


KINDS = (
    "k BIGINT, small SMALLINT, count UINTEGER, price DECIMAL(12_2), share DOUBLE, who VARCHAR, on DATE, at TIMESTAMPTZ, "
    "wall TIMESTAMP, sure BOOLEAN, many VARCHAR[]"
)


def kinds(*rows: str) -> str:
    return values(KINDS, *rows).replace("12_2", "12, 2").replace(" AS on", ' AS "on"')


def test_every_type_comes_back_as_it_was_and_python_tables_get_it_as_from_duckdb(
    spark: Cluster, tmp_path: Path
) -> None:
    row = (
        "1, -3, 4000000000, 10.25, 'NaN', 'Zoë \\ ''x''', '2026-10-25', '2026-10-25 00:30:00.123456+00', "
        "'2026-03-29 02:30:00', true, ['a', NULL]"
    )
    source = Given(kinds(row, "2" + ", NULL" * 10))
    seen = []

    def copied(first: Any) -> Any:
        frame = first.order_by("k").to_pandas()
        seen.append((frame.dtypes.astype(str).to_dict(), frame.astype(str).values.tolist(), first.count().execute()))
        return first.to_pyarrow()

    tables = [
        given("first", Kinds, source),
        made("second", Kinds, {"first": Kinds}, copied, engine="python"),
    ]
    rows, profiles = [], []
    for house in (House(tmp_path / "d"), House(tmp_path / "s", kind=lakes(tmp_path / "lake", spark))):
        result = house.build(*tables)
        assert result.ok, result.errors
        rows += [str(house.table(table)) for table in tables]
        profiles += [str(result.publications[table.name].profile) for table in tables]
        house.leave()
    assert len(set(rows)) == len(set(profiles)) == 1, (rows, profiles)
    assert seen[0] == seen[1]


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Config:
        strict = True


def dry(folder: Path, lake: Path, spark: Cluster) -> SparkDryRun:
    found: Any = SparkDryRun(folder / "w.duckdb", scratch=folder / "dry", lake=str(lake), cluster=spark)
    return found


def built(session: Session, *tables: Any, names: Iterable[str] | None = None) -> BuildResult:
    graph = Graph.of(tables)
    return build(graph, [*(names or graph.nodes)], session, Run.start(), Sources({"given": "."}))


def test_a_dry_run_writes_beside_the_lake_and_proves_it(spark: Cluster, tmp_path: Path) -> None:
    source, lake = Given(values("k BIGINT, v BIGINT", "1, 1")), tmp_path / "lake"
    first = given("first", Row, source)
    second = made("second", Row, {"first": Row}, lambda first: first.mutate(v=first.v * 2))
    house = House(tmp_path, kind=lakes(lake, spark))
    assert house.build(first, second).ok
    house.leave()
    before = {file: file.stat().st_mtime_ns for file in lake.rglob("*")}
    warehouse = dry(tmp_path, lake, spark)
    source.sql = values("k BIGINT, v BIGINT", "1, 5", "2, -1")
    with warehouse.session() as session:
        result = built(session, first, second, names=["second"])
        assert result.publications["second"].rows == 1  # of the real lake's rows
        failed = built(session, first)
        assert "rows_valid" in str(failed.errors["first"])
        source.sql = values("k BIGINT, v BIGINT", "1, 5", "2, 6")
        assert built(session, first, second).ok
        assert session.connection.execute(f"SELECT v FROM {session.scan(second)} ORDER BY 1").fetchall() == [
            (10,),
            (12,),
        ]
        assert session.behind.all(f"SELECT * FROM {session.behind.table(second.stage, second.name)}") == [(1, 2)]
    assert warehouse.proof is not None
    assert warehouse.proof.holds
    assert "the lake's 2 tables" in warehouse.proof.line
    assert {file: file.stat().st_mtime_ns for file in lake.rglob("*")} == before


def test_a_function_that_writes_the_lake_in_a_dry_run_is_shown(spark: Cluster, tmp_path: Path) -> None:
    lake, source = tmp_path / "lake", Given(values("k BIGINT, v BIGINT", "1, 1"))
    first = given("first", Row, source)
    house = House(tmp_path, kind=lakes(lake, spark))
    assert house.build(first).ok
    house.leave()

    def harming(first: Any) -> Any:
        spark.spark.sql("DELETE FROM lake.warehouse.first")
        return first

    warehouse = dry(tmp_path, lake, spark)
    with (
        pytest.raises(WarehouseError, match="PROOF FAILED: the real warehouse changed"),
        warehouse.session() as session,
    ):
        built(session, first, made("second", Row, {"first": Row}, harming), names=["second"])


def test_what_spark_does_not_do_is_told_before_anything_is_built(spark: Cluster, tmp_path: Path) -> None:
    class Version(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        valid_from: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)
        valid_to: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(nullable=True, metadata=public)

        class Config:
            unique = ["k", "valid_from"]

    source = Given(values("k BIGINT, v BIGINT", "1, 1"))
    tables = [
        given("fine", Row, source),
        given("merged", Row, source, load=Incremental("v")),
        given("versions", Version, source, load=History()),
        made("moded", Row, {"fine": Row}, lambda fine: fine.group_by("k").agg(v=fine.v.mode())),
    ]
    house = House(tmp_path, kind=lakes(tmp_path / "lake", spark))
    graph = Graph.of(tables)
    told = [
        str(each)
        for each in house.session.refusals(graph, [each.name for each in tables], BaseSettings.read({}, root=tmp_path))
    ]
    house.leave()
    assert [each.partition(" (")[0].partition(".")[2] for each in told] == ["merged", "versions", "moded"]
    assert "Spark loads no table incrementally. Build it whole" in told[0]
    assert "Spark keeps no history of versions" in told[1]
    assert "Spark does not compute Mode as DuckDB does" in told[2]
    assert not any("\n" in each for each in told)


def test_another_s_table_is_not_taken_for_one_of_ours(spark: Cluster, tmp_path: Path) -> None:
    house = House(tmp_path, kind=lakes(tmp_path / "lake", spark))
    first = given("first", Row, Given(values("k BIGINT, v BIGINT", "1, 1")))
    second = made("second", Row, {"first": Row}, lambda first: first)
    house.session.lake.make("warehouse")  # type: ignore[attr-defined]
    house.session.lake.replace("SELECT 'a' AS k", "warehouse", "first")  # type: ignore[attr-defined]
    result = house.build(first, second, names=["second"])
    assert "the published table has other columns than its contract: k, v" in str(result.errors["second"])
    assert house.build(first, second).ok  # it is replaced, as any version before
    house.leave()


@pytest.fixture
def spark_warehouse(spark: Cluster, tmp_path: Path) -> SparkWarehouse:
    return SparkWarehouse(
        tmp_path / "w.duckdb", spark.address, str(tmp_path / "lake"), output=tmp_path, scratch=tmp_path, cluster=spark
    )


def test_books_that_were_lost_are_written_anew_from_the_lake(spark_warehouse: SparkWarehouse, tmp_path: Path) -> None:
    """As after a kill between the lake's commit and that of the books."""
    source = Given(values("k BIGINT, v BIGINT", "1, 1"), offsets={0: 1, 3: 7}, incremental=True)
    first = given("first", Row, source)
    with spark_warehouse.session() as session:
        assert built(session, first).ok
        told = session.last_publication("first")
        (tmp_path / "w.duckdb").rename(tmp_path / "gone.duckdb")
    with spark_warehouse.session() as session:
        assert session.last_publication("first") == told
        assert session.offsets(first) == {0: 1, 3: 7}
        source.sql, source.offsets = values("k BIGINT, v BIGINT", "2, 2"), {0: 2, 3: 7}
        assert built(session, first).publications["first"].action == "append"
        assert session.count(first) == 2
    with spark_warehouse.session() as session:
        assert len(session.connection.execute("FROM ops.publications").fetchall()) == 2
    with spark_warehouse.reading() as session, pytest.raises(PipelineError):
        session.read(given("third", Row, source))


def test_rows_that_a_killed_replay_has_published_are_not_added_again(
    spark_warehouse: SparkWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has no key, by which a second time would be noticed."""

    class Strict(pa.DataFrameModel):
        v: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Loose(pa.DataFrameModel):
        v: dt.Int64 = pa.Field(metadata=public)

    source = Given(values("v BIGINT", "1", "-1"))
    with spark_warehouse.session() as session:
        assert built(session, given("first", Strict, source, max_rejects=RejectBudget(rows=1))).ok
    loose = given("first", Loose, source)
    real = LakeAdded.commit

    def commit(self: LakeAdded, *arguments: Any) -> None:
        real(self, *arguments)
        raise KeyboardInterrupt

    with spark_warehouse.session() as session, monkeypatch.context() as patch:
        patch.setattr(LakeAdded, "commit", commit)
        with pytest.raises(KeyboardInterrupt):
            replay(session, Graph.of([loose]), loose, Run.start())
        assert session.connection.execute("SELECT status FROM quarantine.rejects").fetchall() == [("open",)]
    with spark_warehouse.session() as session:
        assert session.connection.execute("SELECT status FROM quarantine.rejects").fetchall() == [("replayed",)]
        assert replay(session, Graph.of([loose]), loose, Run.start()).action == "none"
        assert session.count(loose) == 2


def test_a_driver_s_staging_table_that_is_gone_the_next_moment_is_nobody_s_concern(
    spark_warehouse: SparkWarehouse, tmp_path: Path
) -> None:
    """As another driver drops it between its being listed and read: its files are gone, its folder is there."""
    first = given("first", Row, Given(values("k BIGINT, v BIGINT", "1, 1")))
    with spark_warehouse.session() as session:
        assert built(session, first).ok
        session.lake.replace("SELECT 1 AS n", "warehouse", "__staging_first_hers")
    for file in (tmp_path / "lake" / "warehouse" / "__staging_first_hers" / "metadata").glob("*.metadata.json"):
        file.write_text("")
    with spark_warehouse.session() as session:
        assert "__staging_first_hers" in session.lake.tables("warehouse")
        assert LakeState.of(session.lake).pointers.keys() == {"warehouse.first"}
        assert list(session.standing()) == [("warehouse", "first")]
        assert built(session, first).ok
