"""One row per campaign, targeted household and feature: what the feature added to the household's margin."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import Run, internal, public, table
from pipeline_project.transform.redemption_features import RedemptionFeatures


class RedemptionContributions(pa.DataFrameModel):
    campaign_id: dt.Int64 = pa.Field(metadata=public, description="The campaign")
    household_id: dt.Int64 = pa.Field(metadata=internal, description="A household it was sent to")
    feature: dt.String = pa.Field(metadata=public, description="A feature's name, or intercept")
    value: dt.Float64 = pa.Field(
        metadata=internal, description="Standard deviations from the training mean; 1 for intercept"
    )
    coefficient: dt.Float64 = pa.Field(metadata=public, description="Log odds per standard deviation")
    contribution: dt.Float64 = pa.Field(
        metadata=internal, description="Coefficient times value; their sum is the margin"
    )

    class Config:
        strict = True
        unique = ["campaign_id", "household_id", "feature"]


@table(engine="python", owner="team:data-science")
def redemption_contributions(
    redemption_features: Table[RedemptionFeatures], run: Run
) -> Table[RedemptionContributions]:
    """Why each score is what it is; exact, for a logistic model's margin is a sum."""
    import numpy as np
    import pyarrow as arrow

    from pipeline_project.transform import redemption_model

    features = redemption_model.in_order(redemption_features.to_pyarrow())
    model = redemption_model.train(features, seed=run.seed)
    names = [*redemption_model.FEATURES, redemption_model.INTERCEPT]
    rows, width = features.num_rows, len(names)
    values = np.column_stack([model.values(features), np.ones(rows)])
    index = arrow.array(np.repeat(np.arange(rows), width))
    return arrow.table(
        {
            "campaign_id": features["campaign_id"].take(index),
            "household_id": features["household_id"].take(index),
            "feature": arrow.array(names * rows, arrow.string()),
            "value": values.ravel(),
            "coefficient": np.tile([*model.coefficients, model.intercept], rows),
            "contribution": model.contributions(features).ravel(),
        }
    )
