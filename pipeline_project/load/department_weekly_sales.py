"""One row per department and week in which it sold anything."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table, weekly
from pipeline_project.load.departments import department_of
from pipeline_project.transform.money import COUPON_DISC, COUPON_MATCH_DISC, MONEY, RETAIL_DISC, SALES_VALUE
from pipeline_project.transform.purchases import Purchases
from pipeline_project.transform.shop_calendar import SHOP_ZONE, monday_of


class DepartmentWeeklySales(pa.DataFrameModel):
    department: dt.String = pa.Field(metadata=public, description="UNKNOWN for products the catalogue does not have")
    week: dt.Int64 = pa.Field(metadata=public, description="Monday week, as the shops count")
    week_starts_on: dt.Date = pa.Field(metadata=public, description="Its Monday; week 1 has one day, a Sunday")
    households: dt.Int64 = pa.Field(gt=0, metadata=public, description="Households that bought")
    baskets: dt.Int64 = pa.Field(gt=0, metadata=public, description="Baskets with at least one line of the department")
    lines: dt.Int64 = pa.Field(gt=0, metadata=public, description="Basket lines")
    sales_value: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=SALES_VALUE)
    retail_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=RETAIL_DISC)
    coupon_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=COUPON_DISC)
    coupon_match_disc: dt.Decimal(14, 2) = pa.Field(ge=0, metadata=public, description=COUPON_MATCH_DISC)

    class Config:
        strict = True
        unique = ["department", "week"]


@table(
    partitions=weekly("week_starts_on", start="2016-12-26", end="2017-12-25", timezone=SHOP_ZONE), owner="team:retail"
)
def department_weekly_sales(purchases: Table[Purchases]) -> Table[DepartmentWeeklySales]:
    """What each department sold each week, and what it gave away."""
    lines = purchases.mutate(
        department=department_of(purchases.department), week_starts_on=monday_of(purchases.sold_on)
    )
    return lines.group_by(["department", "week", "week_starts_on"]).agg(
        households=lines.household_id.nunique(),
        baskets=lines.basket_id.nunique(),
        lines=lines.count(),
        **{name: lines[name].sum().cast("decimal(14, 2)") for name in MONEY},
    )
