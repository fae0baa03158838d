"""One row per coupon, product it is good for, and campaign, repeats included, as the marketing API tells."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from assay.sources import PagedJson


class RawCoupons(pa.DataFrameModel):
    coupon_upc: dt.Int64 = pa.Field(nullable=True, metadata=public, description="The number printed on the coupon")
    product_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="A product it is good for")
    campaign_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="The campaign that sent it")

    class Config:
        strict = True


@table(source=PagedJson("retail_api", "coupons", size=10_000), owner="team:marketing")
def raw_coupons(source: ibis.Table) -> Table[RawCoupons]:
    """Which coupon is good for which product in which campaign."""
    return source
