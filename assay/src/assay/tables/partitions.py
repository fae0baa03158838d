"""Daily partitions: which rows of a table belong to which day."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assay.errors import PipelineError, WiringError

if TYPE_CHECKING:
    from assay.tables.declare import Node


@dataclass(frozen=True)
class PartitionRange:
    """A closed range of days, `start` and `end` both included."""

    start: dtm.date
    end: dtm.date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise PipelineError(f"partition range {self} ends before it starts", fix="Write START..END.")

    @classmethod
    def parse(cls, text: str) -> PartitionRange:
        """Read `2017-03-01` or `2017-03-01..2017-03-07`; raises PipelineError naming the malformed part."""
        first, dots, last = text.partition("..")
        try:
            start = dtm.date.fromisoformat(first.strip())
            end = dtm.date.fromisoformat(last.strip()) if dots else start
        except ValueError:
            raise PipelineError(
                f"'{text}' is no partition", fix="Write a day, 2017-03-01, or a range, 2017-03-01..2017-03-07."
            ) from None
        return cls(start, end)

    def days(self) -> Iterator[dtm.date]:
        """Every day of the range, in order."""
        for offset in range((self.end - self.start).days + 1):
            yield self.start + dtm.timedelta(days=offset)

    def __str__(self) -> str:
        if self.start == self.end:
            return self.start.isoformat()
        return f"{self.start.isoformat()}..{self.end.isoformat()}"


@dataclass(frozen=True)
class Daily:
    """Partitions by day on a DATE column of the table.

    Args:
        column: the DATE column that says which partition a row belongs to.
        start: the first partition.
        end: the last partition, included; None means "up to yesterday".
        timezone: the IANA zone in which a day begins and ends, for schedules.
    """

    column: str
    start: dtm.date
    end: dtm.date | None = None
    timezone: str = "UTC"

    def whole(self, today: dtm.date) -> PartitionRange:
        """The range of all partitions known on `today`."""
        return PartitionRange(self.start, self.end or today - dtm.timedelta(days=1))


def daily(column: str, *, start: str, end: str | None = None, timezone: str = "UTC") -> Daily:
    """Daily partitions on `column`, from `start` to `end` (ISO dates, both included).

    Raises:
        WiringError: a date or the zone is malformed, or the end comes before the start.
    """
    where = f"daily('{column}')"
    try:
        first, last = dtm.date.fromisoformat(start), dtm.date.fromisoformat(end) if end else None
    except ValueError as error:
        raise WiringError(str(error), where=where, fix="Write dates as '2017-03-01'.") from None
    if last is not None and last < first:
        raise WiringError(f"ends on {last}, before it starts on {first}", where=where, fix="Swap start= and end=.")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WiringError(
            f"'{timezone}' is no time zone", where=where, fix="Use an IANA name such as 'America/New_York'."
        ) from None
    return Daily(column, first, last, timezone)


def check_days(days: PartitionRange, nodes: Iterable[Node], today: dtm.date) -> None:
    """Raise PipelineError where `days` are no partitions of a table among `nodes`, or none of these has any."""
    partitions = {node.name: partitions for node in nodes if (partitions := getattr(node, "partitions", None))}
    if not partitions:
        raise PipelineError(f"none of these tables is partitioned, so {days} is none of their partitions")
    for name, found in partitions.items():
        whole = found.whole(today)
        if days.start < whole.start or days.end > whole.end:
            raise PipelineError(f"{days} is outside the partitions of '{name}'", fix=f"Name days of {whole}.")
