"""A model that goes wrong is noticed by its inputs and by its own numbers over time."""

from __future__ import annotations

import dataclasses
import datetime as dtm

import pyarrow as pa
import pytest

from assay.testing.bench import NOW, Bench, warned
from pipeline_project.checks.drift import CONTINUOUS
from pipeline_project.checks.drift import features_are_distributed_as_the_model_learned_them as drift
from pipeline_project.transform.redemption_model import TEST_FROM
from pipeline_project_tests.transform.households import households

ROWS = 900


def drifted(bench: Bench, rows: pa.Table) -> list[str]:
    """The features that the invariant names."""
    bench.given_arrow("redemption_features", rows)
    found = drift.function(bench.session.read(bench.graph.tables["redemption_features"]))
    return sorted(found.to_pyarrow().column("feature").to_pylist())


@pytest.mark.parametrize("feature", CONTINUOUS)
def test_a_feature_a_hundred_times_as_large_is_named(bench: Bench, feature: str) -> None:
    rows = households(ROWS)
    moved = [
        value * 100 if start >= TEST_FROM else value
        for value, start in zip(rows[feature].to_pylist(), rows["start_date"].to_pylist(), strict=True)
    ]
    assert drifted(bench, rows.set_column(rows.column_names.index(feature), feature, pa.array(moved))) == [feature]


def test_untouched_features_are_no_finding_nor_are_few(bench: Bench) -> None:
    assert drifted(bench, households(ROWS)) == []
    assert drifted(bench, households(90)) == [], "thirty households say nothing about tenths"


@pytest.mark.parametrize(("redeemed", "named"), [(0.34, []), (0.0, ["redeemed_share"])])
def test_a_share_that_grows_by_itself_is_named_only_when_it_is_lost(
    bench: Bench, redeemed: float, named: list[str]
) -> None:
    """As in the example's year: of the learned households a ninth has redeemed before, of 2,400 new ones a third."""
    rows = households(8 * ROWS)
    shares = [
        (number % 5 + 1) / 5 if number % 100 < 100 * (redeemed if start >= TEST_FROM else 0.11) else 0.0
        for number, start in enumerate(rows["start_date"].to_pylist())
    ]
    place = rows.column_names.index("redeemed_share")
    assert drifted(bench, rows.set_column(place, "redeemed_share", pa.array(shares))) == named


@pytest.mark.slow
def test_flipped_labels_turn_the_base_rate_and_the_metrics_red(bench: Bench) -> None:
    bench.given_arrow("redemption_features", households(ROWS))
    bench.build("redemption_contributions")
    for week in range(5):
        bench.run = dataclasses.replace(bench.run, now=NOW + dtm.timedelta(days=7 * week))
        for name in ("redemption_scores", "redemption_model_metrics"):
            assert "usual" not in warned(bench.build(name))
    bench.sql.execute("UPDATE transform.redemption_scores SET has_redeemed = NOT has_redeemed WHERE split = 'test'")
    bench.run = dataclasses.replace(bench.run, now=NOW + dtm.timedelta(days=35))
    published = bench.build("redemption_model_metrics")
    assert {"the_model_beats_the_base_rate", "usual"} <= set(warned(published))
    said = next(check.summary for check in published.checks if check.name == "usual")
    assert said.startswith("test_auc ")
    assert " on a Tuesday" in said
