"""What an export is told of the builds and days before."""

from __future__ import annotations

import datetime as dtm
from pathlib import Path
from typing import Any

import pytest
from pandera.typing.ibis import Table

from assay.build import build
from assay.sources.base import Sources
from assay.tables.declare import export
from assay.tables.graph import Graph
from assay.tables.results import Past
from assay.tables.run import Run
from assay.warehouse import past
from assay.warehouse.warehouse import DryRunWarehouse
from tests.health.test_usual import DAILY, LAST, NOW, Sale, at, sales
from tests.warehouse.house import Given, House, given


def seen(sold: Table[Sale], run: Run) -> str:
    """How often the table was built, and the flagged days."""
    return f"{len(run.past.builds)} {[day.day.isoformat() for day in run.past.days if day.unusual]}"


def told(house: House, *nodes: Any) -> Past:
    return past.read(house.session, Graph.of(list(nodes)).tables)


def test_the_days_of_a_partitioned_table_are_told_with_the_one_that_is_flagged(house: House) -> None:
    table = given("sold", Sale, Given(sales(f"(NOT {LAST} OR j < 560)")), **DAILY)
    house.build(table, run=at())
    letter = house.build(table, export("seen.txt")(seen), names=["seen"], run=at()).publications["seen"]
    assert Path(str(letter.path)).read_text() == "1 ['2026-11-24']"
    found = told(house, table)
    assert [(each.table, each.at, each.failed, each.low) for each in found.builds] == [("sold", NOW, False, None)]
    assert len(found.days) == past.SHOWN
    assert [(each.day, each.rows) for each in found.days if each.unusual] == [(dtm.date(2026, 11, 24), 560)]
    assert found.days[-1].low is not None
    assert found.days[0].low is None, "history is not judged"


@pytest.mark.slow
def test_a_build_is_told_with_what_was_usual_and_a_failed_one_as_failed(house: House) -> None:
    source = Given(sales(f"{LAST} AND j < 1000"))
    table = given("sold", Sale, source, max_rejects=DAILY["max_rejects"], may_shrink=1.0)
    for day in range(36):  # five of each weekday
        house.build(table, run=at(day - 36))
    source.sql = sales(f"{LAST} AND j < 300")
    house.build(table, run=at(0))
    source.sql = f"{source.sql} UNION ALL {source.sql}"
    assert house.build(table, run=at(1)).errors.keys() == {"sold"}
    builds = told(house, table).builds
    assert len(builds) == past.SHOWN
    *_, before, halved, failed = builds
    assert (before.rows, before.unusual, before.failed) == (1000, False, False)
    assert (halved.rows, halved.unusual) == (300, True)
    assert halved.low is not None
    assert halved.rows < halved.low
    assert (failed.failed, failed.rows, failed.low) == (True, 300, None)
    assert "failed" in failed.verdicts


def test_a_dry_run_tells_the_real_builds_and_its_own(house: House, tmp_path: Path) -> None:
    table = given("sold", Sale, Given(sales(f"{LAST}")))
    house.build(table, run=at(-1))
    house.leave()
    with DryRunWarehouse(house.file, scratch=tmp_path / "dry").session() as session:
        graph = Graph.of([table])
        assert build(graph, ["sold"], session, at(), Sources({"given": ""})).ok
        assert [each.at for each in past.read(session, graph.tables).builds] == [NOW - dtm.timedelta(days=1), NOW]
    with DryRunWarehouse(None, scratch=tmp_path / "golden", in_memory=True, keeps_books=False).session() as session:
        assert build(graph, ["sold"], session, at(), Sources({"given": ""})).ok
        assert past.read(session, graph.tables) == Past(), "a golden case does not vary by what was before"
