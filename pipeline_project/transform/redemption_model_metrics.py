"""One row per split and metric: how good the model is, with an interval, against the base rate."""

from __future__ import annotations

from dataclasses import asdict

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import Run, public, table
from pipeline_project.transform.redemption_scores import RedemptionScores


class RedemptionModelMetrics(pa.DataFrameModel):
    split: dt.String = pa.Field(isin=["train", "test"], metadata=public, description="Learned from, or tested on")
    metric: dt.String = pa.Field(isin=["auc", "log_loss", "brier"], metadata=public, description="Its name")
    rows: dt.Int64 = pa.Field(gt=0, metadata=public, description="Predictions it is over")
    redeeming: dt.Int64 = pa.Field(ge=0, metadata=public, description="Households among them that redeemed")
    value: dt.Float64 = pa.Field(ge=0, nullable=True, metadata=public, description="AUC: higher is better; else lower")
    low: dt.Float64 = pa.Field(nullable=True, metadata=public, description="2.5% quantile over resampled households")
    high: dt.Float64 = pa.Field(nullable=True, metadata=public, description="97.5% quantile over resampled households")
    baseline: dt.Float64 = pa.Field(
        nullable=True, metadata=public, description="With the training base rate for everybody"
    )
    model_hash: dt.String = pa.Field(metadata=public, description="Which model")

    class Config:
        strict = True
        unique = ["split", "metric"]


@table(engine="python", owner="team:data-science")
def redemption_model_metrics(redemption_scores: Table[RedemptionScores], run: Run) -> Table[RedemptionModelMetrics]:
    """Quality on what the model learned from and, what counts, on the campaigns after; empty values where undefined."""
    import pyarrow as arrow

    from pipeline_project.transform.model_metrics import metrics
    from pipeline_project.transform.redemption_model import in_order

    scores = in_order(redemption_scores.to_pyarrow()).to_pandas()
    known = scores[scores["split"] == "train"]["has_redeemed"]
    base_rate = (known.sum() + 0.5) / (len(known) + 1)
    rows = []
    for split in ("train", "test"):
        chosen = scores[scores["split"] == split]
        if chosen.empty:
            continue
        label = chosen["has_redeemed"].to_numpy(dtype="float64")
        same = {"split": split, "rows": len(chosen), "redeeming": int(label.sum())}
        same["model_hash"] = chosen["model_hash"].iloc[0]
        probability, household = chosen["probability"].to_numpy(), chosen["household_id"].to_numpy()
        found = metrics(probability, label, household, base_rate=base_rate, seed=run.seed)
        rows += [same | asdict(metric) for metric in found]
    numbers = [(name, arrow.float64()) for name in ("value", "low", "high", "baseline")]
    counts = [("rows", arrow.int64()), ("redeeming", arrow.int64())]
    texts = [("split", arrow.string()), ("metric", arrow.string())]
    return arrow.Table.from_pylist(rows, arrow.schema([*texts, *counts, *numbers, ("model_hash", arrow.string())]))
