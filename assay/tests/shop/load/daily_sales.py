"""One row per day with orders."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from tests.shop.transform.orders import Orders


class DailySales(pa.DataFrameModel):
    ordered_on: dt.Date = pa.Field(unique=True, metadata=public, description="Day")
    order_count: dt.Int64 = pa.Field(gt=0, metadata=public, description="Orders of the day")
    amount: dt.Decimal(38, 2) = pa.Field(ge=0, metadata=public, description="Euros")

    class Config:
        strict = True


@table()
def daily_sales(orders: Table[Orders]) -> Table[DailySales]:
    """Sales a day."""
    return orders.group_by("ordered_on").agg(order_count=orders.count(), amount=orders.amount.sum())
