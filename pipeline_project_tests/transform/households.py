"""Made-up features of households, with a known reason to redeem."""

from __future__ import annotations

import datetime as dtm

import numpy as np
import pyarrow as pa

from pipeline_project.transform.redemption_model import FEATURES

CAMPAIGNS = ((8, "2017-05-08", "2017-06-25"), (13, "2017-08-08", "2017-09-24"), (18, "2017-10-30", "2017-12-24"))


def households(count: int) -> pa.Table:
    """`count` rows over three campaigns, the last of them for testing; who buys couponed products redeems."""
    random = np.random.default_rng(count)
    values = {name: random.gamma(2.0, 2.0, count) for name in FEATURES}
    values |= {name: random.uniform(0, 1, count) for name in ("promoted_share", "discount_share", "redeemed_share")}
    values["is_type_a"] = (random.uniform(0, 1, count) < 0.5).astype(np.float64)
    odds = 2.5 * (np.log1p(values["campaign_sales_per_week"]) - 2)
    chosen = [CAMPAIGNS[number % 3] for number in range(count)]
    return pa.table(
        {
            "campaign_id": pa.array([number for number, _, _ in chosen], pa.int64()),
            "household_id": pa.array(range(1, count + 1), pa.int64()),
            "start_date": pa.array([dtm.date.fromisoformat(start) for _, start, _ in chosen], pa.date32()),
            "end_date": pa.array([dtm.date.fromisoformat(end) for _, _, end in chosen], pa.date32()),
            "is_settled": pa.array([True] * count, pa.bool_()),
            "has_redeemed": pa.array(random.uniform(0, 1, count) < 1 / (1 + np.exp(-odds))),
            "history_days": pa.array([56] * count, pa.int64()),
            **values,
        }
    )
