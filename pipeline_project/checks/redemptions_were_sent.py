"""Nobody redeems what was not sent to them."""

from __future__ import annotations

import ibis.expr.types as ir
from pandera.typing.ibis import Table

from assay import invariant
from pipeline_project.transform.campaigns import Campaigns
from pipeline_project.transform.redemptions import Redemptions


@invariant()
def redemptions_belong_to_known_campaigns_and_households(
    redemptions: Table[Redemptions], campaigns: Table[Campaigns]
) -> ir.Table:
    """Every redemption is by a household the campaign was sent to."""
    return redemptions.anti_join(campaigns, ["campaign_id", "household_id"])


@invariant()
def redemptions_happen_while_their_campaign_runs(
    redemptions: Table[Redemptions], campaigns: Table[Campaigns]
) -> ir.Table:
    """Every redemption is from the first to the last day of its campaign."""
    joined = redemptions.join(
        campaigns.select("campaign_id", "household_id", "start_date", "end_date"), ["campaign_id", "household_id"]
    )
    return joined.filter(~joined.redemption_date.between(joined.start_date, joined.end_date))
