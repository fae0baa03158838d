"""One row per product, store and week in which the product was displayed or advertised."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import KeepFirst, Known, RejectBudget, public, table
from pipeline_project.extract.raw_promotions import RawPromotions

NOT_PROMOTED = "0"
"""The code for "not on display" and "not in the mailer"."""


class Promotions(pa.DataFrameModel):
    product_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="See products")
    store_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="Where it was promoted")
    week: dt.Int64 = pa.Field(ge=1, le=53, metadata=public, description="Monday week, as the shops count")
    display_location: dt.String = pa.Field(
        isin=list("012345679A"), metadata=public, description="Place in the shop; 0: not on display"
    )
    mailer_location: dt.String = pa.Field(
        isin=list("0ACDFHJLPXZ"), metadata=public, description="Place in the mailer; 0: not in it"
    )

    class Config:
        strict = True
        unique = ["product_id", "store_id", "week"]


@table(
    # Of the rows with one key one is nearly always "not on display" (0), which says less than the other.
    keep=KeepFirst(order_by=("-display_location", "-mailer_location")),
    max_rejects=RejectBudget(rows=10, ratio=0.001),
    known=[
        Known("rows_valid", 13_000, "The file has 12,785 promotions twice, with other places in the shop or mailer.")
    ],
    owner="team:retail",
)
def promotions(raw_promotions: Table[RawPromotions]) -> Table[Promotions]:
    """What was promoted where and when, once; a repeat would multiply the purchases it is joined to."""
    return raw_promotions.select("product_id", "store_id", "week", "display_location", "mailer_location")
