"""Quantities that look wrong: the rows stay, for their sales are real, and the run says how many there are."""

from __future__ import annotations

import ibis.expr.types as ir
from pandera.typing.ibis import Table

from assay import invariant
from pipeline_project.transform.purchases import Purchases

SOLD_BY_THE_THOUSAND = ("FUEL", "COUPON/MISC ITEMS")
"""Categories in which a unit is a fraction of a gallon."""


@invariant(severity="warn")
def only_fuel_sells_by_the_thousand(purchases: Table[Purchases]) -> ir.Table:
    """A line of more than 1,000 units is fuel, which is filed under two categories."""
    is_fuel = purchases.product_category.isin(SOLD_BY_THE_THOUSAND).fill_null(False)
    return purchases.filter((purchases.quantity > 1000) & ~is_fuel)


@invariant(severity="warn")
def sales_come_with_units(purchases: Table[Purchases]) -> ir.Table:
    """A line with sales has a quantity."""
    # 29 real lines; 20 more have sales of 1e-16 dollars and the like, which are none once money is in cents.
    return purchases.filter((purchases.quantity == 0) & (purchases.sales_value > 0))
