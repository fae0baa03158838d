"""How a table is brought up to date: whole each time, or only by what is new since the watermark."""

from __future__ import annotations

import datetime as dtm
from dataclasses import dataclass

from assay.errors import WiringError

CLOCKS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
"""Types of cursors that tell a time."""
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
"""Types of cursors that count."""


@dataclass(frozen=True)
class Incremental:
    """Each build takes the rows whose `cursor` is at or above the watermark, and adds or merges them.

    The watermark is the largest cursor that was published, written down in the transaction that published it. Rows
    equal to it are read again: what is there already counts as unchanged. The first build, one after the table's
    code changed, and one with `--full` take all rows.

    Args:
        cursor: a column of the contract, never null, that grows with every change of a row: a time or a number.
        merge: whether a row replaces the published one of the same key; else rows are added and none is ever changed.
        lookback: how far below the watermark to read again, for rows that come late: a `timedelta` where the cursor
            is a time, else a number.
        deleted: a BOOLEAN column of the function's rows that is true for a key that is gone; it may be left out of
            the contract.
        keys: an input whose rows have all keys there are; published rows of other keys are deleted.
    """

    cursor: str
    merge: bool = True
    lookback: dtm.timedelta | int | None = None
    deleted: str | None = None
    keys: str | None = None

    def __post_init__(self) -> None:
        if not self.merge and (self.deleted or self.keys):
            raise WiringError(f"{self} deletes rows, but only adds them", fix="Take merge=True, or neither of them.")
        back = self.lookback
        span = back.total_seconds() if isinstance(back, dtm.timedelta) else back
        if isinstance(back, bool) or (span is not None and span < 0):
            raise WiringError(f"lookback={back!r} does not look back", fix="Give a positive timedelta or number.")
