"""transactions: the shops' calendar, exact money, and what is set aside."""

from __future__ import annotations

import datetime as dtm
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from assay.testing.bench import Bench, Row, day


def line(at: str, *, week: int, **values: object) -> Row:
    return {"transaction_timestamp": dtm.datetime.fromisoformat(at), "week": week, "quantity": 1, **values}


@pytest.mark.parametrize(
    ("utc", "local", "week"),
    [
        ("2018-01-01 04:01:20", "2017-12-31", 53),  # naively read, a sale of 2018
        ("2018-01-01 04:59:59", "2017-12-31", 53),
        ("2017-01-01 05:00:00", "2017-01-01", 1),
        ("2017-01-02 04:59:59", "2017-01-01", 1),  # Sunday evening in New York, Monday in UTC
        ("2017-01-02 05:00:00", "2017-01-02", 2),
        ("2017-07-01 03:59:59", "2017-06-30", 27),  # summer: four hours, not five
        ("2017-07-01 04:00:00", "2017-07-01", 27),
        ("2017-11-05 05:30:00", "2017-11-05", 45),  # the hour that comes twice
        ("2017-11-05 06:30:00", "2017-11-05", 45),
    ],
)
def test_sold_on_is_the_shops_date(bench: Bench, utc: str, local: str, week: int) -> None:
    bench.given("raw_transactions", line(utc, week=week, basket_id=1, product_id=1, household_id=1, store_id=1))
    bench.build("transactions")
    [(sold_at, sold_on)] = bench.rows("transactions", "sold_at", "sold_on")
    assert sold_on == day(local)
    assert sold_at == dtm.datetime.fromisoformat(utc).replace(tzinfo=dtm.UTC)
    assert sold_at.astimezone(ZoneInfo("America/New_York")).date() == sold_on


def test_money_adds_up_exactly(bench: Bench) -> None:
    bench.given(
        "raw_transactions",
        *(line("2017-03-01 12:00:00", week=10, product_id=n, sales_value=0.1, retail_disc=0.29) for n in range(1, 11)),
        basket_id=1,
        household_id=1,
        store_id=1,
        coupon_disc=0.0,
        coupon_match_disc=0.0,
    )
    bench.build("transactions")
    assert bench.rows("transactions", "sum(sales_value)", "sum(retail_disc)") == [(Decimal("1.00"), Decimal("2.90"))]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"week": 11}, "week_is_the_monday_week_of_sold_on"),
        ({"week": 54}, "week.le_53"),
        ({"quantity": -1}, "quantity.ge_0"),
        ({"sales_value": -0.01}, "sales_value.ge_0"),
        ({"transaction_timestamp": None}, "sold_on.not_null"),
        ({"household_id": None}, "household_id.not_null"),
    ],
)
def test_a_broken_line_stops_the_table(bench: Bench, broken: Row, reason: str) -> None:
    good = line("2017-03-01 12:00:00", week=10, basket_id=1, product_id=1, household_id=1, store_id=1)
    bench.given("raw_transactions", good, good | {"product_id": 2} | broken)
    failed = bench.fails("transactions")
    assert reason in failed["rows_valid"].reasons
    assert not bench.session.exists(bench.graph.tables["transactions"])


def test_a_line_that_comes_twice_stops_the_table(bench: Bench) -> None:
    good = line("2017-03-01 12:00:00", week=10, basket_id=1, product_id=1, household_id=1, store_id=1)
    bench.given("raw_transactions", good, good)
    assert set(bench.fails("transactions")) == {"unique_key"}


def test_lines_without_units_stay(bench: Bench) -> None:
    bench.given(
        "raw_transactions",
        line("2017-03-01 12:00:00", week=10, basket_id=1, product_id=1, household_id=1, store_id=1) | {"quantity": 0},
    )
    assert bench.build("transactions").rows == 1
