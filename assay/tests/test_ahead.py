"""Tables side by side: each once, after what it reads, and with the same result as one after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.ahead import Ahead
from assay.build import build_node
from assay.contract.classification import public
from assay.errors import PipelineError, SourceUnavailable
from assay.sources.base import Sources
from assay.tables.declare import export
from assay.tables.graph import Graph
from assay.tables.nodes import Asset, KeepFirst, RejectBudget
from assay.tables.run import Run
from assay.warehouse.session import Session
from tests.little import Little
from tests.warehouse.house import Given, House, given, made, values

ENDLESS = "SELECT count(md5(range::VARCHAR)) FROM range(1000000000000)"
SOON = 60
"""Seconds after which a test gives up waiting for what must happen."""


class Pair(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Config:
        unique = ["k"]


@ibis.udf.scalar.python  # type: ignore[untyped-decorator]  # Ibis's has no types
def plus_one(x: int) -> int:
    return x + 1


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.leave()


def rows(*pairs: str) -> Given:
    return Given(values("k BIGINT, v BIGINT", *(pairs or ("1, 1",))))


def below(name: str, *inputs: str, rows: str = "{}") -> Asset:
    """A table whose rows are the first input's, or what the expression `rows` makes of them."""
    function = eval(
        f"lambda {', '.join(inputs)}: {rows.format(inputs[0])}", globals()
    )  # inputs are named by parameters
    return made(name, Pair, dict.fromkeys(inputs, Pair), function)


def test_what_is_independent_is_built_at_the_same_time(house: House) -> None:
    graph = Graph.of([given(name, Pair, rows()) for name in ("a", "b")])
    both = threading.Barrier(2)

    def build(node: Asset, session: Session) -> str:
        both.wait(SOON)  # raises where the other one does not come
        return node.name

    with Ahead(graph, graph.nodes, house.session, build, at_once=2) as ahead:
        assert [ahead.result(name) for name in ("a", "b")] == ["a", "b"]


def test_a_node_waits_for_what_it_reads_and_the_longest_way_begins_first(house: House) -> None:
    nodes = [given(name, Pair, rows()) for name in ("a", "b", "c")]
    graph = Graph.of([*nodes, below("d", "b", "c"), below("e", "d"), below("f", "a")])
    order: list[str] = []
    open_ = threading.Barrier(2)

    def build(node: Asset, session: Session) -> None:
        order.append(f"<{node.name}")
        if node.name in ("b", "c"):
            open_.wait(SOON)
        order.append(f"{node.name}>")

    with Ahead(graph, graph.nodes, house.session, build, at_once=2) as ahead:
        for name in graph.nodes:
            ahead.result(name)
    assert set(order[:2]) == {"<b", "<c"}
    for name, inputs in {"d": "bc", "e": "d", "f": "a"}.items():
        assert all(order.index(f"{other}>") < order.index(f"<{name}") for other in inputs)
    assert len(order) == len(set(order)) == 12


def test_what_is_below_a_failure_does_not_begin_and_the_failed_one_is_built_again_when_asked_again(
    house: House,
) -> None:
    graph = Graph.of([given("a", Pair, rows()), given("b", Pair, rows()), below("c", "a"), below("d", "c")])
    begun: list[str] = []

    def build(node: Asset, session: Session) -> str:
        begun.append(node.name)
        if begun.count("a") == 1 and node.name == "a":
            raise SourceUnavailable("does not answer")
        return node.name

    with Ahead(graph, graph.nodes, house.session, build, at_once=2) as ahead:
        with pytest.raises(SourceUnavailable):
            ahead.result("a")
        assert ahead.result("b") == "b"
        assert sorted(begun) == ["a", "b"]
        assert [ahead.result(name) for name in ("a", "c", "d")] == ["a", "c", "d"]
    assert sorted(begun) == ["a", "a", "b", "c", "d"]


def test_a_file_about_the_run_waits_for_all_before_it_even_where_they_failed(house: House) -> None:
    @export("page.html", owner="team:x")
    def page(run: Run) -> str:
        return ""

    graph = Graph.of([given("a", Pair, rows()), given("b", Pair, rows()), below("c", "b"), page])
    ended: list[str] = []
    late = threading.Event()

    def build(node: Asset, session: Session) -> None:
        if node.name == "a":
            late.wait(SOON)
        ended.append(node.name)
        if node.name == "b":
            late.set()
            raise PipelineError("broken")

    with Ahead(graph, graph.nodes, house.session, build, at_once=3) as ahead:
        ahead.result("page")
    assert ended == ["b", "a", "page"]


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_runs_is_ended_and_what_nobody_asked_for_is_told(house: House, at_once: int) -> None:
    graph = Graph.of([given(name, Pair, rows()) for name in ("a", "b", "c")])
    begun = threading.Event()

    def build(node: Asset, session: Session) -> str:
        if node.name == "b":
            begun.set()
            session.connection.execute(ENDLESS)
        return node.name

    with Ahead(graph, graph.nodes, house.session, build, at_once=at_once) as ahead:
        assert ahead.result("a") == "a"
        if at_once == 1:
            assert not begun.is_set()
            assert ahead.stop() == []
            return
        assert begun.wait(SOON)
        while ahead._jobs["c"].state != "done":
            pass
        assert ahead.stop() == ["c"]
        assert ahead._jobs["b"].state == "failed"
        assert not any(thread.is_alive() for thread in ahead._threads)


