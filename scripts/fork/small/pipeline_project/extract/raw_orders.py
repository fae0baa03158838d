"""One row per order, as the shop's file holds it."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import RejectBudget, internal, personal, public, table
from assay.sources import Csv


class RawOrders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=internal, description="The shop's number for the order")
    ordered_on: dt.Date = pa.Field(metadata=public, description="Day in the shop's time zone")
    customer_email: dt.String = pa.Field(nullable=True, metadata=personal, description="Missing for guests")
    amount: dt.Decimal(12, 2) = pa.Field(ge=0, metadata=internal, description="Euros, taxes included")

    class Config:
        strict = True
        unique = ["order_id"]


@table(source=Csv("shop_files", "orders.csv"), max_rejects=RejectBudget(rows=10))
def raw_orders(source: ibis.Table) -> Table[RawOrders]:
    """The shop's orders, untouched; a broken line is set aside."""
    return source
