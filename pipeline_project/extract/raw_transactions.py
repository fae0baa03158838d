"""One row per basket line, as the shops' files hold it."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, public, table
from assay.sources import Parquet


class RawTransactions(pa.DataFrameModel):
    # The bounds are those of DECIMAL(12, 2): NaN, infinities and absurd amounts stop here, not in a later cast.
    household_id: dt.Int64 = pa.Field(nullable=True, metadata=internal, description="Who bought")
    store_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="Where")
    basket_id: dt.Int64 = pa.Field(nullable=True, metadata=internal, description="One visit to one shop")
    product_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="What; see raw_products")
    quantity: dt.Int64 = pa.Field(nullable=True, metadata=public, description="Units")
    sales_value: dt.Float64 = pa.Field(
        in_range={"min_value": -999_999_999, "max_value": 999_999_999},
        metadata=public,
        description="US dollars received by the shop",
    )
    retail_disc: dt.Float64 = pa.Field(
        in_range={"min_value": -999_999_999, "max_value": 999_999_999},
        metadata=public,
        description="US dollars off by loyalty card",
    )
    coupon_disc: dt.Float64 = pa.Field(
        in_range={"min_value": -999_999_999, "max_value": 999_999_999},
        metadata=public,
        description="US dollars off by a manufacturer's coupon",
    )
    coupon_match_disc: dt.Float64 = pa.Field(
        in_range={"min_value": -999_999_999, "max_value": 999_999_999},
        metadata=public,
        description="US dollars off by the shop's match of a coupon",
    )
    week: dt.Int64 = pa.Field(nullable=True, metadata=public, description="Week of the year, 1 to 53")
    transaction_timestamp: dt.Timestamp(scale=6) = pa.Field(
        nullable=True, metadata=internal, description="When, in UTC but without a zone"
    )

    class Config:
        strict = True


@table(source=Parquet("retail_files", "transactions.parquet"), owner="team:retail")
def raw_transactions(source: ibis.Table) -> Table[RawTransactions]:
    """Basket lines of one year from 2,469 households, untouched."""
    return source
