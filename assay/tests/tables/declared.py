"""Small declarations for tests of wiring: nothing here is built."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, public, table
from assay.sources import Parquet


class Order(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public)
    customer_id: dt.Int64 = pa.Field(metadata=internal)
    day: dt.Date = pa.Field(metadata=public)
    shipped: dt.Date = pa.Field(nullable=True, metadata=public)

    class Config:
        strict = True
        unique = ["order_id"]


class Customer(pa.DataFrameModel):
    customer_id: dt.Int64 = pa.Field(metadata=public)
    code: dt.String = pa.Field(metadata=public)


class Total(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public)
    orders: dt.Int64 = pa.Field(metadata=public)


FILE = Parquet("files", "orders.parquet")


@table(source=FILE)
def orders(source: ibis.Table) -> Table[Order]:
    """Orders."""
    return source


@table(source=FILE)
def customers(source: ibis.Table) -> Table[Customer]:
    """Customers."""
    return source


@table()
def totals(orders: Table[Order]) -> Table[Total]:
    """Orders a day."""
    return orders.group_by("day").agg(orders=orders.count())
