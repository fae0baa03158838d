"""The model's answers explain themselves, repeat themselves, and are worth having."""

from __future__ import annotations

import ibis.expr.types as ir
from pandera.typing.ibis import Table

from assay import invariant
from pipeline_project.transform.redemption_contributions import RedemptionContributions
from pipeline_project.transform.redemption_features import RedemptionFeatures
from pipeline_project.transform.redemption_model_metrics import RedemptionModelMetrics
from pipeline_project.transform.redemption_scores import RedemptionScores

TOLERANCE = 1e-9


@invariant()
def contributions_add_up_to_the_margin(
    redemption_scores: Table[RedemptionScores], redemption_contributions: Table[RedemptionContributions]
) -> ir.Table:
    """Each score's contributions, the intercept's among them, add up to its margin within 1e-9."""
    keys = ["campaign_id", "household_id"]
    totals = redemption_contributions.group_by(keys).agg(total=redemption_contributions.contribution.sum())
    joined = redemption_scores.select(*keys, "margin").left_join(totals, keys)
    explained = ((joined.margin - joined.total).abs() <= TOLERANCE).fill_null(False)
    return joined.filter(~explained).select(*keys, "margin", "total")


@invariant()
def the_same_rows_train_the_same_model(
    redemption_scores: Table[RedemptionScores], redemption_features: Table[RedemptionFeatures]
) -> ir.Table:
    """Trained again on the same rows in another order and with another seed, the model and its scores are the same."""
    from pipeline_project.transform.redemption_model import train

    features = redemption_features.order_by("household_id", redemption_features.campaign_id.desc()).to_pyarrow()
    return redemption_scores.filter(redemption_scores.model_hash != train(features, seed=0).hash)


@invariant(severity="warn")
def the_model_beats_the_base_rate(redemption_model_metrics: Table[RedemptionModelMetrics]) -> ir.Table:
    """On campaigns it has not seen, even the worse end of each interval is better than the base rate."""
    metrics = redemption_model_metrics
    better = (metrics.metric == "auc").ifelse(metrics.low > metrics.baseline, metrics.high < metrics.baseline)
    return metrics.filter((metrics.split == "test") & ~better.fill_null(False))
