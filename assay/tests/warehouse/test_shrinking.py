"""How much of what is published a build may take away."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import public
from assay.errors import WiringError
from assay.tables.nodes import MAY_SHRINK, RejectBudget, removes_too_much
from assay.tables.partitions import daily
from tests.warehouse.house import Given, House, check, given, values

DAYS = daily("d", start="2026-01-01", end="2026-01-05")


class Keyed(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Config:
        unique = ["k"]


class Plain(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(ge=0, metadata=public)


class Dated(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    d: dt.Date = pa.Field(metadata=public)

    class Config:
        unique = ["k"]


def numbers(first: int, last: int) -> str:
    return f"SELECT range AS k FROM range({first}, {last + 1})"


def dated(**counts: int) -> str:
    """`dated(d1=3)`: three rows of 2026-01-01, with keys of that day."""
    rows = [
        f"SELECT {name[1:]}0000 + range AS k, DATE '2026-01-0{name[1:]}' AS d FROM range({count})"
        for name, count in counts.items()
    ]
    return " UNION ALL ".join(rows)


@pytest.mark.parametrize(
    ("removed", "before", "share", "too_much"),
    [
        (10, 100, 0.1, False),
        (11, 100, 0.1, True),
        (1, 4, 0.1, False),
        (2, 4, 0.1, True),
        (1, 100, 0, True),
        (0, 100, 0, False),
        (-5, 100, 0, False),
        (100, 100, 1, False),
        (29, 100, 0.29, False),
        (30, 100, 0.29, True),
    ],
)
def test_a_share_may_go_and_always_a_single_row(removed: int, before: int, share: float, too_much: bool) -> None:
    assert removes_too_much(removed, before, share) is too_much


@pytest.mark.parametrize(("model", "keys"), [(Keyed, ", 54 keys with them"), (Plain, "")])
def test_more_than_the_bound_publishes_nothing_and_says_what_to_write(house: House, model: type, keys: str) -> None:
    source = Given(numbers(1, 100))
    a = given("a", model, source)
    assert house.build(a).ok
    source.sql = numbers(51, 96) if model is Plain else numbers(55, 100)
    found = check(house.build(a), "a", "reconciles")
    assert found.blocks
    assert found.summary == (
        f"54 of 100 published rows would go (54.0%){keys}, more than may_shrink={MAY_SHRINK} "
        "(if that is right: @table(may_shrink=0.54))"
    )
    assert len(house.table(a)) == 100
    assert house.build(given("a", model, source, may_shrink=0.54)).ok
    assert len(house.table(a)) == 46


def test_a_tenth_may_go(house: House) -> None:
    source = Given(numbers(1, 100))
    a = given("a", Keyed, source)
    assert house.build(a).ok
    source.sql = numbers(11, 100)
    assert house.build(a).ok
    assert not house.build(given("a", Keyed, Given(numbers(12, 100)), may_shrink=0)).ok


def test_a_single_row_is_told_as_one(house: House) -> None:
    assert house.build(given("a", Keyed, Given(numbers(1, 1)))).ok
    assert (
        "no row is left where 1 is published"
        in check(house.build(given("a", Keyed, Given(numbers(1, 0)))), "a", "reconciles").summary
    )


def test_keys_that_come_for_those_that_go_are_no_shrinking_but_told_with_it(house: House) -> None:
    source = Given(numbers(1, 100))
    a = given("a", Keyed, source)
    assert house.build(a).ok
    source.sql = numbers(51, 130)
    assert (
        "20 of 100 published rows would go (20.0%), 50 keys with them"
        in check(house.build(a), "a", "reconciles").summary
    )
    source.sql = numbers(51, 150)
    assert house.build(a).ok


def test_rejected_rows_are_gone_for_readers_as_well(house: House) -> None:
    source = Given(numbers(1, 100))
    a = given("a", Keyed, source, max_rejects=RejectBudget(rows=50))
    assert house.build(a).ok
    source.sql = f"{numbers(1, 80)} UNION ALL SELECT -range FROM range(1, 21)"
    result = house.build(a)
    assert not check(result, "a", "rows_valid").blocks
    assert "20 of 100 published rows would go" in check(result, "a", "reconciles").summary


def test_a_table_that_may_be_empty_may_shrink_unless_it_says_how_far(house: House) -> None:
    source = Given(numbers(1, 100))
    a = given("a", Keyed, source, may_be_empty=True)
    assert house.build(a).ok
    assert not house.build(given("a", Keyed, Given(numbers(1, 5)), may_be_empty=True, may_shrink=0.5)).ok
    source.sql = numbers(1, 5)
    assert house.build(a).ok


def test_a_share_is_between_none_and_all() -> None:
    with pytest.raises(WiringError, match=r"may_shrink=1\.5 is no share"):
        given("a", Keyed, Given(""), may_shrink=1.5)


def test_a_file_of_one_day_that_is_gone_is_noticed_in_a_build_of_that_day_and_of_all(house: House) -> None:
    source = Given(dated(d1=100, d2=100, d3=100, d4=5))
    a = given("a", Dated, source, partitions=DAYS)
    assert house.build(a).ok
    source.sql = dated(d1=100, d2=100, d3=100)
    for partition, summary in (("2026-01-04", "no row is left where 5 are"), (None, "no row is left of 2026-01-04")):
        found = check(house.build(a, partition=partition), "a", "reconciles")
        assert found.blocks
        assert summary in found.summary
        assert "@table(may_be_empty=True)" in found.summary
    source.sql = dated(d3=100)
    assert (
        "no row is left of 3 days (2026-01-01, 2026-01-02, 2026-01-04) where 205 are published"
        in check(house.build(a), "a", "reconciles").summary
    )
    assert len(house.table(a)) == 305
    source.sql = dated(d1=100, d2=100, d3=100)
    assert house.build(given("a", Dated, source, partitions=DAYS, may_be_empty=True)).ok
    assert len(house.table(a)) == 300


def test_the_bound_is_on_the_partitions_built(house: House) -> None:
    source = Given(dated(d1=100, d2=1000))
    a = given("a", Dated, source, partitions=DAYS)
    assert house.build(a).ok
    source.sql = dated(d1=50, d2=1000)
    assert (
        "50 of 100 published rows would go" in check(house.build(a, partition="2026-01-01"), "a", "reconciles").summary
    )
    assert house.build(a).ok, "of the whole table it is less than a tenth"


def test_a_stream_and_a_table_of_another_shape_are_counted_as_they_can_be(house: House) -> None:
    events = Given(numbers(1, 100), offsets={0: 1}, incremental=True)
    a = given("a", Keyed, events)
    assert house.build(a).ok
    events.sql = numbers(101, 102)
    assert house.build(a).ok

    class Renamed(pa.DataFrameModel):
        other: dt.Int64 = pa.Field(metadata=public)
        d: dt.Date = pa.Field(metadata=public)

        class Config:
            unique = ["other"]

    b = given("b", Keyed, Given(numbers(1, 100)))
    assert house.build(b).ok
    source = Given(values("other BIGINT, d DATE", "1, '2026-01-01'"))
    found = check(house.build(given("b", Renamed, source, partitions=DAYS)), "b", "reconciles")
    assert "99 of 100 published rows would go (99.0%), more than" in found.summary
    many = Given("SELECT range AS other, DATE '2026-01-01' AS d FROM range(100)")
    assert house.build(given("b", Renamed, many, partitions=DAYS)).ok
