"""The tills' event log, written once from the real redemptions."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.errors import SourceError
from assay.sources import LogWriter

TOPIC = "redemptions"


def write_events(retail: Path, log: Path) -> Path:
    """The log's folder `log`, with the topic in it; written on first use, never a second time.

    It is written beside its place and moved there whole, so that a reader, or a run that is killed, never leaves
    half of it; of two runs that write it at once, one wins and both read the same.
    """
    if (log / TOPIC).exists():
        return log
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{log.name}_", dir=log.parent))
        try:
            with LogWriter(scratch, TOPIC) as writer:
                writer.append(events(retail / "coupon_redemptions.parquet"))
            log.mkdir(exist_ok=True)
            (scratch / TOPIC).rename(log / TOPIC)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        if not (log / TOPIC).exists():
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
