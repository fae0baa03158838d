"""One row per product, as the shops' files hold it."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from assay.sources import Parquet


class RawProducts(pa.DataFrameModel):
    product_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="The shops' number for the product")
    manufacturer_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="Who makes it")
    department: dt.String = pa.Field(nullable=True, metadata=public, description="Widest grouping, such as GROCERY")
    brand: dt.String = pa.Field(nullable=True, metadata=public, description="National or Private (the shops' own)")
    product_category: dt.String = pa.Field(nullable=True, metadata=public, description="Grouping in a department")
    product_type: dt.String = pa.Field(nullable=True, metadata=public, description="Grouping in a category")
    package_size: dt.String = pa.Field(nullable=True, metadata=public, description="As printed on the package")

    class Config:
        strict = True


@table(source=Parquet("retail_files", "products.parquet"), owner="team:retail")
def raw_products(source: ibis.Table) -> Table[RawProducts]:
    """The product catalogue, untouched."""
    return source
