"""One row per coupon campaign, as the marketing site's page lists it."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from assay.sources import HtmlTable


class RawCampaignDescriptions(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(metadata=public, description="The campaign's number")
    campaign_type: dt.String = pa.Field(metadata=public, description="Type A, Type B or Type C")
    start_date: dt.Date = pa.Field(metadata=public, description="First day its coupons are valid")
    end_date: dt.Date = pa.Field(metadata=public, description="Last day its coupons are valid")

    class Config:
        strict = True
        unique = ["campaign_id"]


@table(source=HtmlTable("retail_site", "campaigns.html", table="table#campaigns"), owner="team:marketing")
def raw_campaign_descriptions(source: ibis.Table) -> Table[RawCampaignDescriptions]:
    """Read off the page at every run: it is the only place that says when a campaign runs."""
    return source
