"""What the dashboard tells: small lists of plain rows, aggregated in the database, in a fixed order."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from pipeline_project.load.page.campaigns import Period, by_campaign, judged
from pipeline_project.transform.money import given_away

Rows = list[dict[str, Any]]

OTHER = "all other"
BINS = 10


@dataclass(frozen=True)
class Facts:
    """Everything the page shows but the run itself. Money in US dollars unless it says EUR.

    Attributes:
        cut_weeks: weeks of which the data has some days only; they are no part of a line over time.
    """

    period: Period
    campaigns: Rows
    calendar: Rows
    redeemed_departments: Rows
    departments: Rows
    weekly: Rows
    cut_weeks: Rows
    metrics: Rows
    calibration: Rows
    drivers: Rows


def facts(
    campaigns: ir.Table,
    purchases: ir.Table,
    redemptions: ir.Table,
    campaign_performance: ir.Table,
    department_weekly_sales: ir.Table,
    metrics: ir.Table,
    scores: ir.Table,
    parts: ir.Table,
) -> Facts:
    """Read what the page needs, and no row of a household."""
    period = Period(**rows(purchases.aggregate(first=purchases.sold_on.min(), last=purchases.sold_on.max()))[0])
    departments = rows(by_department(department_weekly_sales))
    weekly = rows(by_week(department_weekly_sales, [row["department"] for row in departments[:5]]))
    cut_weeks = cut(rows(department_weekly_sales.select("week", "week_starts_on").distinct()), period)
    partial = {row["week_starts_on"] for row in cut_weeks}
    return Facts(
        period=period,
        campaigns=judged(rows(by_campaign(campaigns, campaign_performance, redemptions)), period),
        calendar=rows(
            campaign_performance.group_by(["campaign_id", "week_starts_on"])
            .agg(redemptions=ibis._.redemptions.sum().cast("int64"))
            .order_by("week_starts_on", "campaign_id")
        ),
        redeemed_departments=rows(
            campaign_performance.group_by("department")
            .agg(redemptions=ibis._.redemptions.sum().cast("int64"))
            .filter(ibis._.redemptions > 0)
            .order_by(ibis.desc("redemptions"), "department")
        ),
        departments=departments,
        weekly=[row for row in weekly if row["week_starts_on"] not in partial],
        cut_weeks=cut_weeks,
        metrics=rows(metrics.order_by("split", "metric")),
        calibration=rows(by_bin(scores.filter(scores.split == "test"))),
        drivers=rows(by_feature(parts)),
    )


def cut(weeks: Rows, period: Period) -> Rows:
    """The weeks that reach over an edge of the data, with how many of their days it has."""
    found = []
    for row in sorted(weeks, key=lambda row: row["week_starts_on"]):
        days = period.days_of(row["week_starts_on"], row["week_starts_on"] + dtm.timedelta(days=6))
        if days < 7:
            found.append(row | {"days": days})
    return found


def by_department(sales: ir.Table) -> ir.Table:
    """One row per department with its weeks in order, the largest first."""
    return (
        sales.group_by("department")
        .agg(
            sales=ibis._.sales_value.sum().cast("float64"),
            discounts=given_away(sales).sum().cast("float64"),
            lines=ibis._["lines"].sum().cast("int64"),
            weeks=ibis._.week.collect(order_by=ibis._.week),
            weekly=ibis._.sales_value.cast("float64").collect(order_by=ibis._.week),
        )
        .order_by(ibis.desc("sales"), "department")
    )


def by_week(sales: ir.Table, largest: Sequence[str]) -> ir.Table:
    """Sales per week of the largest departments and of all others together."""
    group = sales.department.isin(largest).ifelse(sales.department, OTHER) if largest else ibis.literal(OTHER)
    return (
        sales.mutate(department=group)
        .group_by(["week_starts_on", "department"])
        .agg(sales=ibis._.sales_value.sum().cast("float64"))
        .order_by("week_starts_on", "department")
    )


def by_bin(scores: ir.Table) -> ir.Table:
    """Predicted and observed shares in ten groups of equal size, from least to most likely."""
    bins = ibis.ntile(BINS).over(order_by=["probability", "campaign_id", "household_id"])
    return (
        scores.mutate(bin=bins)
        .group_by("bin")
        .agg(
            predicted=ibis._.probability.mean().round(12),
            observed=ibis._.has_redeemed.cast("float64").mean(),
            households=ibis._.count(),
        )
        .order_by("bin")
    )


def by_feature(parts: ir.Table) -> ir.Table:
    """Each feature's coefficient and the size of its average contribution, the strongest first."""
    return (
        parts.filter(parts.feature != "intercept")
        .group_by("feature")
        .agg(coefficient=ibis._.coefficient.max(), strength=ibis._.contribution.abs().mean().round(12))
        .order_by(ibis.desc("strength"), "feature")
    )


def rows(expression: ir.Table) -> Rows:
    """The rows of a small result."""
    found: Rows = expression.to_pyarrow().to_pylist()
    return found
