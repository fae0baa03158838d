"""campaign_performance: whose purchases count, where a redemption belongs, and which day's rate."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from assay.testing.bench import Bench, Row, day

NO_DISCOUNT = {"retail_disc": 0, "coupon_disc": 0, "coupon_match_disc": 0}


@pytest.fixture
def running(bench: Bench) -> Bench:
    """Campaign 5 runs from Friday to Tuesday and was sent to households 1 and 2."""
    dates = {"start_date": day("2017-04-14"), "end_date": day("2017-04-18")}
    bench.given("campaigns", *({"campaign_id": 5, "household_id": number, **dates} for number in (1, 2)))
    bench.given("products", *({"product_id": n, "department": name} for n, name in enumerate("ABB", start=1)))
    bench.given("coupons", *({"campaign_id": 5, "coupon_upc": 50, "product_id": number} for number in (1, 2, 3)))
    bench.given(
        "exchange_rates",
        {"published_on": day("2017-04-13"), "usd_per_eur": Decimal("1.25")},
        {"published_on": day("2017-04-18"), "usd_per_eur": Decimal("2")},
    )
    return bench


def bought(number: int, on: str, week: int = 16, **values: object) -> Row:
    keys = {"basket_id": number, "product_id": 1, "household_id": 1, "sold_on": day(on), "week": week}
    return keys | {"sales_value": 10, "department": "A"} | NO_DISCOUNT | values


def redeemed(on: str, household: int = 1, upc: int = 50) -> Row:
    keys = {"event_id": f"{on}-{household}", "campaign_id": 5, "household_id": household}
    return keys | {"coupon_upc": upc, "redemption_date": day(on)}


def cells(bench: Bench, *columns: str) -> list[tuple[Any, ...]]:
    bench.build("campaign_performance")
    return bench.rows("campaign_performance", *columns)


def test_purchases_count_from_the_first_to_the_last_day(running: Bench) -> None:
    days = ("2017-04-13", "2017-04-14", "2017-04-16", "2017-04-18", "2017-04-19")
    running.given("purchases", *(bought(n, on, 17 if on > "2017-04-16" else 16) for n, on in enumerate(days)))
    assert cells(running, "week", "week_starts_on", "sales_value") == [
        (16, day("2017-04-10"), Decimal(20)),
        (17, day("2017-04-17"), Decimal(10)),
    ]


def test_other_households_do_not_count(running: Bench) -> None:
    running.given("purchases", bought(1, "2017-04-14"), bought(2, "2017-04-14", household_id=3))
    assert cells(running, "households_targeted", "sales_value") == [(2, Decimal(10))]


def test_a_day_without_a_rate_takes_the_last_one_before_it(running: Bench) -> None:
    days = ("2017-04-14", "2017-04-16", "2017-04-18")
    running.given("purchases", *(bought(n, on, 17 if n == 2 else 16) for n, on in enumerate(days)))
    assert cells(running, "week", "sales_value_eur") == [(16, Decimal(16)), (17, Decimal(5))]


def test_sales_older_than_every_rate_stop_the_mart(running: Bench) -> None:
    running.given("exchange_rates", {"published_on": day("2017-04-17"), "usd_per_eur": Decimal("1.25")})
    running.given("purchases", bought(1, "2017-04-14"), bought(2, "2017-04-18", 17))
    assert dict(running.fails("campaign_performance")["rows_valid"].reasons) == {"sales_value_eur.not_null": 1}


def test_a_redemption_belongs_to_the_department_of_most_products(running: Bench) -> None:
    running.given("purchases", bought(1, "2017-04-14"))
    running.given("redemptions", redeemed("2017-04-14"), redeemed("2017-04-15"), redeemed("2017-04-16", 2))
    assert cells(running, "department", "redemptions", "households_redeeming", "sales_value") == [
        ("A", 0, 0, Decimal(10)),
        ("B", 3, 2, Decimal(0)),
    ]


def test_departments_that_tie_are_decided_by_name(running: Bench) -> None:
    running.given("coupons", *({"campaign_id": 5, "coupon_upc": 50, "product_id": number} for number in (3, 1)))
    running.given("redemptions", redeemed("2017-04-14"))
    assert cells(running, "department", "redemptions", "sales_value_eur") == [("A", 1, Decimal(0))]


def test_products_the_catalogue_does_not_have_are_unknown(running: Bench) -> None:
    running.given("coupons", {"campaign_id": 5, "coupon_upc": 50, "product_id": 99})
    running.given("purchases", bought(1, "2017-04-14", department=None, product_id=99))
    running.given("redemptions", redeemed("2017-04-14"))
    assert cells(running, "department", "redemptions", "sales_value") == [("UNKNOWN", 1, Decimal(10))]


def test_a_redemption_of_a_campaign_sent_to_nobody_stops_the_mart(running: Bench) -> None:
    running.given("redemptions", redeemed("2017-04-14"), redeemed("2017-04-14", 2) | {"campaign_id": 6})
    assert "rows_valid" in running.fails("campaign_performance")


def test_more_redeeming_than_targeted_households_stop_the_mart(running: Bench) -> None:
    running.given("redemptions", *(redeemed("2017-04-14", number) for number in (1, 2, 3)))
    reasons = running.fails("campaign_performance")["rows_valid"].reasons
    assert dict(reasons) == {"no_more_households_redeem_than_were_targeted": 1}
