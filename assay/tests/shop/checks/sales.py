"""What must hold between orders and their sums."""

from __future__ import annotations

import ibis
from pandera.typing.ibis import Table

from assay import invariant
from tests.shop.load.daily_sales import DailySales
from tests.shop.transform.orders import Orders


@invariant()
def sales_add_up_to_orders(daily_sales: Table[DailySales], orders: Table[Orders]) -> ibis.Table:
    """The days' sales add up to the orders'."""
    sales = daily_sales.agg(daily=daily_sales.amount.sum())
    total = orders.agg(total=orders.amount.sum())
    return sales.cross_join(total).filter(lambda both: both.daily.fill_null(0) != both.total.fill_null(0))
