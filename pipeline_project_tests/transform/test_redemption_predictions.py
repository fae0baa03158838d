"""Scores, contributions and metrics as tables: published with their checks, and stopped by them."""

from __future__ import annotations

import pytest

from assay.testing.bench import Bench, warned
from pipeline_project.transform.redemption_model import FEATURES
from pipeline_project_tests.transform.households import households

ROWS = 900


@pytest.fixture
def scored(bench: Bench) -> Bench:
    bench.given_arrow("redemption_features", households(ROWS))
    bench.build("redemption_contributions")
    return bench


def test_every_target_is_scored_and_explained(scored: Bench) -> None:
    assert scored.build("redemption_scores").rows == ROWS
    assert len(scored.rows("redemption_contributions")) == ROWS * (len(FEATURES) + 1)
    assert scored.rows("redemption_scores", "DISTINCT split") == [("test",), ("train",)]
    [(low, high, hashes)] = scored.rows(
        "redemption_scores", "min(probability)", "max(probability)", "count(DISTINCT model_hash)"
    )
    assert 0 < low < high < 1
    assert hashes == 1


def test_contributions_that_do_not_add_up_stop_the_scores(scored: Bench) -> None:
    scored.sql.execute(
        "UPDATE transform.redemption_contributions SET contribution = contribution + 1e-6 "
        "WHERE household_id = 5 AND feature = 'is_type_a'"
    )
    failed = scored.fails("redemption_scores")
    assert {name: check.failing for name, check in failed.items()} == {"contributions_add_up_to_the_margin": 1}


def test_a_missing_explanation_stops_the_scores(scored: Bench) -> None:
    scored.sql.execute("DELETE FROM transform.redemption_contributions WHERE household_id = 5")
    assert set(scored.fails("redemption_scores")) == {"contributions_add_up_to_the_margin"}


def test_metrics_compare_with_the_base_rate(scored: Bench) -> None:
    scored.build("redemption_scores")
    assert not warned(scored.build("redemption_model_metrics"))
    metrics = {
        (row[0], row[1]): row[2:]
        for row in scored.rows("redemption_model_metrics", "split, metric, * EXCLUDE (split, metric)")
    }
    rows, redeeming, value, low, high, baseline, _ = metrics["test", "auc"]
    assert rows == ROWS / 3
    assert 0 < redeeming < rows
    assert baseline == 0.5 < low < value < high


def test_a_model_no_better_than_the_base_rate_is_reported(scored: Bench) -> None:
    scored.build("redemption_scores")
    scored.sql.execute("UPDATE transform.redemption_scores SET has_redeemed = household_id % 2 = 0")
    assert warned(scored.build("redemption_model_metrics"))["the_model_beats_the_base_rate"] == 3


def test_tiny_tables_have_predictions_too(bench: Bench) -> None:
    bench.given_arrow("redemption_features", households(2))
    bench.build("redemption_contributions")
    bench.build("redemption_scores")
    assert bench.build("redemption_model_metrics").rows == 3
