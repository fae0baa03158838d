"""What the model reads has not moved away from what it learned on."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from pandera.typing.ibis import Table

from assay import invariant, metric
from pipeline_project.transform.redemption_features import RedemptionFeatures
from pipeline_project.transform.redemption_model import FEATURES, TEST_FROM
from pipeline_project.transform.redemption_model_metrics import RedemptionModelMetrics
from pipeline_project.transform.redemption_scores import RedemptionScores

CONTINUOUS = tuple(name for name in FEATURES if name != "is_type_a")
MOVED = 0.25
"""Above this population stability index a distribution is called another one (N. Siddiqi, Credit Risk Scorecards, 2006)."""
MOVED_BY_ITSELF = 0.6
"""The same of the share of earlier campaigns, of which a household has had the more the later in the year it is.

Untouched its index is 0.40 to 0.52, wherever the year is cut; where a join finds no earlier campaign it is 0.67. That it
is a hundred times as large cannot be seen (0.45): nine of ten learned values are 0, so that all others share two bins.
"""
BINS = 10
ENOUGH = 100
"""Households on either side without which shares of tenths say nothing."""


@invariant(severity="warn", names="feature")
def features_are_distributed_as_the_model_learned_them(redemption_features: Table[RedemptionFeatures]) -> ir.Table:
    """No feature of the campaigns the model is tested on has a population stability index above 0.25, or 0.6 where it grows by itself."""
    features = redemption_features
    rows = features.select(
        *CONTINUOUS, is_learned=features.end_date < TEST_FROM, is_new=features.start_date >= TEST_FROM
    ).pivot_longer(list(CONTINUOUS), names_to="feature", values_to="value")
    tenths = [step / BINS for step in range(1, BINS)]
    edges = rows.filter(rows.is_learned).group_by("feature").agg(edges=rows.value.quantile(tenths))
    placed = rows.join(edges, "feature")
    placed = placed.mutate(bin=placed.edges.filter(lambda edge: edge < placed.value).length())
    counts = placed.group_by("feature", "bin").agg(learned=placed.is_learned.sum(), new=placed.is_new.sum())
    window = ibis.window(group_by="feature")
    counts = counts.mutate(all_learned=counts.learned.sum().over(window), all_new=counts.new.sum().over(window))
    # Half a household more in each bin, so that an empty one has a logarithm.
    learned = (counts.learned + 0.5) / (counts.all_learned + BINS / 2)
    new = (counts.new + 0.5) / (counts.all_new + BINS / 2)
    enough = (counts.all_learned >= ENOUGH) & (counts.all_new >= ENOUGH)
    counts = counts.filter(enough).mutate(part=(new - learned) * (new / learned).ln())
    index = counts.group_by("feature").agg(population_stability_index=counts.part.sum())
    bound = (index.feature == "redeemed_share").ifelse(MOVED_BY_ITSELF, MOVED)
    return index.filter(index.population_stability_index > bound)


@metric(kind="share")
def test_auc(redemption_model_metrics: Table[RedemptionModelMetrics]) -> ir.Scalar:
    """How well the model ranks households of campaigns it has not seen: 0.5 is a coin."""
    found = redemption_model_metrics
    return found.filter((found.split == "test") & (found.metric == "auc")).value.max()


@metric()
def calibration(redemption_scores: Table[RedemptionScores]) -> ir.Scalar:
    """How many redemptions the model expects for each that comes, in campaigns it has not seen: 1 is right."""
    tested = redemption_scores.filter(redemption_scores.split == "test")
    return tested.probability.sum() / tested.has_redeemed.cast("float64").sum().nullif(0)
