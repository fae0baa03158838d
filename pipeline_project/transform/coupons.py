"""One row per coupon, product it is good for, and campaign."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import KeepFirst, Known, Reference, RejectBudget, public, table
from pipeline_project.extract.raw_coupons import RawCoupons


class Coupons(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="The campaign that sent it")
    coupon_upc: dt.Int64 = pa.Field(gt=0, metadata=public, description="The number printed on the coupon")
    product_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="A product it is good for; see products")

    class Config:
        strict = True
        unique = ["campaign_id", "coupon_upc", "product_id"]


@table(
    keep=KeepFirst(order_by=("campaign_id", "coupon_upc", "product_id")),
    max_rejects=RejectBudget(rows=10, ratio=0.05),
    known=[
        Known("rows_valid", 4_900, "The API tells 4,872 coupons twice."),
        Known("product_id_in_products", 20, "Six products of coupons are missing from the list of products."),
    ],
    references=[
        Reference(("campaign_id",), "raw_campaign_descriptions"),
        Reference(("product_id",), "products", severity="warn"),
    ],
    owner="team:marketing",
)
def coupons(raw_coupons: Table[RawCoupons]) -> Table[Coupons]:
    """Which coupon is good for which product in which campaign."""
    return raw_coupons.select("campaign_id", "coupon_upc", "product_id")
