"""The check `usual`: half of a day's rows are gone, and every contract passes."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pandera.typing.ibis import Table

from assay import daily, hourly, public
from assay.build import build
from assay.errors import PipelineError, WiringError
from assay.sources.base import Sources
from assay.tables.declare import metric
from assay.tables.graph import Graph
from assay.tables.nodes import MetricDef, RejectBudget
from assay.tables.partitions import PartitionRange
from assay.tables.results import CheckResult
from assay.tables.run import Run
from assay.warehouse.warehouse import DryRunWarehouse
from tests.warehouse.house import Given, House, check, given

NOW = dtm.datetime(2026, 11, 25, 8, tzinfo=dtm.UTC)
"""A Wednesday: the newest complete day is Tuesday, 24 November."""


class Sale(pa.DataFrameModel):
    sale_id: dt.Int64 = pa.Field(metadata=public)
    sold_on: dt.Date = pa.Field(metadata=public)
    note: dt.String = pa.Field(nullable=True, metadata=public)
    amount: dt.Float64 = pa.Field(ge=0, metadata=public)

    class Config:
        strict = True
        unique = ["sale_id"]


def sales(where: str = "true", *, amount: str = "10.0 + j % 7") -> str:
    """A thousand rows a day since June, more towards Sunday; a tenth has no note."""
    return f"""SELECT i * 10000 + j AS sale_id, DATE '2026-06-01' + CAST(i AS INTEGER) AS sold_on,
                      CASE WHEN j % 10 > 0 THEN 'x' END AS note, CAST({amount} AS DOUBLE) AS amount
               FROM range(177) AS a(i), range(2000) AS b(j)
               WHERE j < 1000 + 100 * (i % 7) + hash(i) % 40 AND {where}"""


LAST = "i = 176"
DAILY: dict[str, Any] = {
    "partitions": daily("sold_on", start="2026-06-01"),
    "max_rejects": RejectBudget(ratio=0.5),
    "may_shrink": 1.0,
}


def at(day: int = 0) -> Run:
    return Run(f"run {day}", NOW + dtm.timedelta(days=day))


def usual(house: House, node: Any, *others: Any, run: Run | None = None) -> CheckResult:
    return check(house.build(node, *others, run=run or at()), node.name, "usual")


def test_half_of_a_days_rows_gone_is_told_though_every_contract_passes(house: House) -> None:
    table = given("sold", Sale, Given(sales(f"(NOT {LAST} OR j < 560)")), **DAILY)
    result = house.build(table, run=at())
    found = {each.name: each for each in result.publications["sold"].checks}
    assert [name for name, each in found.items() if not each.passed] == ["usual"]
    assert found["usual"].severity == "warn", "the table is published all the same"
    said = found["usual"].summary
    assert "2026-11-24 (Tuesday): rows 560, usually" in said, said
    assert "seconds" not in said
    assert found["usual"].sample[0]["metric"] == "rows"
    kept = house.rows("SELECT day, value, low, high, verdict FROM ops.metrics WHERE verdict = 'unusual'")
    assert len(kept) == 1
    assert kept[0][0] == dtm.date(2026, 11, 24)


@pytest.mark.slow
def test_the_plan_says_the_same_from_the_real_warehouses_history(house: House, tmp_path: Path) -> None:
    source = Given(sales("i < 176"))
    table = given("sold", Sale, source, **DAILY)
    assert usual(house, table, run=Run("yesterday", NOW - dtm.timedelta(days=1))).passed
    house.leave()
    source.sql = sales(f"(NOT {LAST} OR j < 560)")
    graph = Graph.of([table])
    with DryRunWarehouse(house.file, scratch=tmp_path / "dry").session() as session:
        run = dataclasses.replace(at(), partition=PartitionRange.parse("2026-11-24"))
        planned = check(build(graph, ["sold"], session, run, Sources({"given": ""})), "sold", "usual")
        kept = session.connection.execute("SELECT metric FROM ops.metrics").fetchall()
    assert not planned.passed
    assert "2026-11-24 (Tuesday): rows 560, usually" in planned.summary
    assert ("seconds of 1 day",) not in kept, "a dry run's time is no build's"
    real = check(house.build(table, run=run), "sold", "usual")
    assert real.summary == planned.summary


def test_a_day_without_rows_counts_as_zero(house: House) -> None:
    found = usual(house, given("sold", Sale, Given(sales(f"NOT {LAST}")), **DAILY))
    assert "2026-11-24 (Tuesday): rows 0, usually" in found.summary


def test_days_as_always_are_usual_and_nothing_is_learning_of_them(house: House) -> None:
    table = given("sold", Sale, Given(sales()), **DAILY)
    found = usual(house, table)
    assert found.passed
    assert not found.learning
    assert found.summary.startswith("as usual: 2026-11-24 (Tuesday): rows 1,")
    before = house.rows("SELECT count(*) FROM ops.metrics WHERE metric = 'rows'")
    usual(house, table, run=at(0))
    assert house.rows("SELECT count(*) FROM ops.metrics WHERE metric = 'rows'") == before, "a known day is not repeated"


def test_without_history_it_is_learning_which_is_neither_passed_nor_failed(house: House) -> None:
    class Few(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)

    source = Given("SELECT i AS k FROM range(1000) AS r(i)")
    table = given("few", Few, source)
    for known in range(3):
        found = usual(house, table, run=at(7 * known))
        assert found.learning
        assert found.summary == f"learning what is usual: {known} of the 3 Wednesdays it takes are known"
    assert not usual(house, table, run=at(21)).learning
    source.sql = "SELECT i AS k FROM range(9000) AS r(i)"
    found = usual(house, table, run=at(28))
    assert found.summary.startswith("rows 9,000, usually ")
    assert found.summary.endswith(" on a Wednesday")


def test_an_old_day_built_again_alarms_nobody_and_changes_no_verdict(house: House) -> None:
    source = Given(sales())
    table = given("sold", Sale, source, **DAILY)
    assert usual(house, table).passed
    before = house.rows("SELECT * FROM ops.metrics WHERE metric = 'rows' ORDER BY ALL")
    source.sql = sales(
        "(sold_on <> DATE '2026-10-06' OR j % 2 = 0)".replace("sold_on", "DATE '2026-06-01' + CAST(i AS INTEGER)")
    )
    run = dataclasses.replace(at(), partition=PartitionRange.parse("2026-10-06"))
    assert check(house.build(table, run=run), "sold", "usual").passed
    after = house.rows("SELECT * FROM ops.metrics WHERE metric = 'rows' ORDER BY ALL")
    assert set(before) < set(after)
    assert [row[-1] for row in set(after) - set(before)] == ["history"]


@pytest.mark.slow
def test_a_jump_of_rejects_or_nulls_is_told(house: House) -> None:
    source = Given(sales("i < 176"))
    table = given("sold", Sale, source, **DAILY)
    usual(house, table, run=Run("1", NOW - dtm.timedelta(days=1)))
    source.sql = sales().replace("CASE WHEN j % 10 > 0", f"CASE WHEN NOT {LAST} AND j % 10 > 0")
    run = dataclasses.replace(at(), partition=PartitionRange.parse("2026-11-24"))
    assert "nulls of note 100%" in check(house.build(table, run=run), "sold", "usual").summary
    whole = given("whole", Sale, Given(sales()), max_rejects=RejectBudget(ratio=0.9))
    for week in range(10):
        assert usual(house, whole, run=at(7 * week)).passed
    whole_broken = given(
        "whole",
        Sale,
        Given(sales(amount="CASE WHEN j % 3 = 0 THEN -1 ELSE 5 END")),
        max_rejects=RejectBudget(ratio=0.9),
        may_shrink=1.0,
    )
    assert "rejected 3" in usual(house, whole_broken, run=at(70)).summary


def test_error_keeps_the_table_from_being_published_and_nothing_is_learned(house: House) -> None:
    source = Given(sales("i < 176"))
    table = given("sold", Sale, source, usual="error", **DAILY)
    usual(house, table, run=Run("1", NOW - dtm.timedelta(days=1)))
    kept = house.rows("SELECT count(*) FROM ops.metrics")
    source.sql = sales(f"(NOT {LAST} OR j < 560)")
    result = house.build(table, run=at())
    assert result.publications["sold"].failed
    assert "usual: 2026-11-24 (Tuesday): rows" in str(result.errors["sold"])
    assert house.rows("SELECT count(*) FROM ops.metrics") == kept


@pytest.mark.slow
def test_a_metric_of_the_project_is_kept_and_judged(house: House) -> None:
    source = Given(sales())
    table = given("sold", Sale, source)
    mean = _metric("mean_amount", lambda sold: sold.amount.mean())
    for week in range(5):
        usual(house, table, mean, run=at(7 * week))
    source.sql = sales(amount="(10 + j % 7) * 100")
    found = usual(house, table, mean, run=at(35))
    assert "mean_amount 1,300, usually 13 to 13" in found.summary
    source.sql = sales("i < 0")
    nothing = usual(house, given("sold", Sale, source, may_be_empty=True), mean, run=at(42))
    assert "mean_amount cannot be told: it is NULL" in nothing.summary
    assert not nothing.passed


def test_a_metric_that_is_no_number_is_refused_in_one_line(house: House) -> None:
    table = given("sold", Sale, Given(sales()))
    result = house.build(table, _metric("all_of_it", lambda sold: sold), run=at())
    assert "'all_of_it' returned Table, not one number" in str(result.errors["sold"])

    def two(sold: Any, other: Any) -> Any:
        return sold

    two.__annotations__ = {"sold": Table[Sale], "other": Table[Sale]}
    with pytest.raises(WiringError, match="a metric is a number of one table"):
        metric()(two)
    with pytest.raises(WiringError, match="usual='loud' is no severity"):
        given("a", Sale, Given(), usual="loud")


def _metric(name: str, function: Any) -> MetricDef:
    function.__name__ = name
    function.__annotations__ = {"sold": Table[Sale]}
    return metric()(function)


def test_the_days_of_hours_are_judged_when_they_are_over(house: House) -> None:
    class Event(pa.DataFrameModel):
        n: dt.Int64 = pa.Field(metadata=public)
        happened_at: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)

    sql = """SELECT i * 100 + j AS n, TIMESTAMPTZ '2026-10-01 00:00:00+00' + INTERVAL (i) HOUR AS happened_at
             FROM range(1328) AS a(i), range(50) AS b(j) WHERE j < 40 + hash(i) % 10"""
    source = Given(sql)
    table = given("events", Event, source, partitions=hourly("happened_at", start="2026-10-01-00:00"))
    usual(house, table)
    days = [row[0] for row in house.rows("SELECT day FROM ops.metrics WHERE metric = 'rows' ORDER BY day")]
    assert days[-1] == dtm.date(2026, 11, 24), "today has eight hours, which are no day"
    source.sql = sql.replace("range(50)", "range(100)").replace(
        "j < 40 +", "j < CASE WHEN i = 1319 THEN 100 ELSE 0 END + 40 +"
    )
    run = dataclasses.replace(at(), partition=PartitionRange.parse("2026-11-24-23:00"))
    usual(house, table, run=run)
    [(value,)] = house.rows(
        "SELECT value FROM ops.metrics WHERE metric = 'rows' AND day = DATE '2026-11-24' ORDER BY publication DESC LIMIT 1"
    )
    assert value > 1000, "of the day that one hour was built of, all hours count"


def test_metrics_of_another_version_are_one_clear_line(house: House) -> None:
    house.session.connection.execute("CREATE OR REPLACE TABLE ops.metrics (day DATE)")
    house.leave()
    with pytest.raises(PipelineError) as told:
        _ = house.session
    assert str(told.value).startswith("w.ops.metrics: was written by another version of this framework.")


def test_a_warehouse_of_before_gets_the_book(house: House) -> None:
    usual(house, given("sold", Sale, Given(sales()), **DAILY))
    house.session.connection.execute("DROP TABLE ops.metrics")
    house.leave()
    assert usual(house, given("sold", Sale, Given(sales()), **DAILY)).passed
