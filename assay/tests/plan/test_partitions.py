"""A plan names the partitions that call for a build, and applying it builds those."""

from __future__ import annotations

import duckdb
import pytest
from click.testing import CliRunner, Result

from assay.commands.plan_commands import apply, plan
from assay.plan.model import NodePlan, Plan
from assay.plan.planner import make_plan
from assay.plan.stale import ranges, told
from assay.report.plan_page import render_page
from assay.tables.partitions import daily, static
from tests.plan.sample import ROWS, Sample

RAW, ORDERS, SALES = "extract/raw_orders.py", "transform/orders.py", "load/sales.py"
DAYS = 'partitions=daily("day", start="2024-01-01", end="2024-01-31")'
LATE, NEW = (9, "zoe", 5, "2024-01-01"), (10, "eve", 7, "2024-01-03")


@pytest.fixture
def daily_sample(sample: Sample) -> Sample:
    """Three tables by day, one after the other, everything published."""
    sample.edit(RAW, '"orders.csv"))', f'"orders.csv"), {DAYS})')
    sample.edit(SALES, "@table()", f"@table({DAYS})")
    assert sample.run().ok
    return sample


def planned(sample: Sample, *names: str) -> Plan:
    return make_plan(sample.project(), names)


def node(made: Plan, name: str) -> NodePlan:
    return next(node for node in made.nodes if node.name == name)


def why(made: Plan, name: str) -> list[tuple[str, str]]:
    return [(reason.kind, reason.detail) for reason in node(made, name).reasons]


def call(sample: Sample, command: str, *arguments: object) -> Result:
    texts = [str(argument) for argument in arguments]
    result = CliRunner().invoke({"plan": plan, "apply": apply}[command], texts, obj=sample.project())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.slow
def test_a_late_row_of_an_older_day_is_found_and_its_day_is_built(daily_sample: Sample) -> None:
    daily_sample.rows([*ROWS, LATE, NEW])
    assert daily_sample.run(partition="2024-01-03").ok
    assert [row[0] for row in daily_sample.read("transform.orders")] == [1, 2, 3, 4, 10]
    path = daily_sample.root / "plan.json"
    result = call(daily_sample, "plan", "--out", path)
    assert result.exit_code == 2, result.output
    assert "why     source: shop changed: days 2024-01-01..2024-01-02, 2024-01-04..2024-01-31" in result.output
    assert "replaces 2024-01-01..2024-01-02, 2024-01-04..2024-01-31" in result.output
    assert "why     upstream: raw_orders would change: day 2024-01-01\n" in result.output
    assert "why     upstream: orders would change: day 2024-01-01\n" in result.output
    assert result.output.count("changed day 2024-01-01\n") == 3
    assert render_page(planned(daily_sample)).count("Changed: day 2024-01-01") == 3
    applied = call(daily_sample, "apply", path)
    assert applied.exit_code == 0, applied.output
    assert "the result is the plan" in applied.output
    assert [row[0] for row in daily_sample.read("transform.orders")] == [1, 2, 3, 4, 9, 10]
    assert daily_sample.read("load.sales")[0][1] == 35
    assert call(daily_sample, "plan").exit_code == 0
    assert not any(node.reasons for node in planned(daily_sample).nodes)


def test_days_apart_are_built_apart(daily_sample: Sample) -> None:
    daily_sample.rows([*ROWS, LATE, NEW])
    assert daily_sample.run("raw_orders").ok
    made = planned(daily_sample)
    assert why(made, "orders") == [("upstream", "raw_orders changed: days 2024-01-01, 2024-01-03")]
    assert why(made, "sales") == [("upstream", "orders would change: days 2024-01-01, 2024-01-03")]
    assert node(made, "orders").partition == "2024-01-01, 2024-01-03"
    assert node(made, "orders").rows_after == 6
    assert node(made, "counts").reasons[0].detail == "orders would change"


