"""One row per order line, as the shop's file has it."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, personal, public, table
from assay.sources import Csv


class RawOrders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(nullable=True, metadata=internal, description="The order")
    email: dt.String = pa.Field(nullable=True, metadata=personal, description="Who ordered")
    ordered_on: dt.Date = pa.Field(nullable=True, metadata=public, description="Day")
    amount: dt.Decimal(12, 2) = pa.Field(nullable=True, metadata=public, description="Euros")

    class Config:
        strict = True


@table(source=Csv("shop_files", "orders.csv"), owner="team:shop")
def raw_orders(source: ibis.Table) -> Table[RawOrders]:
    """Orders as they came."""
    return source