def everything(house: House, nodes: Sequence[Any], *, at_once: int) -> dict[str, Any]:
    """What is in the warehouse after `nodes` were built twice, and whose publications were numbered alike."""
    graph, folder = Graph.of(nodes), str(house.folder)
    for _ in range(2):
        run = Run.start(id="r")

        def build(node: Asset, session: Session, run: Run = run) -> None:
            build_node(node, graph, session, run, Sources({"given": folder}))

        with Ahead(graph, graph.nodes, house.session, build, at_once=at_once) as ahead:
            for name in graph.nodes:
                ahead.result(name)
    found = {node.name: house.table(node) for node in nodes}
    found["books"] = house.rows(
        "SELECT table_name, row_count, rejected, data_version, upstream_versions FROM ops.publications ORDER BY ALL"
    )
    found["numbers"] = house.rows("SELECT id FROM ops.publications ORDER BY id")
    found["rejects"] = house.rejects("table_name, reject_id, payload, reason_codes, status")
    found["metrics"] = house.rows("SELECT table_name, metric, count(*) FROM ops.metrics GROUP BY ALL ORDER BY ALL")
    found["joined"] = house.rows(
        """SELECT count(*) FROM ops.metrics AS m JOIN ops.publications AS p ON (p.id, p.table_name) = (m.publication, m.table_name)"""
    )
    return found


@pytest.mark.slow
def test_side_by_side_gives_what_one_after_the_other_gives(tmp_path: Path) -> None:
    """Publishing, books and quarantine of transactions that overlap, the first ones of a new warehouse included."""
    options: dict[str, Any] = {"keep": KeepFirst(("v",)), "max_rejects": RejectBudget(rows=9)}
    nodes: list[Any] = []
    for number in range(8):
        source = rows(f"1, {number}", "2, -1", f"3, {number}", "3, 9")
        nodes += [given(f"raw{number}", Pair, source, **options)]
    nodes += [below(f"next{each}", f"raw{each}", rows="{0}.mutate(v=plus_one({0}.v))") for each in range(8)]
    found = {}
    for at_once in (1, 4):
        house = House(tmp_path / str(at_once))
        found[at_once] = everything(house, nodes, at_once=at_once)
        house.leave()
    assert found[1] == found[4]
    assert found[4]["numbers"] == [(number,) for number in range(1, 33)]
    assert found[4]["next3"] == [(1, 4), (3, 4)]
    assert len(found[4]["rejects"]) == 16


@pytest.mark.slow
def test_a_run_that_is_killed_while_tables_are_built_side_by_side_leaves_each_whole(tmp_path: Path) -> None:
    """Each is as its record says or not there at all, wherever in their transactions the others were."""
    little, began = Little(tmp_path), tmp_path / "log"
    land = (
        "import os; (ROOT / 'log').open('a').write('x'); "
        "0 < int(os.environ['DIES']) <= (ROOT / 'log').stat().st_size and os.kill(os.getpid(), 9)"
    )
    names = [f"t{number}" for number in range(8)]
    for name in names:
        little.table(name, land=land)
    recorded = []
    for dies in (3, 5, 8, 8, 0):
        began.unlink(missing_ok=True)
        code, output, errors = little.run(
            "run", environment={"PIPELINE_TABLES_AT_ONCE": "4", "PIPELINE_THREADS": "2", "DIES": str(dies)}
        )
        assert code == (-signal.SIGKILL if dies else 0), output + errors
        with duckdb.connect(str(little.warehouse), read_only=True) as connection:
            books = dict(
                connection.execute(
                    "SELECT table_name, arg_max(row_count, id) FROM ops.publications GROUP BY 1"
                ).fetchall()
            )
            ids = connection.execute("SELECT count(*), count(DISTINCT id) FROM ops.publications").fetchall()[0]
            found = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'extract'"
            ).fetchall()
            counts = {name: connection.table(f"extract.{name}").count("*").fetchall()[0][0] for (name,) in found}
        left = {name for name in counts if name.startswith("__staging_")}
        assert {name: count for name, count in counts.items() if name not in left} == books
        assert ids[0] == ids[1]
        recorded.append(ids[0])
    assert "8 published, 0 failed, 0 skipped" in output
    assert set(books) == set(names)
    assert not left
    # Killed before all were published, and after some were.
    assert recorded[0] < 8
    assert recorded[-2] > recorded[0]
