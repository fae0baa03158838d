"""Building: what a function gets and may return, and that order, threads and the kind of warehouse change nothing."""

from __future__ import annotations

import datetime as dtm
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pyarrow
import pytest
from pandera.typing.ibis import Table

from assay.build import BuildResult, Progress, build
from assay.contract.classification import personal, public
from assay.errors import PipelineError, WarehouseError, WiringError
from assay.sources.base import Landed, Landing, Sources
from assay.tables.declare import export, table
from assay.tables.graph import Graph
from assay.tables.nodes import KeepFirst, Reference, RejectBudget, TableDef
from assay.tables.partitions import PartitionRange, daily
from assay.tables.results import AuditFailed
from assay.tables.run import Run
from assay.warehouse.warehouse import DryRunWarehouse
from tests.warehouse.house import Given, House, check, given, made, publication, values

COLUMNS = "k BIGINT, v BIGINT"


class Pair(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)


class Keyed(Pair):
    class Config:
        unique = ["k"]


class Wide(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Float64 = pa.Field(ge=0, nullable=True, metadata=public)
    t: dt.String = pa.Field(metadata=personal)
    d: dt.Date = pa.Field(metadata=public)

    class Config:
        unique = ["k"]


class Dated(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(ge=0, metadata=public)
    d: dt.Date = pa.Field(metadata=public)


@pytest.fixture
def house(tmp_path: Path):
    house = House(tmp_path)
    yield house
    house.leave()


def dry(house: House, *nodes: TableDef, partition: str | None = None, in_memory: bool = False) -> dict[str, Any]:
    """Build `nodes` in a dry run; returns each table's rows and the result."""
    house.leave()
    graph = Graph.of(nodes)
    warehouse = DryRunWarehouse(
        house.file if house.file.exists() else None, scratch=house.folder / "dry", in_memory=in_memory
    )
    run = Run.start(partition=PartitionRange.parse(partition) if partition else None)
    with warehouse.session() as session:
        result = build(graph, graph.nodes, session, run, Sources({"given": "."}))
        rows = {
            node.name: session.connection.execute(f"SELECT * FROM {session.relation(node)} ORDER BY ALL").fetchall()
            for node in nodes
            if session.exists(node)
        }
        return {"result": result, "rows": rows, "offsets": session.offsets(nodes[0])}


def test_a_dry_run_promises_no_refused_rows_for_its_database_goes(house: House) -> None:
    a = given("a", Keyed, Given(values(COLUMNS, "1, 1", "1, 2")))
    assert "The refused rows are in" in str(house.build(a).errors["a"])
    error = str(dry(house, a)["result"].errors["a"])
    assert "1 row repeats (k)" in error
    assert "refused rows" not in error


# The same rows are the same table.


def shuffled(seed: int, threads: int, folder: Path) -> tuple[Any, ...]:
    house = House(folder / f"{seed}_{threads}", threads=threads)
    rows = """
        SELECT range % 700 AS k, if(range % 13 = 0, -1, (range * 7919 % 1000) / 8) AS v,
               chr(97 + (range % 26)::INT) AS t, DATE '2026-01-01' + (range % 5)::INT AS d
        FROM range(2000)"""
    source = Given(f"SELECT * FROM ({rows}) ORDER BY hash(k, v, t, d, {seed})")
    a = given("a", Wide, source, keep=KeepFirst(("d",)), max_rejects=RejectBudget(ratio=1.0))
    found = publication(house.build(a), "a")
    answer = (
        found.data_version,
        found.checks,
        house.table(a),
        house.rejects("reject_id, reason_codes, payload"),
    )
    house.leave()
    return answer


def test_the_order_of_rows_and_the_number_of_threads_change_nothing(tmp_path: Path) -> None:
    first, *others = [shuffled(seed, threads, tmp_path) for seed, threads in ((1, 1), (2, 1), (3, 4))]
    assert len(first[2]) > 500
    assert len(first[3]) > 1000
    for other in others:
        assert other == first


def test_another_value_is_another_version(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1", "2, 2"))
    a = given("a", Pair, source)
    versions = []
    for rows in (["1, 1", "2, 2"], ["2, 2", "1, 1"], ["1, 2", "2, 1"], ["1, 1"], ["1, 1", "2, 2", "2, 2"]):
        source.sql = values(COLUMNS, *rows)
        versions.append(publication(house.build(a), "a").data_version)
    assert versions[0] == versions[1]
    assert len(set(versions)) == 4


# What a function gets and returns.


def test_a_python_table_returns_rows(house: House) -> None:
    def doubled(up: Any) -> Any:
        rows = up.to_pyarrow().to_pylist()
        return pyarrow.table({"k": [row["k"] for row in rows], "v": [row["v"] * 2 for row in rows]})

    up = given("up", Pair, Given(values(COLUMNS, "1, 1", "2, 2")))
    a = made("a", Pair, {"up": Pair}, doubled, engine="python")
    result = house.build(up, a)
    assert house.table(a) == [(1, 2), (2, 4)]
    assert publication(result, "a").lineage["v"] == (("up", "k"), ("up", "v"))
    with pytest.raises(AssertionError, match="returned Table"):
        check(house.build(up, made("a", Pair, {"up": Pair}, doubled)), "a", "schema")


def test_a_python_table_is_held_to_its_types(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    short = made(
        "a",
        Pair,
        {"up": Pair},
        lambda up: pyarrow.table({"k": pyarrow.array([1], pyarrow.int32()), "v": [1]}),
        engine="python",
    )
    assert "INTEGER" in check(house.build(up, short), "a", "schema").summary


@pytest.mark.parametrize("rows", [None, [{"k": 1, "v": 1}], {"k": [1], "v": [1]}])
def test_what_a_python_table_returns_and_is_no_rows_is_named(house: House, rows: Any) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    error = house.build(up, made("a", Pair, {"up": Pair}, lambda up: rows, engine="python")).errors["a"]
    assert error.what == f"'a' returned {type(rows).__name__}, not rows"


def test_a_reader_that_gives_its_rows_once_is_read_for_all_that_ask(house: House) -> None:
    up = given("up", Dated, Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'")))
    days = daily("d", start="2026-01-01", end="2026-01-02")

    def function(up: Any) -> Any:
        return up.to_pyarrow().to_reader()

    node = made("a", Dated, {"up": Dated}, function, engine="python", partitions=days, preserves="up")
    assert house.build(up, node).ok
    result = house.build(node, up, names=["a"], partition="2026-01-02")
    assert check(result, "a", "reconciles").passed, result.errors


def test_an_input_that_is_published_otherwise_than_its_contract_says_is_to_be_built_first(house: House) -> None:
    class More(Pair):
        w: dt.Int64 = pa.Field(metadata=public)

    class Wider(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        v: dt.Float64 = pa.Field(metadata=public)

    assert house.build(given("up", Pair, Given(values(COLUMNS, "1, 1")))).ok
    for model, column in ((More, "w"), (Wider, "v")):
        up = given("up", model, Given(values("k BIGINT, v DOUBLE, w BIGINT", "1, 1, 1")))
        made_of_it = made("a", Pair, {"up": model}, lambda up: up.select("k", v=ibis._[up.columns[-1]].cast("int64")))
        error = house.build(up, made_of_it, names=["a"]).errors["a"]
        assert error.what == f"the published table has other columns than its contract: {column}"
        assert error.fix == "Build it first: pipeline run up."
    other = given("a", Pair, Given(values(COLUMNS, "1, 1")), references=(Reference(("v",), "up", ("w",)),))
    up = given("up", More, Given(values("k BIGINT, v BIGINT, w BIGINT", "1, 1, 1")))
    error = house.build(up, other, names=["a"]).errors["a"]
    assert error.what == "the published table has other columns than its contract: w"


def test_rows_from_memory_can_be_joined(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1", "2, 2")))
    weights = ibis.memtable({"k": [1, 2], "w": [10, 20]})
    a = made("a", Pair, {"up": Pair}, lambda up: up.join(weights, "k").select("k", v=ibis._.v * ibis._.w))
    assert house.build(up, a).ok
    assert house.table(a) == [(1, 10), (2, 40)]


def test_a_function_gets_the_run(house: House) -> None:
    seen: list[Run] = []

    def clocked(source: Any, run: Any) -> Any:
        seen.append(run)
        return source.mutate(v=ibis.literal(run.now.year, type="int64"))

    clocked.__annotations__ = {"source": ibis.expr.types.Table, "run": Run, "return": Table[Pair]}
    a = table(source=Given(values(COLUMNS, "1, 1")))(clocked)
    run = Run("id", dtm.datetime(2001, 1, 1, tzinfo=dtm.UTC))
    assert house.build(a, run=run).ok
    assert seen == [run]
    assert house.table(a) == [(1, 2001)]


def test_progress_is_told_in_order(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    bad = given("bad", Pair, Given(values(COLUMNS, "1, -1")))
    below = made("below", Pair, {"bad": Pair}, lambda bad: bad)
    graph, told = Graph.of([up, bad, below]), list[Progress]()
    build(graph, graph.nodes, house.session, Run.start(), Sources({"given": "."}), on_progress=told.append)
    assert [(each.kind, each.node.name) for each in told] == [
        ("start", "bad"),
        ("failed", "bad"),
        ("start", "up"),
        ("done", "up"),
        ("skipped", "below"),
    ]
    failed = next(each for each in told if each.kind == "failed")
    assert isinstance(failed.error, AuditFailed)
    assert failed.publication is not None


def test_an_unknown_name_builds_nothing(house: House) -> None:
    with pytest.raises(WiringError, match="Did you mean up"):
        house.build(given("up", Pair, Given(values(COLUMNS, "1, 1"))), names=["upp"])


# Exports.


def letter(content: object, path: str = "letter.txt") -> Any:
    def letter(up: Any) -> Any:
        return content

    letter.__annotations__ = {"up": Table[Pair]}
    return export(path)(letter)


@pytest.mark.parametrize("content", ["täxt", b"\x00bytes"])
def test_an_export_is_a_file(house: House, content: str | bytes) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    result = house.build(up, letter(content))
    written = (house.folder / "out" / "letter.txt").read_bytes()
    assert written == (content.encode() if isinstance(content, str) else content)
    assert publication(result, "letter").bytes == len(written)


def test_an_export_that_fails_leaves_the_old_file(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    house.build(up, letter("old"))
    assert isinstance(house.build(up, letter(5)).errors["letter"], WiringError)
    assert [path.name for path in (house.folder / "out").iterdir()] == ["letter.txt"]
    assert (house.folder / "out" / "letter.txt").read_text() == "old"


def test_an_export_that_cannot_be_written_is_one_line(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    (house.folder / "out").write_text("a file where the folder should be")
    error = house.build(up, letter("new")).errors["letter"]
    assert isinstance(error, WarehouseError)
    assert "set PIPELINE_OUTPUT" in str(error)


def test_an_export_cannot_leave_the_output_folder_through_a_link(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    (house.folder / "out").mkdir()
    (house.folder / "elsewhere").mkdir()
    (house.folder / "out" / "link").symlink_to(house.folder / "elsewhere")
    error = house.build(up, letter("new", "link/letter.txt")).errors["letter"]
    assert "leads out of the output folder" in str(error)
    assert list((house.folder / "elsewhere").iterdir()) == []


# Landings.


class Leaving(Given):
    """A source that leaves temporary tables and files behind."""

    def land(self, landing: Landing) -> Landed:
        assert list(landing.scratch.iterdir()) == []
        (landing.scratch / "file").write_text("x")
        landing.connection.execute(f'CREATE TEMP TABLE "left ""over" AS {self.sql}')
        return Landed('SELECT * FROM "left ""over"', "fingerprint")


@pytest.mark.parametrize("row", ["1, 1", "1, -1"])
def test_what_a_connector_landed_goes_with_the_build(house: House, row: str) -> None:
    house.build(given("a", Pair, Leaving(values(COLUMNS, row))))
    assert house.rows("SELECT table_name FROM duckdb_tables() WHERE temporary") == []
    assert [path.name for path in (house.folder / "scratch").iterdir()] == []


def test_what_a_killed_run_landed_goes_with_the_next(house: House) -> None:
    left = house.folder / "scratch" / "landing_dead"
    left.mkdir(parents=True)
    (left / "owner.lock").write_text("")
    house.build(given("a", Pair, Given(values(COLUMNS, "1, 1"))))
    assert not left.exists()


# A dry run gives what a real run would, and the real warehouse stays as it was.


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_dry_run_of_a_partition_and_of_events(house: House, in_memory: bool) -> None:
    days = Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'"))
    events = Given(values(COLUMNS, "1, 1"), offsets={0: 1}, incremental=True)
    a = given("a", Pair, events)
    b = given("b", Dated, days, partitions=daily("d", start="2026-01-01"), max_rejects=RejectBudget(rows=1))
    assert house.build(a, b).ok
    before = (house.table(a), house.table(b), house.rejects())
    house.leave()
    content = house.file.read_bytes()
    days.sql = values("k BIGINT, d DATE", "7, '2026-01-01'", "8, '2026-01-02'", "-9, '2026-01-02'")
    events.sql, events.offsets = values(COLUMNS, "2, 2"), {0: 2}
    dried = dry(house, a, b, partition="2026-01-02", in_memory=in_memory)
    assert house.file.read_bytes() == content
    assert (house.table(a), house.table(b), house.rejects()) == before
    real: BuildResult = house.build(a, b, partition="2026-01-02")
    assert dried["rows"] == {"a": house.table(a), "b": house.table(b)}
    assert dried["offsets"] == {0: 2}
    for name in ("a", "b"):
        told, done = publication(dried["result"], name), publication(real, name)
        assert (told.data_version, told.checks, told.action, told.rows) == (
            done.data_version,
            done.checks,
            done.action,
            done.rows,
        )


def test_a_dry_run_without_a_warehouse(house: House) -> None:
    a = given("a", Pair, Given(values(COLUMNS, "1, 1")))
    assert dry(house, a)["rows"] == {"a": [(1, 1)]}
    assert not house.file.exists()


def test_every_error_of_a_build_is_one_line(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    bad = [
        given("b1", Pair, Given("SELECT 1::BIGINT AS k, CAST('x' AS BIGINT) AS v")),
        given("b2", Pair, Given("SELECT 9223372036854775807 + range AS k, 1::BIGINT AS v FROM range(2)")),
        given("b3", Pair, Given("SELECT k, v FROM read_parquet('/nowhere/at/all.parquet')")),
        made("b4", Pair, {"up": Pair}, lambda up: up.mutate(v=ibis.literal("x").cast("int64"))),
    ]
    result = house.build(up, *bad)
    assert sorted(result.errors) == ["b1", "b2", "b3", "b4"]
    for name, error in result.errors.items():
        assert isinstance(error, PipelineError)
        assert f"warehouse.{name}" in str(error) or name in str(error)
        assert "\n" not in str(error)
        assert error.fix
