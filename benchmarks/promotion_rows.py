"""One row per product, store and week in which the product was displayed or advertised, for measuring contracts."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import KeepFirst, RejectBudget, public, table
from pipeline_project.transform.promotions import Promotions


class PromotionRows(pa.DataFrameModel):
    """The contract of `promotions` without its key: schema and row rules."""

    product_id: dt.Int64 = pa.Field(gt=0, metadata=public)
    store_id: dt.Int64 = pa.Field(gt=0, metadata=public)
    week: dt.Int64 = pa.Field(ge=1, le=53, metadata=public)
    display_location: dt.String = pa.Field(isin=list("012345679A"), metadata=public)
    mailer_location: dt.String = pa.Field(isin=list("0ACDFHJLPXZ"), metadata=public)

    class Config:
        strict = True


@table(max_rejects=RejectBudget(ratio=1.0))
def promotion_rows(source: Table[PromotionRows]) -> Table[PromotionRows]:
    """Rows against the contract; what breaks it is set aside, however much it is."""
    return source


@table(keep=KeepFirst(order_by=("-display_location", "-mailer_location")), max_rejects=RejectBudget(ratio=1.0))
def keyed_promotion_rows(source: Table[PromotionRows]) -> Table[Promotions]:
    """The same with the key: repeats are set aside."""
    return source
