"""department_weekly_sales: sums to the cent, and no line lost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from assay.testing.bench import Bench, Row, day


def line(number: int, department: str | None, **values: object) -> Row:
    money = {"sales_value": Decimal("2.50"), "retail_disc": 1, "coupon_disc": 0, "coupon_match_disc": 0}
    keys = {"basket_id": number, "product_id": number, "household_id": 1, "week": 10, "sold_on": day("2017-03-01")}
    return keys | money | {"department": department} | values


@pytest.fixture
def sold(bench: Bench) -> Bench:
    lines = [
        line(1, "DELI"),
        line(2, "DELI", basket_id=1, household_id=1),
        line(3, "DELI", household_id=2, week=11, sold_on=day("2017-03-06")),
        line(4, None),
    ]
    bench.given("purchases", *lines)
    bench.given("transactions", *({k: v for k, v in row.items() if k != "department"} for row in lines))
    return bench


def test_sums_are_per_department_and_week(sold: Bench) -> None:
    sold.build("department_weekly_sales")
    columns = ("department", "week", "week_starts_on", "households", "baskets", "lines", "sales_value")
    assert sold.rows("department_weekly_sales", *columns) == [
        ("DELI", 10, day("2017-02-27"), 1, 1, 2, Decimal("5.00")),
        ("DELI", 11, day("2017-03-06"), 1, 1, 1, Decimal("2.50")),
        ("UNKNOWN", 10, day("2017-02-27"), 1, 1, 1, Decimal("2.50")),
    ]


@pytest.mark.parametrize(
    ("change", "weeks"),
    [
        ("DELETE FROM transform.purchases WHERE product_id = 4", 1),
        ("UPDATE transform.purchases SET sales_value = sales_value + 0.01 WHERE product_id = 1", 1),
        ("UPDATE transform.purchases SET coupon_disc = 1", 2),
        ("INSERT INTO transform.purchases FROM transform.purchases WHERE product_id = 3", 1),
        ("DELETE FROM transform.transactions WHERE week = 11", 1),
    ],
)
def test_sales_that_do_not_reconcile_stop_the_mart(sold: Bench, change: str, weeks: int) -> None:
    sold.sql.execute(change)
    failed = sold.fails("department_weekly_sales")
    assert {name: check.failing for name, check in failed.items()} == {"sales_reconcile_with_transactions": weeks}
