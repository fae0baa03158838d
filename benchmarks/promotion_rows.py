"""One row per product, store and week in which the product was displayed or advertised, for measuring contracts."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import Incremental, KeepFirst, RejectBudget, public, table
from assay.sources import Parquet
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


class NumberedPromotions(PromotionRows):
    """Each with a number, and when it changed last."""

    id: dt.Int64 = pa.Field(ge=0, metadata=public)
    updated_at: dt.Timestamp(scale=6) = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["id"]


@table(source=Parquet("files", "promotions.parquet"), load=Incremental(cursor="updated_at"))
def numbered_promotions(source: ibis.Table) -> Table[NumberedPromotions]:
    """What changed since the watermark, by its number."""
    return source
