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


def train(features: pa.Table, *, seed: int) -> RedemptionModel:
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
    return _fit(x, y, seed)


def _fit(x: Floats, y: npt.NDArray[np.int64], seed: int) -> RedemptionModel:
    # Imported late: scikit-learn takes two seconds that only the model's tables need.
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    # One thread: linear algebra on several adds in an order that depends on how many there are.
    with threadpool_limits(limits=1):
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000, random_state=seed).fit(scaler.transform(x), y)
    return RedemptionModel(
        mean=scaler.mean_, scale=scaler.scale_, coefficients=model.coef_[0], intercept=float(model.intercept_[0])
    )


def _matrix(features: pa.Table) -> Floats:
    columns = {name: features[name].to_numpy() for name in FEATURES}
    logged = [np.log1p(column) if name in LOGGED else column for name, column in columns.items()]
    return np.column_stack(logged).astype(np.float64)