def test_a_table_that_reads_more_than_its_day_is_built_whole(daily_sample: Sample) -> None:
    daily_sample.edit(SALES, "orders.group_by", "orders.mutate(amount=_.amount + 0 * _.amount.max()).group_by")
    assert daily_sample.run("sales").ok
    daily_sample.rows([*ROWS, LATE])
    assert daily_sample.run("raw_orders", "orders").ok
    made = planned(daily_sample)
    assert why(made, "sales") == [("upstream", "orders changed")]
    assert node(made, "sales").action == "replace"


def test_days_of_older_code_are_named_and_built(daily_sample: Sample) -> None:
    daily_sample.edit(ORDERS, "_.amount * 1", "_.amount * 2")
    assert daily_sample.run("orders", partition="2024-01-01..2024-01-30").ok
    ((kind, detail),) = why(planned(daily_sample), "orders")
    assert kind == "code"
    assert detail.startswith("some partitions were made by code")
    assert detail.endswith(": day 2024-01-31")
    assert node(planned(daily_sample), "orders").partition == "2024-01-31"


def test_days_that_were_never_built_are_named(daily_sample: Sample) -> None:
    for file in (RAW, ORDERS, SALES):
        daily_sample.edit(file, 'end="2024-01-31"', 'end="2024-02-02"')
    made = planned(daily_sample)
    assert [kind for kind, _ in why(made, "orders")] == ["code", "partition"]
    assert why(made, "orders")[1] == ("partition", "never built: days 2024-02-01..2024-02-02")


def test_only_what_was_asked_for_is_looked_at(daily_sample: Sample) -> None:
    daily_sample.rows([*ROWS, LATE, NEW])
    assert daily_sample.run("raw_orders").ok
    from assay.tables.partitions import PartitionRange

    made = make_plan(daily_sample.project(), ["orders"], partition=PartitionRange.parse("2024-01-02..2024-01-03"))
    assert why(made, "orders") == [
        ("upstream", "raw_orders changed: day 2024-01-03"),
        ("partition", "days 2024-01-02..2024-01-03"),
    ]


def test_a_warehouse_without_versions_by_day_is_built_whole_once(daily_sample: Sample) -> None:
    with duckdb.connect(str(daily_sample.warehouse)) as connection:
        connection.execute("DROP TABLE ops.partitions")
    made = planned(daily_sample)
    assert why(made, "orders") == [("partition", "no versions are kept by day yet")]
    assert node(made, "orders").action == "replace"
    assert not node(made, "orders").changes
    assert not node(made, "counts").built
    assert daily_sample.run().ok
    assert not any(node.reasons for node in planned(daily_sample).nodes)


def test_a_plan_says_what_may_not_shrink(daily_sample: Sample) -> None:
    daily_sample.rows(ROWS[:2])
    result = call(daily_sample, "plan")
    assert result.exit_code == 3
    assert "no row is left of 2 days (2024-01-02, 2024-01-03) where 2 are published" in result.output
    assert "2 of 4 published rows would go (50.0%), 2 keys with them" in result.output
    assert not daily_sample.run().ok
    assert len(daily_sample.read("transform.orders")) == 4


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (None, ["2026-01-01", "2026-01-03", "2026-01-06..2026-01-07", "2026-01-11"]),
        (3, ["2026-01-01..2026-01-03", "2026-01-06..2026-01-07", "2026-01-11"]),
        (1, ["2026-01-01..2026-01-11"]),
    ],
)
def test_many_ranges_become_few(most: int | None, expected: list[str]) -> None:
    days = daily("d", start="2026-01-01", end="2026-01-31")
    keys = [f"2026-01-{day:02}" for day in range(1, 32)]
    chosen = [keys[place] for place in (0, 2, 5, 6, 10)]
    assert [str(each) for each in ranges(days, keys, chosen, most)] == expected


def test_ranges_are_told_shortly_and_keys_as_they_are() -> None:
    days = daily("d", start="2026-01-01", end="2026-01-31")
    keys = [f"2026-01-{day:02}" for day in range(1, 32)]
    assert told(days, keys, keys[::2][:6]).endswith("2026-01-05, 2026-01-07 and 2 more ranges")
    places = static("place", keys=["north", "south", "west"])
    assert [str(each) for each in ranges(places, ["north", "south", "west"], ["north", "west"])] == ["north,west"]
    assert ranges(places, ["north"], []) == []
