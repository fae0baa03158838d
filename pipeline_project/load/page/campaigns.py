"""What came of each campaign and of each type of campaign, how sure that is, and whether a type stands out."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import ibis
import ibis.expr.types as ir

from pipeline_project.transform.money import given_away

Z_95 = 1.959964
KEYS = ["campaign_id", "household_id"]


@dataclass(frozen=True)
class Period:
    """The days the data covers, both included; none where there is no purchase."""

    first: dtm.date | None = None
    last: dtm.date | None = None

    def misses(self, start: dtm.date, end: dtm.date) -> str:
        """What of `start` to `end` lies outside, in words; empty where all of it lies within."""
        if self.first is None or self.last is None:
            return ""
        begins, ends = start < self.first, end > self.last
        return {
            (True, False): "begins before the data",
            (False, True): "ends after the data",
            (True, True): "longer than the data",
        }.get((begins, ends), "")

    def days_of(self, start: dtm.date, end: dtm.date) -> int:
        """How many of the days from `start` to `end` the data covers."""
        if self.first is None or self.last is None:
            return (end - start).days + 1
        return max((min(end, self.last) - max(start, self.first)).days + 1, 0)


@dataclass(frozen=True)
class Group:
    """Some campaigns together. A household counts once for each campaign it was sent."""

    campaigns: int
    households: int
    redeeming: int
    redemptions: int

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]]) -> Group:
        columns = ("households", "redeeming", "redemptions")
        return cls(len(rows), *(sum(row[column] for row in rows) for column in columns))

    @property
    def per_hundred(self) -> float:
        """Coupons redeemed per 100 households."""
        return 100 * self.redemptions / self.households if self.households else 0.0

    @property
    def share(self) -> float:
        """Share of the households that redeemed at least one coupon."""
        return self.redeeming / self.households if self.households else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of `share`."""
        return wilson(self.redeeming, self.households)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95% score interval of a proportion, which also holds for few cases and for none or all of them.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (1927), 209-212. It takes households for independent of each other.
    """
    if not of:
        return (0.0, 1.0)
    share, square = hits / of, Z_95**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z_95 / (1 + square / of) * sqrt(share * (1 - share) / of + square / (4 * of**2))
    return (max(middle - half, 0.0), min(middle + half, 1.0))


def by_campaign(campaigns: ir.Table, performance: ir.Table, redemptions: ir.Table) -> ir.Table:
    """One row per campaign, the earliest first: when it ran, whom it reached, what came of it."""
    sent = campaigns.group_by("campaign_id").agg(
        campaign_type=ibis._.campaign_type.max(),
        start_date=ibis._.start_date.min(),
        end_date=ibis._.end_date.max(),
        households=ibis._.household_id.nunique(),
    )
    done = performance.group_by("campaign_id").agg(
        redemptions=ibis._.redemptions.sum().cast("int64"),
        sales=ibis._.sales_value.sum().cast("float64"),
        sales_eur=ibis._.sales_value_eur.sum().cast("float64"),
        discounts=given_away(performance).sum().cast("float64"),
    )
    came = redemptions.semi_join(campaigns, KEYS).group_by("campaign_id").agg(redeeming=ibis._.household_id.nunique())
    joined = sent.left_join(done, "campaign_id").left_join(came, "campaign_id")
    numbers = {name: joined[name].fill_null(0) for name in ("redemptions", "redeeming")}
    amounts = {name: joined[name].fill_null(0.0) for name in ("sales", "sales_eur", "discounts")}
    kept = joined.select("campaign_id", "campaign_type", "start_date", "end_date", "households", **numbers, **amounts)
    return kept.order_by("start_date", "campaign_id")


def judged(rows: Sequence[dict[str, Any]], period: Period) -> list[dict[str, Any]]:
    """The campaigns' rows with what is told of each: its rates, their interval, and what the data misses of it."""
    found = []
    for row in rows:
        alone = Group.of([row])
        low, high = alone.interval
        missing = period.misses(row["start_date"], row["end_date"])
        told = {"per_hundred": alone.per_hundred, "share": alone.share, "low": low, "high": high, "missing": missing}
        found.append(row | told)
    return found


def finding(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The type of campaign that stands out, in sentences; none where no type does.

    A type stands out when more of its households redeem than of all others', beyond both 95% intervals, and more
    coupons come back per household. Of several the one that brought the most coupons is told.
    """
    for kind in by_redemptions(rows):
        ours, others = _apart(rows, kind)
        if ours.interval[0] <= others.interval[1] or ours.per_hundred <= others.per_hundred or not others.households:
            continue
        all_redemptions, all_sent = ours.redemptions + others.redemptions, ours.households + others.households
        who, them = ("one campaign", "it was") if ours.campaigns == 1 else (f"{ours.campaigns} campaigns", "they were")
        outcome = (
            f"The {who} of {named(kind)} brought {ours.redemptions / all_redemptions:.0%} of all redeemed coupons: "
            f"{ours.per_hundred:.0f} per 100 households {them} sent to, against {others.per_hundred:.0f} for the others."
        )
        told = [outcome, f"That was {ours.households / all_sent:.0%} of all mailings."]
        within = [row for row in rows if not row["missing"]]
        whole, rest = _apart(within, kind)
        if len(within) < len(rows) and whole.households and rest.households:
            told.append(
                "Counting only campaigns that the data covers from their first to their last day, it is "
                f"{whole.per_hundred:.0f} against {rest.per_hundred:.0f}."
            )
        return told
    return []


def by_redemptions(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The types of campaign, that with the most redeemed coupons first."""
    kinds = sorted({row["campaign_type"] for row in rows})
    return sorted(kinds, key=lambda kind: -_apart(rows, kind)[0].redemptions)


def named(kind: str) -> str:
    """A type's name within a sentence."""
    return kind[:1].lower() + kind[1:]


def _apart(rows: Sequence[dict[str, Any]], kind: str) -> tuple[Group, Group]:
    """The campaigns of one type, and all others."""
    ours = Group.of([row for row in rows if row["campaign_type"] == kind])
    return ours, Group.of([row for row in rows if row["campaign_type"] != kind])
