"""One row per campaign and targeted household: how likely it was, before the start, to redeem a coupon."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import Run, internal, public, table
from pipeline_project.transform.redemption_features import RedemptionFeatures


class RedemptionScores(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(metadata=public, description="The campaign")
    household_id: dt.Int64 = pa.Field(metadata=internal, description="A household it was sent to")
    split: dt.String = pa.Field(
        isin=["train", "test", "unused"],
        metadata=public,
        description="Whether the model learned from it or is tested on it",
    )
    has_redeemed: dt.Boolean = pa.Field(metadata=internal, description="What happened")
    probability: dt.Float64 = pa.Field(
        in_range={"min_value": 0, "max_value": 1}, metadata=internal, description="Of redeeming at least one coupon"
    )
    margin: dt.Float64 = pa.Field(metadata=internal, description="Log odds of the probability")
    model_hash: dt.String = pa.Field(
        str_length={"min_value": 16, "max_value": 16}, metadata=public, description="Which model said so"
    )

    class Config:
        strict = True
        unique = ["campaign_id", "household_id"]


@table(engine="python", preserves="redemption_features", owner="team:data-science")
def redemption_scores(redemption_features: Table[RedemptionFeatures], run: Run) -> Table[RedemptionScores]:
    """Trained out of time: learned from campaigns that had ended, tested on those that followed."""
    import pyarrow as arrow

    from pipeline_project.transform import redemption_model

    features = redemption_model.in_order(redemption_features.to_pyarrow())
    model = redemption_model.train(features, seed=run.seed)
    margin = model.margin(features)
    return arrow.table(
        {
            "campaign_id": features["campaign_id"],
            "household_id": features["household_id"],
            "split": arrow.array(redemption_model.split_of(features), arrow.string()),
            "has_redeemed": features["has_redeemed"],
            "probability": redemption_model.probability(margin),
            "margin": margin,
            "model_hash": arrow.array([model.hash] * features.num_rows, arrow.string()),
        }
    )
