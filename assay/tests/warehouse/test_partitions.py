"""Partitions in the warehouse: which rows they take, what is judged on them, and what they were made from."""

from __future__ import annotations

import datetime as dtm
import tempfile
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from ibis import _

from assay.contract.classification import public
from assay.contract.contract import Contract
from assay.errors import WiringError
from assay.sql import literal
from assay.tables.graph import Graph
from assay.tables.nodes import RejectBudget
from assay.tables.partitions import PartitionRange, daily, hourly, monthly, static, weekly
from assay.tables.run import Run
from assay.warehouse.quarantine.replay import replay
from tests.warehouse.house import (
    Given,
    House,
    check,
    given,
    made,
    publication,
    stated,
    values,
)

COLUMNS = "k BIGINT, d DATE"
DAYS = daily("d", start="2026-01-01", end="2026-01-05")
OPEN = daily("d", start="2026-01-01", timezone="Asia/Tokyo")
NOW = dtm.datetime(2026, 1, 4, 16, tzinfo=dtm.UTC)  # in Tokyo it is the 5th
SOME = RejectBudget(rows=9)


class Dated(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(ge=0, metadata=public)
    d: dt.Date = pa.Field(metadata=public)

    class Config:
        unique = ["k"]


class Placed(Dated):
    at: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)
    place: dt.String = pa.Field(metadata=public)


class Counted(pa.DataFrameModel):
    d: dt.Date = pa.Field(metadata=public)
    n: dt.Int64 = pa.Field(metadata=public)

    class Config:
        unique = ["d"]


def per_day(up: Any) -> Any:
    return up.group_by("d").agg(n=_.count())


def run(partition: str | None = None, now: dtm.datetime = NOW) -> Run:
    return Run("run", now, partition=PartitionRange.parse(partition) if partition else None)


def versions(house: House, table: str) -> dict[str, tuple[int, str, dict[str, str], str | None]]:
    found = house.session.partitions(table)
    return {
        key: (each.rows, each.data_version, dict(each.upstream), each.source_version) for key, each in found.items()
    }


# --- which rows


