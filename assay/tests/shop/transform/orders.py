"""One row per order."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import RejectBudget, daily, internal, personal, public, table
from tests.shop.extract.raw_orders import RawOrders


class Orders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(gt=0, metadata=internal, description="The order")
    email: dt.String = pa.Field(str_contains="@", metadata=personal, description="Who ordered")
    ordered_on: dt.Date = pa.Field(metadata=public, description="Day")
    amount: dt.Decimal(12, 2) = pa.Field(ge=0, metadata=public, description="Euros")

    class Config:
        strict = True
        unique = ["order_id"]


@table(
    partitions=daily("ordered_on", start="2026-03-01", end="2026-03-05"),
    preserves="raw_orders",
    max_rejects=RejectBudget(rows=1),
    tags={"domain": "sales"},
)
def orders(raw_orders: Table[RawOrders]) -> Table[Orders]:
    """Orders that keep the contract."""
    return raw_orders
