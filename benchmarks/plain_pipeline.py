"""Runs plain_pipeline.sql: fetches the same sources, and does the model step in the same Python.

python -m benchmarks.plain_pipeline DATABASE RETAIL_FOLDER SERVER_ADDRESS EVENT_LOG RATES_ZIP
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

SQL = Path(__file__).with_suffix(".sql")
MODEL_STEP = "\n-- python: model\n"
SEED = 20180511
"""The seed of `framework.run.Run`, so that both compute the same numbers."""


def main(database: str, retail: str, server: str, events: str, rates: str) -> None:
    """Build every table of the example in a new database file."""
    before, after = SQL.read_text().split(MODEL_STEP)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(database) as connection:
        landing = Path(folder)
        fetch(server, landing)
        with zipfile.ZipFile(rates) as archive:
            archive.extract("eurofxref-hist.csv", landing)
        shutil.copyfile(Path(events) / "redemptions.ndjson", landing / "redemptions.ndjson")
        connection.execute("SET VARIABLE retail = ?", [retail])
        connection.execute("SET VARIABLE landing = ?", [str(landing)])
        connection.execute(before)
        model(connection)
        connection.execute(after)


def fetch(server: str, landing: Path) -> None:
    """The page and every page of the API, as they came."""
    (landing / "campaigns.html").write_bytes(get(f"{server}/site/campaigns.html"))
    for resource, size in (("campaigns", 1000), ("coupons", 10_000)):
        following, number = f"/api/{resource}?page=1&per_page={size}", 0
        while following:
            content = get(server + following)
            (landing / f"{resource}_{number:04d}.json").write_bytes(content)
            following, number = json.loads(content)["next"], number + 1


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        content: bytes = answer.read()
        return content


def model(connection: duckdb.DuckDBPyConnection) -> None:
    """Scores, contributions and metrics, and the check that training again gives the same model."""
    import numpy as np
    import pyarrow as pa

    from pipeline_project.transform import redemption_model as rm

    features = rm.in_order(connection.execute("FROM transform.redemption_features").to_arrow_table())
    trained = rm.train(features, seed=SEED)
    margin = trained.margin(features)
    shuffled = features.sort_by([("household_id", "ascending"), ("campaign_id", "descending")])
    if rm.train(shuffled, seed=0).hash != trained.hash:
        raise SystemExit("the same rows in another order train another model")
    scores = pa.table(
        {
            "campaign_id": features["campaign_id"],
            "household_id": features["household_id"],
            "split": pa.array(rm.split_of(features), pa.string()),
            "has_redeemed": features["has_redeemed"],
            "probability": rm.probability(margin),
            "margin": margin,
            "model_hash": pa.array([trained.hash] * features.num_rows, pa.string()),
        }
    )
    names = [*rm.FEATURES, rm.INTERCEPT]
    rows, width = features.num_rows, len(names)
    index = pa.array(np.repeat(np.arange(rows), width))
    contributions = pa.table(
        {
            "campaign_id": features["campaign_id"].take(index),
            "household_id": features["household_id"].take(index),
            "feature": pa.array(names * rows, pa.string()),
            "value": np.column_stack([trained.values(features), np.ones(rows)]).ravel(),
            "coefficient": np.tile([*trained.coefficients, trained.intercept], rows),
            "contribution": trained.contributions(features).ravel(),
        }
    )
    found = {
        "redemption_scores": scores,
        "redemption_contributions": contributions,
        "redemption_model_metrics": model_metrics(scores),
    }
    for name, table in found.items():
        connection.register("computed", table)
        connection.execute(f"CREATE TABLE transform.{name} AS FROM computed")
        connection.unregister("computed")


def model_metrics(scores: pa.Table) -> pa.Table:
    """Quality on the training and the test rows, against the base rate of the training rows."""
    from dataclasses import asdict

    import numpy as np
    import pyarrow as pa

    from pipeline_project.transform.model_metrics import metrics

    split = np.array(scores["split"].to_pylist())
    label = scores["has_redeemed"].to_numpy().astype(np.float64)
    known = label[split == "train"]
    base_rate = (known.sum() + 0.5) / (len(known) + 1)
    rows = []
    for name in ("train", "test"):
        chosen = split == name
        probability, household = scores["probability"].to_numpy()[chosen], scores["household_id"].to_numpy()[chosen]
        same = {"split": name, "rows": int(chosen.sum()), "redeeming": int(label[chosen].sum())}
        same["model_hash"] = scores["model_hash"][0].as_py()
        found = metrics(probability, label[chosen], household, base_rate=base_rate, seed=SEED)
        rows += [same | asdict(metric) for metric in found]
    order = ["split", "metric", "rows", "redeeming", "value", "low", "high", "baseline", "model_hash"]
    return pa.Table.from_pylist(rows).select(order)


if __name__ == "__main__":
    main(*sys.argv[1:])
