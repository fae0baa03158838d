"""One row per basket line: one product in one basket, on the shops' calendar."""

from __future__ import annotations

from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import daily, internal, public, table
from pipeline_project.extract.raw_transactions import RawTransactions
from pipeline_project.transform.money import COUPON_DISC, COUPON_MATCH_DISC, RETAIL_DISC, SALES_VALUE
from pipeline_project.transform.shop_calendar import SHOP_ZONE, as_utc, shop_date, week_of


class Transactions(pa.DataFrameModel):
    basket_id: dt.Int64 = pa.Field(gt=0, metadata=internal, description="One visit to one shop")
    product_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="See products")
    household_id: dt.Int64 = pa.Field(gt=0, metadata=internal, description="Who bought")
    store_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="Where")
    sold_at: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=internal, description="The instant of the sale")
    sold_on: dt.Date = pa.Field(metadata=public, description="Day in the shops' time zone")
    week: dt.Int64 = pa.Field(ge=1, le=53, metadata=public, description="Monday week of sold_on, as the shops count")
    quantity: dt.Int64 = pa.Field(
        ge=0, metadata=public, description="Units; 0 for returns and fees, hundreds of gallons and more for fuel"
    )
    sales_value: dt.Decimal(12, 2) = pa.Field(ge=0, metadata=public, description=SALES_VALUE)
    retail_disc: dt.Decimal(12, 2) = pa.Field(ge=0, metadata=public, description=RETAIL_DISC)
    coupon_disc: dt.Decimal(12, 2) = pa.Field(ge=0, metadata=public, description=COUPON_DISC)
    coupon_match_disc: dt.Decimal(12, 2) = pa.Field(ge=0, metadata=public, description=COUPON_MATCH_DISC)

    class Config:
        strict = True
        unique = ["basket_id", "product_id"]

    @pa.dataframe_check(name="week_is_the_monday_week_of_sold_on")
    def week_is_the_monday_week_of_sold_on(cls, data: Any) -> ir.BooleanValue:
        """Holds for every real row; on the UTC date it would fail for 34,729."""
        return data.table.week == week_of(data.table.sold_on)


@table(
    partitions=daily("sold_on", start="2017-01-01", end="2017-12-31", timezone=SHOP_ZONE),
    preserves="raw_transactions",
    owner="team:retail",
)
def transactions(raw_transactions: Table[RawTransactions]) -> Table[Transactions]:
    """Basket lines on the shops' calendar, not on UTC's, with money that adds up exactly."""
    raw = raw_transactions
    sold_at = as_utc(raw.transaction_timestamp)
    return raw.select(
        "basket_id",
        "product_id",
        "household_id",
        "store_id",
        sold_at=sold_at,
        sold_on=shop_date(sold_at),
        week=raw.week,
        quantity=raw.quantity,
        sales_value=raw.sales_value.cast("decimal(12, 2)"),
        retail_disc=raw.retail_disc.cast("decimal(12, 2)"),
        coupon_disc=raw.coupon_disc.cast("decimal(12, 2)"),
        coupon_match_disc=raw.coupon_match_disc.cast("decimal(12, 2)"),
    )
