"""One row per day with orders."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import daily, public, table
from tests.shop.transform.orders import Orders


class DailySales(pa.DataFrameModel):
    ordered_on: dt.Date = pa.Field(unique=True, metadata=public, description="Day")
    order_count: dt.Int64 = pa.Field(gt=0, metadata=public, description="Orders of the day")
    amount: dt.Decimal(38, 2) = pa.Field(ge=0, metadata=public, description="Euros")

    class Config:
        strict = True


@table(partitions=daily("ordered_on", start="2026-02-01", end="2026-03-31", timezone="Europe/Berlin"))
def daily_sales(orders: Table[Orders]) -> Table[DailySales]:
    """Sales a day."""
    return orders.group_by("ordered_on").agg(order_count=orders.count(), amount=orders.amount.sum())
