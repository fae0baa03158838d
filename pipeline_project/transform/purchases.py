"""One row per basket line, with its product, its promotion and what is known of the household."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import Known, Reference, daily, internal, personal, public, table
from pipeline_project.extract.raw_demographics import RawDemographics
from pipeline_project.transform.money import COUPON_DISC, COUPON_MATCH_DISC, RETAIL_DISC, SALES_VALUE
from pipeline_project.transform.products import Products
from pipeline_project.transform.promotions import NOT_PROMOTED, Promotions
from pipeline_project.transform.shop_calendar import SHOP_ZONE
from pipeline_project.transform.transactions import Transactions


class Purchases(pa.DataFrameModel):
    basket_id: dt.Int64 = pa.Field(metadata=internal, description="One visit to one shop")
    product_id: dt.Int64 = pa.Field(metadata=public, description="See products")
    household_id: dt.Int64 = pa.Field(metadata=internal, description="Who bought")
    sold_on: dt.Date = pa.Field(metadata=public, description="Day in the shops' time zone")
    week: dt.Int64 = pa.Field(metadata=public, description="Monday week of sold_on, as the shops count")
    quantity: dt.Int64 = pa.Field(metadata=public, description="Units")
    sales_value: dt.Decimal(12, 2) = pa.Field(metadata=public, description=SALES_VALUE)
    retail_disc: dt.Decimal(12, 2) = pa.Field(metadata=public, description=RETAIL_DISC)
    coupon_disc: dt.Decimal(12, 2) = pa.Field(metadata=public, description=COUPON_DISC)
    coupon_match_disc: dt.Decimal(12, 2) = pa.Field(metadata=public, description=COUPON_MATCH_DISC)
    department: dt.String = pa.Field(nullable=True, metadata=public, description="Missing if the product is unknown")
    brand: dt.String = pa.Field(nullable=True, metadata=public, description="National or Private")
    product_category: dt.String = pa.Field(nullable=True, metadata=public, description="Grouping in a department")
    is_displayed: dt.Boolean = pa.Field(metadata=public, description="Whether the shop had it on display that week")
    is_mailed: dt.Boolean = pa.Field(metadata=public, description="Whether that week's mailer had it")
    age: dt.String = pa.Field(nullable=True, metadata=personal, description="Age bracket of the household's head")
    income: dt.String = pa.Field(nullable=True, metadata=personal, description="Bracket of yearly income, US dollars")
    household_size: dt.String = pa.Field(nullable=True, metadata=personal, description="Persons, up to 5+")

    class Config:
        strict = True
        unique = ["basket_id", "product_id"]


@table(
    partitions=daily("sold_on", start="2017-01-01", end="2017-12-31", timezone=SHOP_ZONE),
    preserves="transactions",
    references=[
        Reference(("product_id",), "products", severity="warn"),
        Reference(("household_id",), "raw_demographics", severity="warn"),
    ],
    known=[
        Known("product_id_in_products", 5_000, "17 products that were sold are missing from the list of products."),
        Known("household_id_in_raw_demographics", 650_000, "801 of 2,469 households answered the survey."),
        Known("sales_come_with_units", 30, "29 lines have sales and no units; what was sold is not known."),
    ],
    owner="team:retail",
)
def purchases(
    transactions: Table[Transactions],
    products: Table[Products],
    promotions: Table[Promotions],
    raw_demographics: Table[RawDemographics],
) -> Table[Purchases]:
    """Basket lines joined with all there is to know; a line without a match stays, with missing values."""
    joined = (
        transactions.left_join(products, "product_id")
        .left_join(promotions, ["product_id", "store_id", "week"])
        .left_join(raw_demographics, "household_id")
    )
    return joined.select(
        "basket_id",
        "product_id",
        "household_id",
        "sold_on",
        "week",
        "quantity",
        "sales_value",
        "retail_disc",
        "coupon_disc",
        "coupon_match_disc",
        "department",
        "brand",
        "product_category",
        is_displayed=(joined.display_location != NOT_PROMOTED).fill_null(False),
        is_mailed=(joined.mailer_location != NOT_PROMOTED).fill_null(False),
        age=joined.age,
        income=joined.income,
        household_size=joined.household_size,
    )
