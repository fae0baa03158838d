"""The tills' event log, written once from the real redemptions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.errors import SourceError
from assay.sources.strict_json import encode

TOPIC = "redemptions"


def write_events(retail: Path, log: Path) -> Path:
    """The log's folder `log`, with the topic in it; written on first use, never a second time.

    It is written beside its place and moved there whole, so that a reader, or a run that is killed, never leaves
    half of it; of two runs that write it at once, one wins and both read the same.
    """
    topic = log / f"{TOPIC}.ndjson"
    if topic.exists():
        return log
    try:
        log.mkdir(parents=True, exist_ok=True)
        scratch = log / f".{uuid.uuid4().hex}"
        try:
            with scratch.open("w", encoding="utf-8") as file:
                file.writelines(f"{encode(event)}\n" for event in events(retail / "coupon_redemptions.parquet"))
            scratch.rename(topic)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise SourceError(
            f"the example's event log cannot be written ({error.strerror})",
            where=str(log),
            fix="Set PIPELINE_OUTPUT to a folder that can be written.",
        ) from None
    return log


def events(redemptions: Path) -> Iterator[dict[str, Any]]:
    """One event per redemption, in the file's order, which is that of their days."""
    import pyarrow.parquet as pq

    for number, row in enumerate(pq.read_table(redemptions).to_pylist(), start=1):
        yield {
            "event_id": f"redemption-{number:06d}",
            "household_id": row["household_id"],
            "coupon_upc": row["coupon_upc"],
            "campaign_id": row["campaign_id"],
            "redemption_date": row["redemption_date"].date().isoformat(),
        }
