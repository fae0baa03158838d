"""What the page says of campaigns: rates with their intervals, what the data misses of them, and the finding."""

from __future__ import annotations

from typing import Any

import pytest

from assay.testing.bench import Bench, day
from pipeline_project.load.page.campaign_charts import calendar_rows, response_rows
from pipeline_project.load.page.campaigns import Group, Period, by_campaign, finding, judged, wilson
from pipeline_project.load.page.facts import cut, rows

YEAR = Period(day("2017-01-01"), day("2017-12-31"))


def campaign(number: int, kind: str, households: int, redeeming: int, redemptions: int, **other: Any) -> dict[str, Any]:
    days = {"start_date": day("2017-03-01"), "end_date": day("2017-04-01")}
    row = {"campaign_id": number, "campaign_type": kind, "households": households, "redeeming": redeeming}
    return row | {"redemptions": redemptions} | days | other


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_of_a_share_is_wilsons(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2017-01-01", "2017-12-31", ""),
        ("2016-12-31", "2017-02-01", "begins before the data"),
        ("2017-12-01", "2018-01-01", "ends after the data"),
        ("2016-12-01", "2018-01-31", "longer than the data"),
    ],
)
def test_a_campaign_over_an_edge_of_the_data_is_told(start: str, end: str, told: str) -> None:
    assert YEAR.misses(day(start), day(end)) == told
    assert Period().misses(day(start), day(end)) == ""


def test_a_household_counts_once_however_many_coupons_it_redeems(bench: Bench) -> None:
    dates = {"campaign_type": "Type A", "start_date": day("2017-04-14"), "end_date": day("2018-04-18")}
    bench.given("campaigns", *({"campaign_id": 5, "household_id": number, **dates} for number in (1, 2, 3, 4)))
    bench.given(
        "redemptions",
        *(
            {"event_id": f"{n}", "campaign_id": 5, "household_id": household}
            # Household 9 was never sent it.
            for n, household in enumerate((1, 1, 1, 2, 9))
        ),
    )
    bench.given("campaign_performance", *({"campaign_id": 5, "week": week, "redemptions": 2} for week in (1, 2)))
    tables = (
        bench.session.read(bench.graph.tables[name]) for name in ("campaigns", "campaign_performance", "redemptions")
    )
    [row] = judged(rows(by_campaign(*tables)), YEAR)
    assert (row["households"], row["redeeming"], row["redemptions"]) == (4, 2, 4)
    assert (row["share"], row["per_hundred"], row["missing"]) == (0.5, 100.0, "ends after the data")
    assert (row["low"], row["high"]) == pytest.approx((0.1500, 0.8500), abs=5e-5)


def test_a_campaign_nobody_bought_in_is_told_too(bench: Bench) -> None:
    bench.given("campaigns", {"campaign_id": 5, "household_id": 1, "campaign_type": "Type C"})
    bench.given("campaign_performance")
    bench.given("redemptions")
    tables = (
        bench.session.read(bench.graph.tables[name]) for name in ("campaigns", "campaign_performance", "redemptions")
    )
    [row] = rows(by_campaign(*tables))
    assert (row["households"], row["redeeming"], row["redemptions"], row["sales"]) == (1, 0, 0, 0.0)


def test_the_type_that_stands_out_is_found() -> None:
    found = finding(
        judged(
            [
                campaign(1, "Type A", 300, 60, 150),
                campaign(2, "Type A", 100, 20, 50),
                campaign(3, "Type B", 500, 25, 40),
                campaign(4, "Type C", 100, 5, 10),
            ],
            YEAR,
        )
    )
    first = (
        "The 2 campaigns of type A brought 80% of all redeemed coupons: 50 per 100 households they were sent to, "
        "against 8 for the others."
    )
    assert found == [first, "That was 40% of all mailings."]


def test_the_finding_follows_the_data_and_not_a_name() -> None:
    late = {"start_date": day("2017-12-20"), "end_date": day("2018-01-20")}
    found = finding(
        judged(
            [
                campaign(1, "Type A", 1000, 20, 30),
                campaign(2, "Type B", 200, 80, 90),
                campaign(3, "Type A", 1000, 0, 0, **late),
            ],
            YEAR,
        )
    )
    first = (
        "The one campaign of type B brought 75% of all redeemed coupons: 45 per 100 households it was sent to, "
        "against 2 for the others."
    )
    assert found == [
        first,
        "That was 9% of all mailings.",
        "Counting only campaigns that the data covers from their first to their last day, it is 45 against 3.",
    ]