def test_of_a_table_that_was_dropped_no_other_day_is_known(house: House) -> None:
    """As of one that moved to another stage: a plan would find nothing to build of the days that are gone."""
    node = given("a", Dated, Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-02'")), partitions=DAYS)
    assert house.build(node).ok
    house.rows("DROP TABLE warehouse.a")
    assert house.build(node, partition="2026-01-02").ok
    assert list(house.session.partitions("a")) == ["2026-01-02"]


def test_rows_of_no_partition_are_rejected_in_every_build(house: House) -> None:
    source = Given(
        values(COLUMNS, "1, '2025-12-31'", "2, '2026-01-01'", "3, '2026-01-05'", "4, '2026-01-06'", "5, NULL")
    )
    a = given("a", Dated, source, partitions=DAYS, max_rejects=SOME)
    reasons = {"d.outside_partitions": 2, "d.not_null": 1}
    for partition in (None, "2026-01-01", "2026-01-05"):
        assert check(house.build(a, partition=partition), "a", "rows_valid").reasons == reasons
    assert [k for k, _ in house.table(a)] == [2, 3]
    assert [row[1] for row in house.rejects()] == [["d.outside_partitions"], ["d.outside_partitions"], ["d.not_null"]]
    strict = given("a", Dated, source, partitions=DAYS)
    for partition in (None, "2026-01-01"):
        assert check(house.build(strict, partition=partition), "a", "rows_valid").blocks


@pytest.mark.engines
def test_a_key_of_another_day_is_found_in_the_rows_of_one(house: House) -> None:
    """Of the published days, which were audited, those keys are looked for that the built day has."""
    source = Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-02'", "3, '2026-01-03'"))
    a = given("a", Dated, source, partitions=DAYS)
    assert house.build(a).ok
    source.sql = values(COLUMNS, "1, '2026-01-03'", "3, '2026-01-03'", "3, '2026-01-03'", "4, '2026-01-03'")
    found = check(house.build(a, partition="2026-01-03"), "a", "unique_key")
    assert (found.blocks, found.failing, [(row["k"], row["rows"]) for row in found.sample]) == (
        True,
        2,
        [(1, 2), (3, 2)],
    )
    assert sorted(house.ask(found.sample_sql)) == [(1, 2), (3, 2)]
    source.sql = values(COLUMNS, "3, '2026-01-03'", "4, '2026-01-03'")
    assert house.build(a, partition="2026-01-03").ok
    assert [k for k, _ in house.table(a)] == [1, 2, 3, 4]


def test_a_key_that_is_none_is_rejected(house: House) -> None:
    class Placed(pa.DataFrameModel):
        place: dt.String = pa.Field(metadata=public)

    source = Given(values("place VARCHAR", "'north'", "'west'", "'it''s'"))
    a = given("a", Placed, source, partitions=static("place", keys=["north", "it's"]), max_rejects=SOME)
    assert check(house.build(a), "a", "rows_valid").reasons == {"place.outside_partitions": 1}
    assert house.build(a, partition="north").ok
    assert house.table(a) == [("it's",), ("north",)]
    assert sorted(house.session.partitions("a")) == ["it's", "north"]


@pytest.mark.engines
def test_rows_of_the_day_that_is_not_over_wait_and_later_ones_are_rejected(house: House) -> None:
    source = Given(values(COLUMNS, "1, '2026-01-04'", "2, '2026-01-05'", "3, '2026-01-06'"))
    up = given("up", Dated, source)
    a = made("a", Dated, {"up": Dated}, lambda up: up, partitions=OPEN, preserves="up", max_rejects=SOME)
    result = house.build(up, a, run=run())
    assert check(result, "a", "rows_valid").reasons == {"d.outside_partitions": 1}
    assert "1 row waits for their day to be over" in check(result, "a", "reconciles").summary
    assert [k for k, _ in house.table(a)] == [1]
    later = NOW + dtm.timedelta(days=2)
    result = house.build(up, a, run=run("2026-01-05..2026-01-06", later))
    assert check(result, "a", "rows_valid").passed
    assert [k for k, _ in house.table(a)] == [1, 2, 3]
    assert house.rejects("status") == [("resolved",)]


def test_what_is_rejected_for_its_day_is_replayed_when_the_day_is_one(house: House) -> None:
    a = given(
        "a", Dated, Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-06'")), partitions=DAYS, max_rejects=SOME
    )
    assert house.build(a, run=run()).ok
    graph = Graph.of([a])
    assert replay(house.session, graph, a, run()).rejected == 1
    before = versions(house, "a")
    longer = given("a", Dated, Given(""), partitions=daily("d", start="2026-01-01", end="2026-01-06"), max_rejects=SOME)
    later = run(now=NOW + dtm.timedelta(days=9))
    assert replay(house.session, Graph.of([longer]), longer, later).action == "replay"
    assert [k for k, _ in house.table(a)] == [1, 2]
    assert versions(house, "a") == before, "the day that was never built stays so"


@pytest.mark.engines
def test_a_replayed_row_changes_its_day_and_no_other(house: House) -> None:
    a = given(
        "a", Dated, Given(values(COLUMNS, "1, '2026-01-01'", "-2, '2026-01-02'")), partitions=DAYS, max_rejects=SOME
    )
    assert house.build(a).ok

    class Looser(Dated):
        k: dt.Int64 = pa.Field(metadata=public)

        class Config:
            unique = ["k"]

    before = versions(house, "a")
    looser = given("a", Looser, Given(""), partitions=DAYS, max_rejects=SOME)
    assert replay(house.session, Graph.of([looser]), looser, run(now=NOW + dtm.timedelta(days=9))).action == "replay"
    after = versions(house, "a")
    assert [key for key in before if before[key] != after[key]] == ["2026-01-02"]
    assert (before["2026-01-02"][0], after["2026-01-02"][0]) == (0, 1)


ROWS = st.lists(
    st.tuples(st.integers(-1, 60), st.dates(dtm.date(2025, 12, 31), dtm.date(2026, 1, 7)) | st.none()),
    max_size=12,
    unique_by=lambda row: row[0],
)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@forall(rows=ROWS, order=st.permutations(range(1, 5)))
def test_all_at_once_and_day_by_day_in_any_order_give_the_same(rows: list[Any], order: list[int]) -> None:
    listed = [f"{k}, {f'{day!s}'!r}" if day else f"{k}, NULL" for k, day in rows]
    source, loose = Given(values(COLUMNS, *listed)), RejectBudget(rows=99)
    up = given("up", Dated, source, partitions=OPEN, max_rejects=loose)
    a = made("a", Counted, {"up": Dated}, per_day, partitions=OPEN, max_rejects=loose)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, parts in (("whole", [None]), ("days", [f"2026-01-0{day}" for day in order])):
            house = House(Path(folder) / name)
            house.folder.mkdir()
            for part in parts:
                assert house.build(up, a, run=run(part)).ok
            rejected = house.rows("SELECT payload, reason_codes, status FROM quarantine.rejects ORDER BY ALL")
            found.append((house.table(up), house.table(a), rejected, versions(house, "up"), versions(house, "a")))
            house.leave()
    assert found[0] == found[1]


# --- invariants


def every_day_is_counted(a: Any, up: Any) -> Any:
    both = per_day(up).rename(expected="n").outer_join(a, "d")
    return both.filter(both.n.fill_null(0) != both.expected.fill_null(0))


@pytest.mark.parametrize("across", [False, True])
def test_an_invariant_is_judged_on_what_is_built(house: House, across: bool) -> None:
    up = given(
        "up", Dated, Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-02'", "3, '2026-01-02'")), partitions=DAYS
    )
    a = made("a", Counted, {"up": Dated}, per_day, partitions=DAYS)
    counted = stated("counted", {"a": Counted, "up": Dated}, every_day_is_counted, across_partitions=across)
    found = check(house.build(up, a, counted, names=["up"]), "up", "reconciles")
    assert found.passed
    result = house.build(up, a, counted, names=["a"], partition="2026-01-02")
    assert check(result, "a", "counted").passed is not across, "of all days one is still missing"


@pytest.mark.parametrize("partition", [None, "2026-01-02"])
def test_an_invariant_still_fails_on_what_is_built(house: House, partition: str | None) -> None:
    up = given("up", Dated, Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-02'")), partitions=DAYS)
    a = made("a", Counted, {"up": Dated}, lambda up: per_day(up).mutate(n=_.n + 1), partitions=DAYS)
    counted = stated("counted", {"a": Counted, "up": Dated}, every_day_is_counted)
    assert house.build(up, a, names=["up"]).ok
    found = check(house.build(up, a, counted, names=["a"], partition=partition), "a", "counted")
    assert found.blocks
    assert found.failing == (2 if partition is None else 1)


def test_other_units_are_narrowed_to_the_same_time_and_tables_without_partitions_are_not(house: House) -> None:
    sql = values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-31'", "3, '2026-02-01'")
    days = given("days", Dated, Given(sql), partitions=daily("d", start="2026-01-01", end="2026-02-28"))
    plain = given("plain", Dated, Given(sql))
    month = made(
        "month",
        Dated,
        {"days": Dated},
        lambda days: days,
        partitions=monthly("d", start="2026-01-01", end="2026-02-01"),
    )
    seen = stated("seen", {"month": Dated, "days": Dated}, lambda month, days: days.anti_join(month, "k"))
    other = stated("other", {"month": Dated, "plain": Dated}, lambda month, plain: plain.anti_join(month, "k"))
    assert house.build(days, plain).ok
    result = house.build(days, plain, month, seen, other, names=["month"], partition="2026-01-15")
    assert check(result, "month", "seen").passed
    assert check(result, "month", "other").failing == 1


# --- versions


def test_a_partition_has_the_versions_it_was_built_from(house: House) -> None:
    source = Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-02'"))
    up = given("up", Dated, source, partitions=DAYS)
    a = made("a", Counted, {"up": Dated}, per_day, partitions=DAYS)
    assert house.build(up, a).ok
    before, counted = versions(house, "up"), versions(house, "a")
    assert [each[0] for each in before.values()] == [1, 1, 0, 0, 0]
    assert {key: each[2]["up"] for key, each in counted.items()} == {
        key: f"same:{each[1]}" for key, each in before.items()
    }
    # A late row of the 1st comes with the build of the 2nd, which does not see it.
    source.sql = values(COLUMNS, "1, '2026-01-01'", "9, '2026-01-01'", "2, '2026-01-02'", "3, '2026-01-02'")
    result = house.build(up, a, partition="2026-01-02")
    assert "day 2026-01-02: 2 rows, 1 before" in check(result, "up", "reconciles").summary
    after = versions(house, "up")
    assert [key for key in before if before[key] != after[key]] == ["2026-01-02"]
    assert [key for key in counted if counted[key] != versions(house, "a")[key]] == ["2026-01-02"]


def test_where_a_partition_reads_more_it_has_the_version_of_all_of_the_input(house: House) -> None:
    up = given("up", Dated, Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-01-02'")), partitions=DAYS)
    plain = given("plain", Dated, Given(values(COLUMNS, "1, '2026-01-01'")))

    def share(up: Any, plain: Any) -> Any:
        return up.mutate(k=_.k + plain.count() - 1 + 0 * up.k.sum())

    a = made("a", Dated, {"up": Dated, "plain": Dated}, share, partitions=DAYS)
    result = house.build(up, plain, a)
    assert result.ok, result.errors
    wanted = {name: publication(result, name).data_version for name in ("up", "plain")}
    assert {tuple(sorted(each[2].items())) for each in versions(house, "a").values()} == {tuple(sorted(wanted.items()))}


def test_a_month_of_days_has_the_version_of_its_days(house: House) -> None:
    source = Given(values(COLUMNS, "1, '2026-01-01'", "2, '2026-02-02'"))
    up = given("up", Dated, source, partitions=daily("d", start="2026-01-01", end="2026-02-28"))
    month = monthly("d", start="2026-01-01", end="2026-02-01")
    a = made("a", Dated, {"up": Dated}, lambda up: up, partitions=month)
    assert house.build(up, a).ok
    before = versions(house, "a")
    source.sql = values(COLUMNS, "1, '2026-01-01'", "2, '2026-02-02'", "3, '2026-02-03'")
    assert house.build(up, a).ok
    after = versions(house, "a")
    assert before["2026-01-01"] == after["2026-01-01"]
    assert before["2026-02-01"][2] != after["2026-02-01"][2]


@pytest.mark.parametrize(
    "partitions",
    [
        hourly("at", start="2026-01-01-00:00", end="2026-01-02-23:00"),
        weekly("d", start="2025-12-30", end="2026-01-20"),
        monthly("d", start="2025-12-01", end="2026-02-01"),
        static("place", keys=["north", "it's"]),
    ],
    ids=lambda each: each.unit,
)
def test_a_partition_has_the_rows_and_the_content_of_its_key(house: House, partitions: Any) -> None:
    rows = [
        f"{n}, '2026-01-0{n % 2 + 1}', '2026-01-01 0{n % 3}:0{n}:00+01'::TIMESTAMPTZ + INTERVAL 2 HOUR, {place}"
        for n, place in enumerate(["'north'", "'it''s'", "'north'", "'it''s'", "'north'"])
    ]
    source = Given(values("k BIGINT, d DATE, at TIMESTAMPTZ, place VARCHAR", *rows))
    assert house.build(given("a", Placed, source, partitions=partitions)).ok
    contract = Contract.of(Placed)
    described = ", ".join(f"{name} {kind}" for name, kind in contract.duckdb_columns.items())
    by_row = house.rows(
        f"""SELECT {partitions.key_sql()}, count(*), md5(concat_ws(';', {literal(described)}, count(*), sum({contract.row_hash_sql})))
            FROM warehouse.a GROUP BY 1 ORDER BY 1"""
    )
    assert (
        house.rows("SELECT partition, row_count, data_version FROM ops.partitions WHERE row_count > 0 ORDER BY 1")
        == by_row
    )
    assert sum(rows for _, rows, _ in by_row) == 5


def test_a_failed_build_leaves_the_versions(house: House) -> None:
    source = Given(values(COLUMNS, "1, '2026-01-01'"))
    a = given("a", Dated, source, partitions=DAYS)
    assert house.build(a).ok
    before = versions(house, "a")
    source.sql = values(COLUMNS, "-1, '2026-01-01'")
    assert not house.build(a).ok
    assert versions(house, "a") == before


def test_a_warehouse_without_versions_per_partition_gets_them(house: House) -> None:
    a = given("a", Dated, Given(values(COLUMNS, "1, '2026-01-01'")), partitions=DAYS)
    assert house.build(a).ok
    house.rows("DROP TABLE ops.partitions")
    house.leave()
    assert house.session.partitions("a") == {}
    assert house.build(a, partition="2026-01-01").ok
    assert list(house.session.partitions("a")) == ["2026-01-01"]


def test_a_stream_has_no_partitions() -> None:
    stream = given("a", Dated, Given("", offsets={0: 1}, incremental=True), partitions=DAYS)
    with pytest.raises(WiringError, match="event log's table cannot be partitioned"):
        Graph.of([stream])
