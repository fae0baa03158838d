"""Metrics agree with scikit-learn's, and their intervals with what they are of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline_project.transform import model_metrics

CASES = st.lists(
    # Few distinct probabilities, so that many tie; and few distinct weights, some of them zero.
    st.tuples(st.sampled_from([0.01, 0.2, 0.5, 0.5000001, 0.9]), st.booleans(), st.integers(0, 3)),
    min_size=2,
    max_size=30,
)


@given(CASES)
@settings(max_examples=40, deadline=None)
def test_they_agree_with_scikit_learn(cases: list[tuple[float, bool, int]]) -> None:
    # Not at the top, where each process that collects tests would wait for it.
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    probability, label, weight = (np.array(column, dtype=np.float64) for column in zip(*cases))
    assume(len(set(label[weight > 0])) == 2)
    ours = [
        function(probability, label, weight[None, :])[0]
        for function in (model_metrics.auc, model_metrics.log_loss, model_metrics.brier)
    ]
    theirs = [
        roc_auc_score(label, probability, sample_weight=weight),
        log_loss(label, probability, sample_weight=weight),
        brier_score_loss(label, probability, sample_weight=weight),
    ]
    assert ours == pytest.approx(theirs)


def sample(count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    probability = random.uniform(0, 1, count)
    label = (random.uniform(0, 1, count) < probability).astype(np.float64)
    return probability, label, np.arange(count) // 2


def test_intervals_hold_the_value_and_shrink_with_more_rows() -> None:
    widths = []
    for count in (100, 4000):
        found = model_metrics.metrics(*sample(count), base_rate=0.5, seed=1)
        assert [metric.metric for metric in found] == ["auc", "log_loss", "brier"]
        for metric in found:
            assert metric.low is not None
            assert metric.value is not None
            assert metric.high is not None
            assert metric.low < metric.value < metric.high
        widths.append([(metric.high or 0) - (metric.low or 0) for metric in found])
    assert all(small > large * 2 for small, large in zip(*widths))


def test_the_seed_decides_the_interval_and_only_that() -> None:
    first, again, other = (model_metrics.metrics(*sample(), base_rate=0.5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [metric.value for metric in first] == [metric.value for metric in other]


def test_baselines_are_those_of_the_base_rate() -> None:
    found = {metric.metric: metric.baseline for metric in model_metrics.metrics(*sample(), base_rate=0.5, seed=1)}
    assert found == {"auc": 0.5, "log_loss": pytest.approx(np.log(2)), "brier": 0.25}


def test_with_one_class_there_is_no_auc() -> None:
    probability, label, group = sample()
    found = model_metrics.metrics(probability, label * 0, group, base_rate=0.5, seed=1)
    assert (found[0].value, found[0].low, found[0].baseline) == (None, None, None)
    assert found[1].value is not None
