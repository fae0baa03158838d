"""The model: will a household redeem a coupon of a campaign? Logistic regression on standardized features.

Plain functions over Arrow tables, without tables or a warehouse, so that training twice is one call twice.

Out of time: the model learns from campaigns that ended before `TEST_FROM` and is tested on those that started
on it or later. Campaigns that straddle the day, those older than the data, and those that run on after the data ends
(who has not redeemed yet still may) are scored but used for neither.
"""

from __future__ import annotations

import datetime as dtm
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

TEST_FROM = dtm.date(2017, 10, 1)
FEATURES = (
    "baskets_per_week",
    "sales_per_week",
    "campaign_sales_per_week",
    "coupon_lines_per_week",
    "promoted_share",
    "discount_share",
    "days_since_purchase",
    "redeemed_share",
    "is_type_a",
)
LOGGED = (
    "baskets_per_week",
    "sales_per_week",
    "campaign_sales_per_week",
    "coupon_lines_per_week",
    "days_since_purchase",
)
"""Features with a long tail enter as log(1 + x): ten dollars more mean less to who spends hundreds."""
INTERCEPT = "intercept"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RedemptionModel:
    """What was learned. The margin is `intercept + sum(coefficient * value)`, a log odds.

    Attributes:
        mean, scale: of each (logged) feature in the training rows; its value is `(feature - mean) / scale`.
        coefficients: per standard deviation of the feature, so their sizes compare.
    """

    mean: Floats
    scale: Floats
    coefficients: Floats
    intercept: float

    @property
    def hash(self) -> str:
        """Changes when the model does; nine digits, for the last bits differ between kinds of processors."""
        numbers = [*self.mean, *self.scale, *self.coefficients, self.intercept]
        text = " ".join([*FEATURES, *(f"{number:.9g}" for number in numbers)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def values(self, features: pa.Table) -> Floats:
        """Standardized features, rows x features."""
        return (_matrix(features) - self.mean) / self.scale

    def contributions(self, features: pa.Table) -> Floats:
        """What each feature adds to the margin, rows x (features + intercept)."""
        values = self.values(features) * self.coefficients
        return np.column_stack([values, np.full(len(values), self.intercept)])

    def margin(self, features: pa.Table) -> Floats:
        """Log odds, one per row: exactly the sum of the contributions, always added in the same order."""
        total: Floats = np.zeros(features.num_rows)
        for column in self.contributions(features).T:
            total = total + column
        return total


def probability(margin: Floats) -> Floats:
    """The logistic function, without overflow on either side."""
    small = np.exp(-np.abs(margin))
    return np.where(margin >= 0, 1 / (1 + small), small / (1 + small))


def split_of(features: pa.Table) -> list[str]:
    """`train`, `test` or `unused`, row by row."""
    columns = features.select(["start_date", "end_date", "history_days", "is_settled"]).to_pydict()
    return [_split(*row) for row in zip(*columns.values())]


def _split(start: dtm.date, end: dtm.date, history: int, is_settled: bool) -> str:
    if not is_settled:
        return "unused"
    return "test" if start >= TEST_FROM else "train" if end < TEST_FROM and history > 0 else "unused"


def in_order(features: pa.Table) -> pa.Table:
    """The rows in the one order in which they are added up, whatever order they were read in."""
    return features.sort_by([("campaign_id", "ascending"), ("household_id", "ascending")])


def train(features: pa.Table) -> RedemptionModel:
    """Fit on the training rows; the same rows in any order, on any number of threads, give the same model.

    With fewer than two classes to learn from (tiny golden cases) the model is the smoothed base rate alone.
    """
    features = in_order(features)
    chosen = np.array([split == "train" for split in split_of(features)], dtype=bool)
    known = features.filter(chosen)
    x, y = _matrix(known), known["has_redeemed"].to_numpy().astype(np.int64)
    if len(np.unique(y)) < 2:
        zeros, odds = np.zeros(len(FEATURES)), (y.sum() + 0.5) / (len(y) - y.sum() + 0.5)
        return RedemptionModel(zeros, np.ones(len(FEATURES)), zeros, float(np.log(odds)))
    return _fit(x, y)


def _fit(x: Floats, y: npt.NDArray[np.int64]) -> RedemptionModel:
    """The most likely coefficients, less half the sum of their squares (the intercept's apart), by Newton's method.

    See Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 4.4.1. It is what scikit-learn's
    `StandardScaler` and `LogisticRegression(C=1)` find, which take a second and a half to import.
    """
    mean, scale = x.mean(axis=0), np.where(np.ptp(x, axis=0) > 0, x.std(axis=0), 1.0)
    rows = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    penalty = np.array([1.0] * x.shape[1] + [0.0])
    found = np.zeros(len(penalty))

    # Sums are NumPy's own: linear algebra on several threads adds in an order that depends on how many there are.
    def cost(at: Floats) -> float:
        margin = (rows * at).sum(axis=1)
        return float((np.logaddexp(0, margin) - y * margin).sum() + (penalty * at**2).sum() / 2)

    for _ in range(100):
        p = probability((rows * found).sum(axis=1))
        gradient = (rows * (p - y)[:, None]).sum(axis=0) + penalty * found
        step = np.linalg.solve(np.einsum("ni,n,nj->ij", rows, p * (1 - p), rows) + np.diag(penalty), gradient)
        while cost(found - step) > cost(found) * (1 + 1e-12):  # too far
            step = step / 2
        found = found - step
        if np.abs(step).max() < 1e-9:  # the next would be about its square
            return RedemptionModel(mean=mean, scale=scale, coefficients=found[:-1], intercept=float(found[-1]))
    raise ArithmeticError("the model does not settle on coefficients")


def _matrix(features: pa.Table) -> Floats:
    columns = {name: features[name].to_numpy() for name in FEATURES}
    logged = [np.log1p(column) if name in LOGGED else column for name, column in columns.items()]
    return np.column_stack(logged).astype(np.float64)
