"""One row per coupon redeemed by a household."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import KeepFirst, Reference, RejectBudget, internal, public, table
from pipeline_project.extract.raw_redemptions import RawRedemptions


class Redemptions(pa.DataFrameModel):
    event_id: dt.String = pa.Field(metadata=public, description="The till's number; a redelivery has the same")
    event_partition: dt.Int32 = pa.Field(ge=0, metadata=public, description="Partition of the stream")
    event_offset: dt.Int64 = pa.Field(ge=0, metadata=public, description="Place in the partition")
    campaign_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="The campaign that sent the coupon")
    household_id: dt.Int64 = pa.Field(gt=0, metadata=internal, description="Who redeemed")
    coupon_upc: dt.Int64 = pa.Field(gt=0, metadata=public, description="Which coupon")
    redemption_date: dt.Date = pa.Field(metadata=internal, description="Day in the shops' time zone")

    class Config:
        strict = True
        unique = ["event_id"]


@table(
    # A stream delivers at least once; the first delivery stays.
    keep=KeepFirst(order_by=("event_partition", "event_offset")),
    max_rejects=RejectBudget(rows=10, ratio=0.01),
    references=[Reference(("campaign_id", "coupon_upc"), "coupons")],
    owner="team:marketing",
)
def redemptions(raw_redemptions: Table[RawRedemptions]) -> Table[Redemptions]:
    """Redemptions, each once, whatever the order and number of deliveries."""
    return raw_redemptions.select(
        "event_id", "event_partition", "event_offset", "campaign_id", "household_id", "coupon_upc", "redemption_date"
    )
