"""One row per campaign and household that was sent it."""

from __future__ import annotations

from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, public, table
from pipeline_project.extract.raw_campaign_descriptions import RawCampaignDescriptions
from pipeline_project.extract.raw_campaigns import RawCampaigns


class Campaigns(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(gt=0, metadata=public, description="The campaign's number")
    household_id: dt.Int64 = pa.Field(gt=0, metadata=internal, description="Who was sent it")
    campaign_type: dt.String = pa.Field(
        isin=["Type A", "Type B", "Type C"],
        metadata=public,
        description="A: personal coupons; B and C: the same for all",
    )
    start_date: dt.Date = pa.Field(metadata=public, description="First day its coupons are valid")
    end_date: dt.Date = pa.Field(metadata=public, description="Last day its coupons are valid")

    class Config:
        strict = True
        unique = ["campaign_id", "household_id"]

    @pa.dataframe_check(name="end_date_is_not_before_start_date")
    def end_date_is_not_before_start_date(cls, data: Any) -> ir.BooleanValue:
        return data.table.end_date >= data.table.start_date


@table(preserves="raw_campaigns", owner="team:marketing")
def campaigns(
    raw_campaigns: Table[RawCampaigns], raw_campaign_descriptions: Table[RawCampaignDescriptions]
) -> Table[Campaigns]:
    """Targeted households with the campaign's type and days; a campaign the page does not list is rejected."""
    return raw_campaigns.left_join(raw_campaign_descriptions, "campaign_id").select(
        "campaign_id", "household_id", "campaign_type", "start_date", "end_date"
    )
