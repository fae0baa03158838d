"""How a table is brought up to date: whole each time, or only by what is new since the watermark."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import WiringError

if TYPE_CHECKING:
    import ibis.expr.types as ir

CLOCKS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
"""Types of cursors that tell a time."""
NUMBERS = {"TINYINT": -(1 << 7), "SMALLINT": -(1 << 15), "INTEGER": -(1 << 31), "BIGINT": -(1 << 63)}
NUMBERS |= dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"), 0)
"""Types of cursors that count, and the least that each can be."""


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


@dataclass(frozen=True)
class History:
    """Every version of a row, with the time from which and to which it held (a slowly changing dimension of type 2).

    The contract has the columns `valid_from` and `valid_to`, both TIMESTAMP or both TIMESTAMPTZ, the second nullable: a
    version that still holds has none. Its key is that of the rows and `valid_from`. The function returns the rows as they
    are now, without these two. A key that is new opens a version; one whose compared columns changed closes its version
    and opens another; one that is gone closes its version. A history goes on whatever changes: `--full` and changed code
    do not begin it anew.

    Args:
        valid_from, valid_to: the columns' names; a version holds from the first on, and not at the second any more.
        compare: the columns whose change makes a version; None for all. What is not compared stays as it was then.
        at: a column of the function's rows that tells since when a row is as it is; None for the run's moment.
        complete: whether the function's rows are all there are, so that a missing key is gone.
    """

    valid_from: str = "valid_from"
    valid_to: str = "valid_to"
    compare: Sequence[str] = ()
    at: str | None = None
    complete: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.compare, str):
            raise WiringError(f"{self}: columns are given as a tuple", fix=f"Write compare=('{self.compare}',).")

    def names(self, key: Sequence[str]) -> tuple[str, ...]:
        """The key of the rows, of which a version is one."""
        return tuple(name for name in key if name != self.valid_from)


def as_of(history: ir.Table, at: object, *, valid_from: str = "valid_from", valid_to: str = "valid_to") -> ir.Table:
    """The versions of a history table that held at a moment: at most one of each key.

    Args:
        at: a datetime, or an Ibis value such as a column of a table that `history` was joined with.
    """
    start, end = history[valid_from], history[valid_to]
    return history.filter((start <= at) & (end.isnull() | (end > at)))
