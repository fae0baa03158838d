"""Metrics of predicted probabilities, each with a bootstrap interval and a baseline.

Resampled are households, not rows: one household is in several campaigns, and its rows resemble each other.
A resample is a weight per row, so all resamples of a metric are one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 400
_SMALLEST = 1e-15

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric with its 95% interval, and what the base rate for everybody would reach; None where undefined."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None


def metrics(
    probability: Floats, label: Floats, group: npt.NDArray[np.int64], *, base_rate: float, seed: int
) -> list[Metric]:
    """AUC, log loss and Brier score (both lower is better). AUC is undefined where there is only one class."""
    weights = np.vstack([np.ones(len(label)), _resamples(group, seed)])
    constant = np.full(len(label), base_rate)
    found = []
    for name, function in (("auc", auc), ("log_loss", log_loss), ("brier", brier)):
        values = function(probability, label, weights)
        baseline = function(constant, label, weights[:1])[0]
        known = values[1:][~np.isnan(values[1:])]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
        found.append(Metric(name, *(_known(number) for number in (values[0], low, high, baseline))))
    return found


def auc(probability: Floats, label: Floats, weights: Floats) -> Floats:
    """Chance that a redeeming household is ranked above one that is not; ties count half. One value per weight row."""
    _, tie = np.unique(probability, return_inverse=True)
    order = np.argsort(tie, kind="stable")
    starts = np.flatnonzero(np.diff(tie[order], prepend=-1))
    positive = np.add.reduceat((weights * label)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * (1 - label))[:, order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(positive * (below + negative / 2), axis=1) / pairs


def log_loss(probability: Floats, label: Floats, weights: Floats) -> Floats:
    """Mean negative log likelihood."""
    clipped = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    return _mean(-(label * np.log(clipped) + (1 - label) * np.log1p(-clipped)), weights)


def brier(probability: Floats, label: Floats, weights: Floats) -> Floats:
    """Mean squared difference of probability and outcome."""
    return _mean((probability - label) ** 2, weights)


def _mean(loss: Floats, weights: Floats) -> Floats:
    # Not a matrix product: linear algebra libraries add in an order that depends on the number of threads.
    with np.errstate(invalid="ignore"):
        return (weights * loss).sum(axis=1) / weights.sum(axis=1)


def _resamples(group: npt.NDArray[np.int64], seed: int) -> Floats:
    names, member = np.unique(group, return_inverse=True)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    return drawn[:, member].astype(np.float64)


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
