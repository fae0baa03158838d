"""One row per campaign and targeted household: what was known of the household before the campaign began."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, public, table
from pipeline_project.transform.campaigns import Campaigns
from pipeline_project.transform.coupons import Coupons
from pipeline_project.transform.money import shelf_price
from pipeline_project.transform.purchases import Purchases
from pipeline_project.transform.redemptions import Redemptions

KEYS = ["campaign_id", "household_id"]
WINDOW_DAYS = 56
"""How far back purchases count: eight weeks, so that campaigns early and late in the year compare."""


class RedemptionFeatures(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(metadata=public, description="The campaign")
    household_id: dt.Int64 = pa.Field(metadata=internal, description="A household it was sent to")
    start_date: dt.Date = pa.Field(
        metadata=public, description="First day of the campaign; features end the day before"
    )
    end_date: dt.Date = pa.Field(metadata=public, description="Last day of the campaign")
    has_redeemed: dt.Boolean = pa.Field(metadata=internal, description="The label: redeemed at least one coupon of it")
    is_settled: dt.Boolean = pa.Field(
        metadata=public, description="Whether the campaign ended within the data, so that the label is final"
    )
    history_days: dt.Int64 = pa.Field(metadata=public, description="Days the features look back on, at most 56")
    baskets_per_week: dt.Float64 = pa.Field(ge=0, metadata=internal, description="Visits to a shop")
    sales_per_week: dt.Float64 = pa.Field(ge=0, metadata=internal, description="US dollars spent")
    campaign_sales_per_week: dt.Float64 = pa.Field(
        ge=0, metadata=internal, description="US dollars spent on products this campaign has coupons for"
    )
    coupon_lines_per_week: dt.Float64 = pa.Field(ge=0, metadata=internal, description="Basket lines paid with a coupon")
    promoted_share: dt.Float64 = pa.Field(
        metadata=internal,
        description="Share of lines on display or in the mailer",
    )
    discount_share: dt.Float64 = pa.Field(
        in_range={"min_value": 0, "max_value": 1},
        metadata=internal,
        description="Loyalty discount in the shelf price",
    )
    days_since_purchase: dt.Float64 = pa.Field(
        ge=0,
        metadata=internal,
        description=f"Days from the last purchase to the start, {WINDOW_DAYS} if there was none",
    )
    redeemed_share: dt.Float64 = pa.Field(
        metadata=internal,
        description="Share of the household's earlier campaigns of which it had redeemed a coupon by then",
    )
    is_type_a: dt.Float64 = pa.Field(metadata=public, description="1 for a campaign of personal coupons")

    class Config:
        strict = True
        unique = ["campaign_id", "household_id"]


@table(preserves="campaigns", owner="team:data-science")
def redemption_features(
    campaigns: Table[Campaigns],
    purchases: Table[Purchases],
    coupons: Table[Coupons],
    redemptions: Table[Redemptions],
) -> Table[RedemptionFeatures]:
    """Features end the day before the campaign starts; demographics are left out on purpose."""
    targets = with_history_days(campaigns, purchases)
    before = purchases_before(targets, purchases)
    redeemed = redemptions.group_by(KEYS).agg(first_redeemed=redemptions.redemption_date.min())
    joined = (
        targets.left_join(purchase_history(before), KEYS)
        .left_join(campaign_history(before, coupons), KEYS)
        .left_join(earlier_campaigns(targets, redeemed), KEYS)
        .left_join(redeemed, KEYS)
    )
    weeks = joined.history_days / 7
    return joined.select(
        *KEYS,
        "start_date",
        "end_date",
        has_redeemed=joined.first_redeemed.notnull(),
        is_settled=(joined.end_date <= purchases.sold_on.max().as_scalar()).fill_null(False),
        history_days=joined.history_days,
        baskets_per_week=ratio(joined.baskets, weeks),
        sales_per_week=ratio(joined.sales, weeks),
        campaign_sales_per_week=ratio(joined.campaign_sales, weeks),
        coupon_lines_per_week=ratio(joined.coupon_lines, weeks),
        promoted_share=ratio(joined.promoted_lines, joined.lines),
        discount_share=ratio(joined.discount, joined.shelf_price),
        days_since_purchase=joined.days_since_purchase.fill_null(WINDOW_DAYS).cast("float64"),
        redeemed_share=ratio(joined.earlier_redeemed, joined.earlier),
        is_type_a=(joined.campaign_type == "Type A").cast("float64"),
    )


def with_history_days(campaigns: ir.Table, purchases: ir.Table) -> ir.Table:
    """Targets with the days of purchases there are before the campaign: none for one older than the data."""
    first_day = purchases.sold_on.min().as_scalar()
    known = campaigns.start_date.delta(first_day, unit="day").fill_null(0)
    return campaigns.mutate(history_days=known.clip(0, WINDOW_DAYS))


def purchases_before(targets: ir.Table, purchases: ir.Table) -> ir.Table:
    """The lines each target bought in the window that ends the day before its campaign starts."""
    lines = targets.select(*KEYS, "start_date").join(purchases, "household_id")
    lines = lines.mutate(days_before=lines.start_date.delta(lines.sold_on, unit="day"))
    return lines.filter(lines.days_before.between(1, WINDOW_DAYS))


def purchase_history(before: ir.Table) -> ir.Table:
    """What each target bought in its window. Sums are of decimals, so their order does not matter."""
    return before.group_by(KEYS).agg(
        baskets=before.basket_id.nunique(),
        lines=before.count(),
        sales=before.sales_value.sum(),
        discount=before.retail_disc.sum(),
        shelf_price=shelf_price(before).sum(),
        coupon_lines=(before.coupon_disc > 0).sum(),
        promoted_lines=(before.is_displayed | before.is_mailed).sum(),
        days_since_purchase=before.days_before.min(),
    )


def campaign_history(before: ir.Table, coupons: ir.Table) -> ir.Table:
    """What each target spent on products the campaign has coupons for, however many coupons a product has."""
    couponed = before.semi_join(coupons, ["campaign_id", "product_id"])
    return couponed.group_by(KEYS).agg(campaign_sales=couponed.sales_value.sum())


def earlier_campaigns(targets: ir.Table, redeemed: ir.Table) -> ir.Table:
    """How many campaigns that started earlier each target was sent, and of how many it had redeemed by then."""
    other = targets.left_join(redeemed, KEYS).select(
        "household_id", earlier_start="start_date", first_redeemed="first_redeemed"
    )
    pairs = targets.select(*KEYS, "start_date").join(other, "household_id")
    pairs = pairs.filter(pairs.earlier_start < pairs.start_date)
    had_redeemed = pairs.first_redeemed < pairs.start_date
    return pairs.group_by(KEYS).agg(earlier=pairs.count(), earlier_redeemed=had_redeemed.sum())


def ratio(part: ir.NumericValue, whole: ir.NumericValue) -> ir.FloatingValue:
    """`part / whole`, and 0 where there is nothing to divide or to divide by."""
    return (part.cast("float64") / whole.cast("float64").nullif(0.0)).fill_null(0.0)