@pytest.mark.parametrize(
    "campaigns",
    [
        [],
        [campaign(1, "Type A", 500, 200, 300)],
        [campaign(1, "Type A", 500, 0, 0), campaign(2, "Type B", 500, 0, 0)],
        # Twice as often, but of twelve and twenty-four households: chance does that.
        [campaign(1, "Type A", 12, 2, 4), campaign(2, "Type B", 24, 2, 4)],
        # More households, and with them more coupons, at the same rate.
        [campaign(1, "Type A", 1000, 100, 150), campaign(2, "Type B", 100, 10, 15)],
        # More households redeem, but fewer coupons come back.
        [campaign(1, "Type A", 1000, 300, 300), campaign(2, "Type B", 1000, 100, 900)],
    ],
    ids=["nothing", "one type", "no redemptions", "too few", "same rate", "fewer coupons"],
)
def test_where_no_type_stands_out_nothing_is_found(campaigns: list[dict[str, Any]]) -> None:
    assert finding(judged(campaigns, YEAR)) == []


def test_types_are_compared_by_the_campaigns_seen_whole() -> None:
    early = {"start_date": day("2016-12-20")}
    shown = response_rows(
        judged(
            [
                campaign(1, "Type B", 100, 10, 12),
                campaign(2, "Type B", 12, 0, 0, **early),
                campaign(3, "Type A", 200, 50, 90),
                campaign(4, "Type C", 20, 1, 1, **early),
            ],
            YEAR,
        )
    )
    assert [(row["name"], row["text"]) for row in shown] == [
        ("Type A, all", "25% of 200"),
        ("3", "25% of 200"),
        ("Type B, all", "10% of 100"),
        ("1", "10% of 100"),
        ("2", "0% of 12 *"),
        ("Type C, all", "5% of 20 *"),
        ("4", "5% of 20 *"),
    ]
    # What the data has only a part of is drawn hollow.
    assert [row["fill"] == row["colour"] for row in shown] == [True, True, True, True, False, False, False]
    assert shown[4]["told"] == (
        "Campaign 2: 0 of 12 households redeemed, 0.0%; 95% interval 0.0% to 24.2%; 0.0 coupons per 100; "
        "begins before the data"
    )


def test_a_group_of_nobody_has_rates_too() -> None:
    assert (Group.of([]).share, Group.of([]).per_hundred, Group.of([]).interval) == (0.0, 0.0, (0.0, 1.0))


def test_weeks_over_an_edge_of_the_data_are_cut() -> None:
    weeks = [
        {"week": n, "week_starts_on": day(on)} for n, on in ((53, "2017-12-25"), (1, "2016-12-26"), (2, "2017-01-02"))
    ]
    assert [(row["week"], row["days"]) for row in cut(weeks, YEAR)] == [(1, 1)]
    assert [(row["week"], row["days"]) for row in cut(weeks, Period(day("2017-01-01"), day("2017-12-27")))] == [
        (1, 1),
        (53, 3),
    ]
    assert cut(weeks, Period()) == []


def test_a_week_of_the_calendar_is_as_wide_as_its_days_in_the_data() -> None:
    cells = [
        {"campaign_id": 1, "week_starts_on": day(on), "redemptions": number}
        for on, number in (("2016-12-26", 1), ("2017-01-02", 100), ("2017-01-09", 0), ("2017-12-25", 20))
    ]
    shown = calendar_rows(cells, [campaign(1, "Type B", 10, 5, 5)], YEAR)
    assert [(str(row["begins"]), str(row["until"]), row["steps"]) for row in shown] == [
        ("2017-01-01", "2017-01-02", "1 to 3"),
        ("2017-01-02", "2017-01-09", "64 to 100"),
        ("2017-12-25", "2018-01-01", "16 to 35"),
    ]
    assert shown[0]["told"] == "Campaign 1, Type B, week of December 26, 2016: 1 coupon redeemed"


def test_a_single_coupon_is_a_calendar() -> None:
    [cell] = calendar_rows([{"campaign_id": 1, "week_starts_on": day("2017-01-02"), "redemptions": 1}], [], Period())
    assert (cell["steps"], cell["all_steps"]) == ("1", ["1", "2"])


def test_weeks_without_a_period_are_whole() -> None:
    assert Period().days_of(day("2017-01-02"), day("2017-01-08")) == 7
