"""Marts add up to what they were made from."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from pandera.typing.ibis import Table

from assay import invariant
from pipeline_project.load.campaign_performance import CampaignPerformance
from pipeline_project.load.department_weekly_sales import DepartmentWeeklySales
from pipeline_project.transform.money import MONEY
from pipeline_project.transform.redemptions import Redemptions
from pipeline_project.transform.transactions import Transactions


@invariant()
def sales_reconcile_with_transactions(
    department_weekly_sales: Table[DepartmentWeeklySales], transactions: Table[Transactions]
) -> ir.Table:
    """Week by week, lines, sales and discounts of all departments add up to the transactions, to the cent."""
    mart, lines = department_weekly_sales, transactions
    sold = mart.group_by("week").agg(lines=mart["lines"].sum(), **{name: mart[name].sum() for name in MONEY})
    truth = lines.group_by("week").agg(lines=lines.count(), **{name: lines[name].sum() for name in MONEY})
    return differing(sold, truth, "week", ("lines", *MONEY))


@invariant()
def redemptions_are_counted_once(
    campaign_performance: Table[CampaignPerformance], redemptions: Table[Redemptions]
) -> ir.Table:
    """Campaign by campaign, the cells' redemptions add up to the redeemed coupons."""
    counted = campaign_performance.group_by("campaign_id").agg(redemptions=campaign_performance.redemptions.sum())
    truth = redemptions.group_by("campaign_id").agg(redemptions=redemptions.count())
    return differing(counted, truth, "campaign_id", ("redemptions",))


def differing(found: ir.Table, truth: ir.Table, key: str, columns: tuple[str, ...]) -> ir.Table:
    """Groups whose totals differ; a group that only one side has counts as zero on the other."""
    both = found.outer_join(truth, key, rname="{name}_expected")
    both = both.select(
        ibis.coalesce(both[key], both[f"{key}_expected"]).name(key),
        *(both[name].fill_null(0).name(name) for column in columns for name in (column, f"{column}_expected")),
    )
    return both.filter(ibis.or_(*(both[name] != both[f"{name}_expected"] for name in columns)))
