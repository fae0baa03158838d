"""One row per event of the redemption stream, redeliveries included."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, public, table
from assay.sources import EventLog


class RawRedemptions(pa.DataFrameModel):
    event_partition: dt.Int32 = pa.Field(ge=0, metadata=public, description="Partition of the stream")
    event_offset: dt.Int64 = pa.Field(ge=0, metadata=public, description="Place in the partition")
    event_id: dt.String = pa.Field(nullable=True, metadata=public, description="The till's number for the event")
    household_id: dt.Int64 = pa.Field(nullable=True, metadata=internal, description="Who redeemed")
    coupon_upc: dt.Int64 = pa.Field(nullable=True, metadata=public, description="Which coupon")
    campaign_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="The campaign that sent it")
    redemption_date: dt.Date = pa.Field(nullable=True, metadata=internal, description="Day in the shop's time zone")

    class Config:
        strict = True
        unique = ["event_partition", "event_offset"]


@table(source=EventLog("retail_events", "redemptions"), owner="team:marketing")
def raw_redemptions(source: ibis.Table) -> Table[RawRedemptions]:
    """Coupon redemptions as the tills report them; each run appends what came since the last."""
    return source
