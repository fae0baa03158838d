"""redemption_features: what was known the day before, and nothing later."""

from __future__ import annotations

from typing import Any

import pytest

from assay.testing.bench import Bench, Row, day

START = "2017-06-05"
KNOWN = ("baskets_per_week", "sales_per_week", "campaign_sales_per_week", "coupon_lines_per_week")
NO_DISCOUNT = {"retail_disc": 0, "coupon_disc": 0, "coupon_match_disc": 0}


def bought(on: str, **values: object) -> Row:
    return {"sold_on": day(on), "household_id": 1, "product_id": 7, "sales_value": 8} | NO_DISCOUNT | values


@pytest.fixture
def targeted(bench: Bench) -> Bench:
    """Household 1 is sent campaign 5; the data begins long before."""
    bench.given("campaigns", campaign(5, START, "2017-07-02"))
    bench.given("coupons", {"campaign_id": 5, "coupon_upc": 50, "product_id": 7})
    bench.given("purchases", bought("2017-01-01", household_id=2))
    return bench


def campaign(number: int, start: str, end: str, **values: object) -> Row:
    dates = {"start_date": day(start), "end_date": day(end)}
    return {"campaign_id": number, "household_id": 1, "campaign_type": "Type A", **dates, **values}


def given_purchases(bench: Bench, *rows: Row) -> None:
    first = bought("2017-01-01", household_id=2, basket_id=999)
    bench.given("purchases", first, *(row | {"basket_id": number} for number, row in enumerate(rows, start=1)))


def features(bench: Bench, *columns: str) -> tuple[Any, ...]:
    bench.build("redemption_features")
    [row] = bench.rows("redemption_features", *columns)
    return row


def test_the_window_is_eight_weeks_and_ends_the_day_before(targeted: Bench) -> None:
    days = {1: "2017-04-09", 2: "2017-04-10", 3: "2017-06-04", 4: START}
    targeted.given("campaigns", *(campaign(5, START, "2017-07-02", household_id=number) for number in days))
    given_purchases(targeted, *(bought(on, household_id=number) for number, on in days.items()))
    targeted.build("redemption_features")
    found = targeted.rows("redemption_features", "household_id", "sales_per_week", "baskets_per_week")
    assert found == [(1, 0.0, 0.0), (2, 1.0, 0.125), (3, 1.0, 0.125), (4, 0.0, 0.0)]


def test_nothing_from_the_start_on_changes_a_feature(targeted: Bench) -> None:
    before = [bought("2017-06-01", coupon_disc=1), bought("2017-05-01", retail_disc=2, is_mailed=True)]
    earlier = campaign(4, "2017-03-01", "2017-04-01")
    targeted.given("campaigns", earlier, campaign(5, START, "2017-07-02"))
    redeemed = {"household_id": 1, "coupon_upc": 50, "redemption_date": day("2017-03-05"), "campaign_id": 4}
    given_purchases(targeted, *before)
    targeted.given("redemptions", redeemed | {"event_id": "a"})
    targeted.build("redemption_features")
    labels = targeted.rows("redemption_features", "campaign_id", "has_redeemed")
    known = targeted.rows("redemption_features", "* EXCLUDE (has_redeemed, is_settled)")

    later = [bought(START, sales_value=500, coupon_disc=9, is_displayed=True), bought("2017-12-31", retail_disc=9)]
    given_purchases(targeted, *before, *later)
    after = redeemed | {"redemption_date": day(START), "campaign_id": 5}
    targeted.given("redemptions", redeemed | {"event_id": "a"}, after | {"event_id": "b"})
    targeted.build("redemption_features")
    assert targeted.rows("redemption_features", "* EXCLUDE (has_redeemed, is_settled)") == known
    assert labels == [(4, True), (5, False)]
    assert targeted.rows("redemption_features", "campaign_id", "has_redeemed") == [(4, True), (5, True)]


@pytest.mark.slow
def test_a_redemption_of_an_earlier_campaign_counts_from_the_day_after_it(targeted: Bench) -> None:
    targeted.given("campaigns", campaign(4, "2017-03-01", "2017-08-01"), campaign(5, START, "2017-07-02"))
    shares = []
    for on in ("2017-06-04", START):
        targeted.given(
            "redemptions", {"event_id": "a", "household_id": 1, "campaign_id": 4, "redemption_date": day(on)}
        )
        targeted.build("redemption_features")
        shares.append(dict(targeted.rows("redemption_features", "campaign_id", "redeemed_share")))
    assert shares == [{4: 0.0, 5: 1.0}, {4: 0.0, 5: 0.0}]


def test_a_product_with_two_coupons_is_bought_once(targeted: Bench) -> None:
    targeted.given(
        "coupons",
        {"campaign_id": 5, "coupon_upc": 50, "product_id": 7},
        {"campaign_id": 5, "coupon_upc": 51, "product_id": 7},
        {"campaign_id": 6, "coupon_upc": 52, "product_id": 8},
    )
    given_purchases(targeted, bought("2017-06-01"), bought("2017-06-01", product_id=8))
    assert features(targeted, *KNOWN[1:3]) == (2.0, 1.0)


def test_a_household_without_purchases_has_features_too(targeted: Bench) -> None:
    assert features(targeted, *KNOWN, "promoted_share", "discount_share", "days_since_purchase", "redeemed_share") == (
        *(0.0, 0.0, 0.0, 0.0),
        *(0.0, 0.0, 56.0, 0.0),
    )


def test_a_campaign_older_than_the_data_has_no_history(targeted: Bench) -> None:
    targeted.given("campaigns", campaign(5, "2016-11-14", "2017-01-16"))
    assert features(targeted, "history_days", "sales_per_week") == (0, 0.0)


def test_rates_are_per_week_of_known_history(targeted: Bench) -> None:
    targeted.given("campaigns", campaign(5, "2017-01-15", "2017-02-16"))
    given_purchases(targeted, bought("2017-01-08"), bought("2017-01-09", coupon_disc=2, retail_disc=8, is_mailed=True))
    columns = ("history_days", *KNOWN, "promoted_share", "discount_share", "days_since_purchase")
    assert features(targeted, *columns) == (14, 1.0, 8.0, 8.0, 0.5, 0.5, pytest.approx(1 / 3), 6.0)


def test_the_discount_is_a_share_of_the_shelf_price(targeted: Bench) -> None:
    """The shop's match of a coupon was on the label; a maker's coupon is paid to the shop and was not taken off it."""
    given_purchases(targeted, bought("2017-06-01", retail_disc=3, coupon_match_disc=1, coupon_disc=2))
    assert features(targeted, "discount_share") == (pytest.approx(3 / 12),)


@pytest.mark.slow
def test_a_label_is_final_only_where_the_campaign_ended_within_the_data(targeted: Bench) -> None:
    ends = {4: "2017-06-29", 5: "2017-06-30", 6: "2017-07-01"}
    targeted.given("campaigns", *(campaign(number, START, end) for number, end in ends.items()))
    given_purchases(targeted, bought("2017-06-30"))
    targeted.build("redemption_features")
    found = targeted.rows("redemption_features", "campaign_id", "is_settled")
    assert found == [(4, True), (5, True), (6, False)]
    targeted.given("purchases")
    targeted.build("redemption_features")
    assert {settled for _, settled in targeted.rows("redemption_features", "campaign_id", "is_settled")} == {False}
