"""One row per product."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from pipeline_project.extract.raw_products import RawProducts


class Products(pa.DataFrameModel):
    product_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="The shops' number for the product")
    manufacturer_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="Who makes it")
    department: dt.String = pa.Field(
        str_length={"min_value": 1}, metadata=public, description="Widest grouping, such as GROCERY"
    )
    brand: dt.String = pa.Field(
        isin=["National", "Private"], metadata=public, description="National, or Private for the shops' own"
    )
    product_category: dt.String = pa.Field(nullable=True, metadata=public, description="Grouping in a department")
    product_type: dt.String = pa.Field(nullable=True, metadata=public, description="Grouping in a category")
    package_size: dt.String = pa.Field(
        nullable=True, metadata=public, description="As printed on the package; missing for a third"
    )

    class Config:
        strict = True
        unique = ["product_id"]


@table(preserves="raw_products", owner="team:retail")
def products(raw_products: Table[RawProducts]) -> Table[Products]:
    """The product catalogue; blank texts are missing values."""
    raw = raw_products
    texts = ("department", "brand", "product_category", "product_type", "package_size")
    return raw.select("product_id", "manufacturer_id", **{name: raw[name].strip().nullif("") for name in texts})
