"""products, coupons, campaigns, redemptions and exchange_rates: what is kept, mended and set aside."""

from __future__ import annotations

from decimal import Decimal

from assay.testing.bench import Bench, day, warned


def test_blank_texts_of_products_are_missing(bench: Bench) -> None:
    bench.given(
        "raw_products",
        {"product_id": 1, "department": " GROCERY ", "package_size": " ", "product_type": ""},
        manufacturer_id=2,
        brand="National",
    )
    bench.build("products")
    assert bench.rows("products", "department", "package_size", "product_type") == [("GROCERY", None, None)]


def test_a_product_without_a_department_stops_the_catalogue(bench: Bench) -> None:
    bench.given("raw_products", {"product_id": 1, "department": " "}, manufacturer_id=2, brand="National")
    assert dict(bench.fails("products")["rows_valid"].reasons) == {"department.not_null": 1}


def test_a_repeated_coupon_is_set_aside(bench: Bench) -> None:
    bench.given("raw_campaign_descriptions", {"campaign_id": 1})
    bench.given("products", {"product_id": 7})
    row = {"coupon_upc": 5, "product_id": 7, "campaign_id": 1}
    bench.given("raw_coupons", row, row, row | {"coupon_upc": 6})
    assert bench.build("coupons").rejected == 1
    assert bench.rows("coupons") == [(1, 5, 7), (1, 6, 7)]


def test_a_coupon_for_an_unknown_product_is_reported_and_kept(bench: Bench) -> None:
    bench.given("raw_campaign_descriptions", {"campaign_id": 1})
    bench.given("raw_coupons", {"coupon_upc": 5, "product_id": 7, "campaign_id": 1})
    assert warned(bench.build("coupons")) == {"product_id_in_products": 1}
    assert bench.rows("coupons") == [(1, 5, 7)]


def test_a_coupon_of_an_unknown_campaign_stops_the_table(bench: Bench) -> None:
    bench.given("products", {"product_id": 7})
    bench.given("raw_coupons", {"coupon_upc": 5, "product_id": 7, "campaign_id": 1})
    assert set(bench.fails("coupons")) == {"campaign_id_in_raw_campaign_descriptions"}


def test_campaigns_know_their_days(bench: Bench) -> None:
    bench.given(
        "raw_campaign_descriptions",
        {"campaign_id": 1, "start_date": day("2017-03-03"), "end_date": day("2017-04-09")},
        campaign_type="Type B",
    )
    bench.given("raw_campaigns", {"campaign_id": 1, "household_id": 105}, {"campaign_id": 1, "household_id": 1238})
    bench.build("campaigns")
    expected = ("Type B", day("2017-03-03"), day("2017-04-09"))
    assert bench.rows("campaigns") == [(1, 105, *expected), (1, 1238, *expected)]


def test_a_campaign_the_page_does_not_list_stops_the_table(bench: Bench) -> None:
    bench.given("raw_campaigns", {"campaign_id": 9, "household_id": 105})
    assert "start_date.not_null" in bench.fails("campaigns")["rows_valid"].reasons


def test_a_campaign_that_ends_before_it_starts_stops_the_table(bench: Bench) -> None:
    bench.given(
        "raw_campaign_descriptions",
        {"campaign_id": 1, "start_date": day("2017-03-03"), "end_date": day("2017-03-02")},
        campaign_type="Type B",
    )
    bench.given("raw_campaigns", {"campaign_id": 1, "household_id": 105})
    assert dict(bench.fails("campaigns")["rows_valid"].reasons) == {"end_date_is_not_before_start_date": 1}


def test_of_a_redelivered_redemption_the_first_delivery_stays(bench: Bench) -> None:
    known_redemption(bench)
    event = {"event_id": "a", "household_id": 105, "coupon_upc": 5, "campaign_id": 1}
    bench.given(
        "raw_redemptions",
        event | {"event_offset": 9},
        event | {"event_offset": 2},
        event | {"event_offset": 4, "event_id": "b"},
        event_partition=0,
        redemption_date=day("2017-03-04"),
    )
    assert bench.build("redemptions").rejected == 1
    assert bench.rows("redemptions", "event_id", "event_offset") == [("a", 2), ("b", 4)]


def test_a_redemption_without_a_coupon_stops_the_table(bench: Bench) -> None:
    known_redemption(bench)
    bench.given(
        "raw_redemptions",
        {"event_id": "a", "household_id": 105, "coupon_upc": 6, "campaign_id": 1},
        redemption_date=day("2017-03-04"),
    )
    assert set(bench.fails("redemptions")) == {"campaign_id_and_coupon_upc_in_coupons"}


def test_days_without_a_rate_are_set_aside(bench: Bench) -> None:
    bench.given(
        "raw_exchange_rates",
        {"published_on": day("2017-04-13"), "usd": "1.0630"},
        {"published_on": day("2017-04-14"), "usd": "N/A"},
        {"published_on": day("2017-04-18"), "usd": "1.0682"},
    )
    assert bench.build("exchange_rates").rejected == 1
    assert bench.rows("exchange_rates") == [
        (day("2017-04-13"), Decimal("1.063000")),
        (day("2017-04-18"), Decimal("1.068200")),
    ]
    assert bench.rejects("exchange_rates") == [["usd_per_eur.not_null"]]


def known_redemption(bench: Bench) -> None:
    bench.given("coupons", {"campaign_id": 1, "coupon_upc": 5, "product_id": 7})
    bench.given(
        "campaigns",
        {"campaign_id": 1, "household_id": 105, "start_date": day("2017-03-03"), "end_date": day("2017-04-09")},
    )
