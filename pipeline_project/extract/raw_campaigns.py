"""One row per campaign and household that was sent it, as the marketing API tells."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, public, table
from assay.sources import PagedJson


class RawCampaigns(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(nullable=True, metadata=public, description="The campaign's number")
    household_id: dt.Int64 = pa.Field(nullable=True, metadata=internal, description="Who was sent it")

    class Config:
        strict = True


@table(source=PagedJson("retail_api", "campaigns", size=1000), owner="team:marketing")
def raw_campaigns(source: ibis.Table) -> Table[RawCampaigns]:
    """Who was targeted by which campaign."""
    return source
