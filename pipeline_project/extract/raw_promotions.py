"""One row per product, store and week in which the product was displayed or advertised, repeats included."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from assay.sources import Parquet


class RawPromotions(pa.DataFrameModel):
    product_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="See raw_products")
    store_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="Where it was promoted")
    display_location: dt.String = pa.Field(nullable=True, metadata=public, description="Code of the place in the shop")
    mailer_location: dt.String = pa.Field(nullable=True, metadata=public, description="Code of the place in the mailer")
    week: dt.Int64 = pa.Field(nullable=True, metadata=public, description="Week of the year, 1 to 53")

    class Config:
        strict = True


@table(source=Parquet("retail_files", "promotions.parquet"), owner="team:retail")
def raw_promotions(source: ibis.Table) -> Table[RawPromotions]:
    """21 million promotions, untouched."""
    return source
