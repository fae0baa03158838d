"""Redemptions of what was never sent, or of another time, stop the table."""

from __future__ import annotations

import pytest

from assay.testing.bench import Bench, Row, day


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"household_id": 2}, "redemptions_belong_to_known_campaigns_and_households"),
        ({"campaign_id": 6}, "redemptions_belong_to_known_campaigns_and_households"),
        ({"redemption_date": day("2017-03-02")}, "redemptions_happen_while_their_campaign_runs"),
        ({"redemption_date": day("2017-04-10")}, "redemptions_happen_while_their_campaign_runs"),
    ],
)
def test_a_redemption_out_of_place_stops_the_table(bench: Bench, change: Row, check: str) -> None:
    bench.given("coupons", *({"campaign_id": number, "coupon_upc": 50, "product_id": 7} for number in (5, 6)))
    bench.given(
        "campaigns",
        {"campaign_id": 5, "household_id": 1, "start_date": day("2017-03-03"), "end_date": day("2017-04-09")},
    )
    good = {
        "event_id": "a",
        "campaign_id": 5,
        "household_id": 1,
        "coupon_upc": 50,
        "redemption_date": day("2017-03-03"),
    }
    bench.given("raw_redemptions", good)
    assert bench.build("redemptions").rows == 1
    bench.given("raw_redemptions", good, good | {"event_id": "b", "event_offset": 2} | change)
    failed = bench.fails("redemptions")
    assert {name: found.failing for name, found in failed.items()} == {check: 1}
