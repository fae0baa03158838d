"""One row per department and week in which it sold anything."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table, weekly
from pipeline_project.load.departments import department_of
from pipeline_project.transform.purchases import Purchases
from pipeline_project.transform.shop_calendar import SHOP_ZONE, monday_of


class DepartmentWeeklySales(pa.DataFrameModel):
    department: dt.String = pa.Field(metadata=public, description="UNKNOWN for products the catalogue does not have")
    week: dt.Int64 = pa.Field(metadata=public, description="Monday week, as the shops count")
    week_starts_on: dt.Date = pa.Field(metadata=public, description="Its Monday; weeks 1 and 53 are cut by the year")
    households: dt.Int64 = pa.Field(gt=0, metadata=public, description="Households that bought")
    baskets: dt.Int64 = pa.Field(gt=0, metadata=public, description="Baskets with at least one line of the department")
    lines: dt.Int64 = pa.Field(gt=0, metadata=public, description="Basket lines")
    sales_value: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description="US dollars, after discounts")
    retail_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description="US dollars off by loyalty card")
    coupon_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description="US dollars off by coupon")
    coupon_match_disc: dt.Decimal(14, 2) = pa.Field(
        ge=0, metadata=public, description="US dollars off by the shop's match of a coupon"
    )

    class Config:
        strict = True
        unique = ["department", "week"]


@table(partitions=weekly("week_starts_on", start="2016-12-26", end="2017-12-25", timezone=SHOP_ZONE))
def department_weekly_sales(purchases: Table[Purchases]) -> Table[DepartmentWeeklySales]:
    """What each department sold each week, and what it gave away."""
    lines = purchases.mutate(
        department=department_of(purchases.department), week_starts_on=monday_of(purchases.sold_on)
    )
    money = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
    return lines.group_by(["department", "week", "week_starts_on"]).agg(
        households=lines.household_id.nunique(),
        baskets=lines.basket_id.nunique(),
        lines=lines.count(),
        **{name: lines[name].sum().cast("decimal(14, 2)") for name in money},
    )
