"""One row per campaign, department and week of the campaign, of the households it was sent to."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from pipeline_project.load.departments import department_of
from pipeline_project.transform.campaigns import Campaigns
from pipeline_project.transform.coupons import Coupons
from pipeline_project.transform.exchange_rates import ExchangeRates
from pipeline_project.transform.money import COUPON_DISC, COUPON_MATCH_DISC, MONEY, RETAIL_DISC, SALES_VALUE
from pipeline_project.transform.products import Products
from pipeline_project.transform.purchases import Purchases
from pipeline_project.transform.redemptions import Redemptions
from pipeline_project.transform.shop_calendar import monday_of, week_of

CELL = ["campaign_id", "department", "week", "week_starts_on"]


class CampaignPerformance(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(metadata=public, description="The campaign")
    department: dt.String = pa.Field(metadata=public, description="Of the lines sold, and of most products of a coupon")
    week: dt.Int64 = pa.Field(metadata=public, description="Monday week, as the shops count")
    week_starts_on: dt.Date = pa.Field(metadata=public, description="Its Monday")
    households_targeted: dt.Int64 = pa.Field(gt=0, metadata=public, description="Households the campaign was sent to")
    households_redeeming: dt.Int64 = pa.Field(ge=0, metadata=public, description="Of them, redeeming in this cell")
    redemptions: dt.Int64 = pa.Field(ge=0, metadata=public, description="Coupons redeemed")
    sales_value: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=SALES_VALUE)
    retail_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=RETAIL_DISC)
    coupon_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=COUPON_DISC)
    coupon_match_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=COUPON_MATCH_DISC)
    sales_value_eur: dt.Decimal(14, 2) = pa.Field(
        ge=0, metadata=public, description="sales_value in euros, each day at the last rate published on or before it"
    )

    class Config:
        strict = True
        unique = ["campaign_id", "department", "week"]

    @pa.dataframe_check(name="no_more_households_redeem_than_were_targeted")
    def no_more_households_redeem_than_were_targeted(cls, data: Any) -> ir.BooleanValue:
        return data.table.households_redeeming <= data.table.households_targeted


@table(owner="team:marketing")
def campaign_performance(
    campaigns: Table[Campaigns],
    purchases: Table[Purchases],
    redemptions: Table[Redemptions],
    coupons: Table[Coupons],
    products: Table[Products],
    exchange_rates: Table[ExchangeRates],
) -> Table[CampaignPerformance]:
    """What targeted households bought and redeemed while a campaign ran; a cell has sales, redemptions or both."""
    sold = sales_cells(campaigns, purchases, exchange_rates)
    redeemed = redemption_cells(redemptions, coupon_departments(coupons, products))
    cells = sold.union(redeemed).group_by(CELL)
    totals = cells.agg(
        # At most one row of a cell has redemptions; a sum would be wider than BIGINT.
        households_redeeming=ibis._.households_redeeming.max(),
        redemptions=ibis._.redemptions.max(),
        **{name: ibis._[name].sum().cast("decimal(14, 2)") for name in MONEY},
        # One day without a rate makes the sum unknown, and the contract then stops the table.
        sales_value_eur=ibis._.sales_value_eur.isnull()
        .any()
        .ifelse(ibis.null("decimal(14, 2)"), ibis._.sales_value_eur.sum().cast("decimal(14, 2)")),
    )
    targeted = campaigns.group_by("campaign_id").agg(households_targeted=campaigns.count())
    return totals.left_join(targeted, "campaign_id").select(
        *CELL,
        "households_targeted",
        "households_redeeming",
        "redemptions",
        *MONEY,
        "sales_value_eur",
    )


def sales_cells(campaigns: ir.Table, purchases: ir.Table, exchange_rates: ir.Table) -> ir.Table:
    """What targeted households bought from the first to the last day of their campaign, day by day."""
    lines = campaigns.select("campaign_id", "household_id", "start_date", "end_date").join(purchases, "household_id")
    lines = lines.filter(lines.sold_on.between(lines.start_date, lines.end_date))
    lines = lines.mutate(department=department_of(lines.department))
    days = lines.group_by(["campaign_id", "department", "week", "sold_on"]).agg(
        **{name: lines[name].sum() for name in MONEY}
    )
    days = days.left_join(rate_of_day(purchases, exchange_rates), "sold_on")
    # Exact sums need decimals: adding floats would depend on the order of the rows.
    eur = (days.sales_value.cast("float64") / days.usd_per_eur.cast("float64")).cast("decimal(18, 6)")
    return days.select(
        "campaign_id",
        "department",
        "week",
        week_starts_on=monday_of(days.sold_on),
        households_redeeming=ibis.literal(0, "int64"),
        redemptions=ibis.literal(0, "int64"),
        **{name: days[name] for name in MONEY},
        sales_value_eur=eur,
    )


def rate_of_day(purchases: ir.Table, exchange_rates: ir.Table) -> ir.Table:
    """For each day with sales the last rate published on or before it; weekends and holidays have none of their own."""
    days = purchases.select("sold_on").distinct()
    return days.asof_join(exchange_rates, days.sold_on >= exchange_rates.published_on).select("sold_on", "usd_per_eur")


def redemption_cells(redemptions: ir.Table, departments: ir.Table) -> ir.Table:
    """Redemptions in the department of their coupon."""
    joined = redemptions.left_join(departments, ["campaign_id", "coupon_upc"])
    joined = joined.mutate(
        department=department_of(joined.department),
        week=week_of(joined.redemption_date),
        week_starts_on=monday_of(joined.redemption_date),
    )
    cells = joined.group_by(CELL).agg(households_redeeming=joined.household_id.nunique(), redemptions=joined.count())
    nothing = {name: ibis.literal(0, "decimal(38, 2)") for name in MONEY}
    return cells.mutate(**nothing, sales_value_eur=ibis.literal(0, "decimal(18, 6)"))


def coupon_departments(coupons: ir.Table, products: ir.Table) -> ir.Table:
    """The department most products of a coupon belong to; of 1,197 coupons 1,128 have no other."""
    known = coupons.left_join(products, "product_id")
    known = known.mutate(department=department_of(known.department))
    counts = known.group_by(["campaign_id", "coupon_upc", "department"]).agg(products=known.count())
    first = ibis.row_number().over(
        group_by=["campaign_id", "coupon_upc"], order_by=[ibis.desc("products"), ibis.asc("department")]
    )
    return counts.mutate(place=first).filter(ibis._.place == 0).drop("place", "products")
