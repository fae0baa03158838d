"""Partitions: which rows of a table belong to which hour, day, week, month or named part, and which are complete.

Everything that depends on a unit stands here, once: a partition's key, its rows in SQL, the newest complete one.
A range of time is one of the wall clock, and every table takes its own partitions of it in its own zone and unit.
"""

from __future__ import annotations

import datetime as dtm
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assay.errors import PipelineError, WiringError
from assay.sql import literal, quoted

Unit = Literal["hour", "day", "week", "month", "static"]
HOUR, DAY = dtm.timedelta(hours=1), dtm.timedelta(days=1)
EARLIEST = dtm.datetime(1, 1, 1)  # noqa: DTZ001 - every moment here is one of the wall clock
HOUR_KEY = "%Y-%m-%d-%H:%M"
"""How Dagster writes an hour; the other units are written as their first day."""
WRITTEN = "Write a day, 2017-03-01, a range, 2017-03-01..2017-03-07, an hour, 2017-03-01-05:00, or a table's key."
NAME = re.compile(r"(?!\d{4})(?!.*\.\.)[^,\s](?:[^,\x00-\x1f]*[^,\s])?")
"""A static key: nothing that could be read as a day, a range or two keys."""


class Named(Protocol):
    """A node: a table may have `partitions`, others have none."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class PartitionRange:
    """Partitions that somebody asks for, or one table's own: a span of the wall clock, or static keys.

    Attributes:
        start, stop: the first moment and the first one after the last; naive, in each table's own zone.
        names: static keys; `start` and `stop` mean nothing then.
    """

    start: dtm.datetime = EARLIEST
    stop: dtm.datetime = EARLIEST
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> PartitionRange:
        """Read `2017-03-01`, `2017-03-01..2017-03-07`, `2017-03-01-05:00` (an hour) or `north,south` (static keys).

        Raises:
            PipelineError: it is none of these, or ends before it starts.
        """
        first, dots, last = text.partition("..")
        try:
            start, _ = _moments(first.strip())
            begun, stop = _moments((last if dots else first).strip())
        except (ValueError, OverflowError):
            names = tuple(name.strip() for name in text.split(","))
            if all(NAME.fullmatch(name) for name in names):
                return cls(names=names)
            raise PipelineError(f"'{text}' is no partition", fix=WRITTEN) from None
        if begun < start:
            raise PipelineError(f"partition range {text} ends before it starts", fix="Write START..END.")
        return cls(start, stop)

    def __str__(self) -> str:
        if self.names:
            return ",".join(self.names)
        if self.start == _midnight(self.start) and self.stop == _midnight(self.stop):
            first, last = self.start.date().isoformat(), (self.stop - DAY).date().isoformat()
        else:
            first, last = self.start.strftime(HOUR_KEY), (self.stop - HOUR).strftime(HOUR_KEY)
        return first if first == last else f"{first}..{last}"


@dataclass(frozen=True)
class Partitions:
    """How a table is partitioned. Made by `hourly`, `daily`, `weekly`, `monthly` and `static`.

    Args:
        column: says which partition a row belongs to: a DATE; for hours a TIMESTAMP WITH TIME ZONE, for static keys
            a text.
        start: the first moment of the first partition, naive, in `timezone`. A week begins on its weekday.
        stop: the moment after the last partition; None means "up to the newest complete one".
        timezone: the IANA zone in which a partition begins and ends; hours are those of UTC.
        names: the static keys, in order.
    """

    column: str
    unit: Unit
    start: dtm.datetime = EARLIEST
    stop: dtm.datetime | None = None
    timezone: str = "UTC"
    names: tuple[str, ...] = ()

    def whole(self, now: dtm.datetime) -> PartitionRange | None:
        """All partitions that are complete at the aware instant `now`; None where not even the first is."""
        if self.unit == "static":
            return PartitionRange(names=self.names)
        stop = self._floor(now.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None))
        stop = min(stop, self.stop or stop)
        return PartitionRange(self.start, stop) if stop > self.start else None

    def current(self, now: dtm.datetime) -> PartitionRange | None:
        """The partition that is not over yet at the aware instant `now`; None where that is none of the table's."""
        if self.unit == "static":
            return None
        first = self._floor(now.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None))
        inside = first >= self.start and (self.stop is None or first < self.stop)
        return PartitionRange(first, self._next(first)) if inside else None

    def newest(self, now: dtm.datetime, *, lookback: int = 0) -> PartitionRange | None:
        """The newest complete partition at `now` and the `lookback` ones before it; None where none is complete."""
        whole = self.whole(now)
        if whole is None or self.unit == "static":
            return whole
        start = whole.stop
        for _ in range(lookback + 1):
            start = max(self._floor(start - HOUR), self.start)
        return PartitionRange(start, whole.stop)

    def clip(self, asked: PartitionRange, now: dtm.datetime) -> PartitionRange | None:
        """The table's own complete partitions that `asked` touches; None where there are none.

        Time says nothing about static keys, nor they about time: then it is all of the table's.
        """
        whole = self.whole(now)
        if whole is None or bool(asked.names) != bool(self.names):
            return whole
        if self.names:
            names = tuple(name for name in self.names if name in asked.names)
            return PartitionRange(names=names) if names else None
        # Clipped first: at either end of the calendar there is no first moment of a week, and no next month.
        start, stop = (min(max(moment, whole.start), whole.stop) for moment in (asked.start, asked.stop))
        start, stop = self._floor(start), self._ceiling(stop)
        return PartitionRange(start, stop) if start < stop else None

    def between(self, first: str, last: str) -> PartitionRange:
        """The range from key `first` to key `last`, both included."""
        if self.names:
            return PartitionRange(names=self.names[self.names.index(first) : self.names.index(last) + 1])
        found = PartitionRange.parse(f"{first}..{last}")
        return PartitionRange(self._floor(found.start), self._ceiling(found.stop))

    def keys(self, of: PartitionRange) -> list[str]:
        """The keys of the partitions in `of`, a range of this table's own, in order: Dagster's."""
        if self.names:
            return list(of.names)
        found, moment = [], of.start
        while moment < of.stop:
            found.append(moment.strftime(HOUR_KEY) if self.unit == "hour" else moment.date().isoformat())
            moment = self._next(moment)
        return found

    def key_sql(self, column: str | None = None) -> str:
        """SQL of a row's key as text; NULL where the column is. The session's time zone makes no difference."""
        column = column or quoted(self.column)
        if self.unit == "static":
            return f"CAST({column} AS VARCHAR)"
        if self.unit == "hour":
            return f"strftime(date_trunc('hour', make_timestamp(epoch_us({column}))), '{HOUR_KEY}')"
        if self.unit == "week":
            first = f"DATE '{self.start.date()}'"
            column = f"{first} + 7 * CAST(floor(date_diff('day', {first}, {column}) / 7) AS INTEGER)"
        elif self.unit == "month":
            column = f"date_trunc('month', {column})"
        return f"strftime({column}, '%Y-%m-%d')"

    def within(self, of: PartitionRange, column: str | None = None) -> str:
        """SQL that says whether a row belongs to `of`, a range of this table's own; NULL where the column is."""
        column = column or quoted(self.column)
        if self.names:
            return f"{column} IN ({', '.join(literal(name) for name in of.names)})"
        kind, suffix = ("TIMESTAMPTZ", "+00") if self.unit == "hour" else ("DATE", "")
        start, stop = ((moment if suffix else moment.date()) for moment in (of.start, of.stop))
        return f"({column} >= {kind} '{start}{suffix}' AND {column} < {kind} '{stop}{suffix}')"

    @property
    def noun(self) -> str:
        """What one partition is called."""
        return "partition" if self.unit == "static" else self.unit

    @property
    def sql_type(self) -> str:
        """The type that the partition column has."""
        return {"hour": "TIMESTAMP WITH TIME ZONE", "static": "VARCHAR"}.get(self.unit, "DATE")

    def _floor(self, moment: dtm.datetime) -> dtm.datetime:
        """The first moment of the partition that `moment` is in."""
        if self.unit == "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        day = _midnight(moment)
        if self.unit == "week":
            return day - (day - self.start) % (7 * DAY)
        return day.replace(day=1) if self.unit == "month" else day

    def _next(self, first: dtm.datetime) -> dtm.datetime:
        if self.unit == "month":
            return (first + 31 * DAY).replace(day=1)
        return first + {"hour": HOUR, "day": DAY, "week": 7 * DAY}[self.unit]

    def _ceiling(self, moment: dtm.datetime) -> dtm.datetime:
        floor = self._floor(moment)
        return floor if floor == moment else self._next(floor)


def hourly(column: str, *, start: str, end: str | None = None) -> Partitions:
    """Partitions by hour of UTC on a TIMESTAMP WITH TIME ZONE, from `start` to `end` (`2017-03-01-05:00`, included).

    There is no zone to give: where clocks are changed one hour comes twice and one never.

    Raises:
        WiringError: see `daily`.
    """
    return _timed("hour", column, start, end, "UTC")


def daily(column: str, *, start: str, end: str | None = None, timezone: str = "UTC") -> Partitions:
    """Daily partitions on a DATE, from `start` to `end` (ISO dates, both included).

    Raises:
        WiringError: a date or the zone is malformed, or the end comes before the start.
    """
    return _timed("day", column, start, end, timezone)


def weekly(column: str, *, start: str, end: str | None = None, timezone: str = "UTC") -> Partitions:
    """Weekly partitions on a DATE; a week begins on the weekday of `start`, and its key is its first day.

    Raises:
        WiringError: see `daily`; `end` is the first day of the last week.
    """
    return _timed("week", column, start, end, timezone)


def monthly(column: str, *, start: str, end: str | None = None, timezone: str = "UTC") -> Partitions:
    """Monthly partitions on a DATE; `start`, `end` and the keys are first days of months.

    Raises:
        WiringError: see `daily`.
    """
    return _timed("month", column, start, end, timezone)


def static(column: str, *, keys: Iterable[str]) -> Partitions:
    """One partition for each of `keys`, the values of a text column. In Dagster a range of them follows this order.

    Raises:
        WiringError: no key, one twice, or one that could be read as a day, a range or two keys.
    """
    names = (keys,) if isinstance(keys, str) else tuple(keys)
    where = f"static('{column}')"
    for name in names:
        if not NAME.fullmatch(name):
            raise WiringError(f"'{name}' is no key", where=where, fix="Begin it otherwise; commas and .. join keys.")
    if not names or len(set(names)) < len(names) or isinstance(keys, str):
        raise WiringError(f"keys={keys!r} are no keys", where=where, fix="List each once: keys=['north', 'south'].")
    return Partitions(column, "static", names=names)


def own_ranges(asked: PartitionRange, nodes: Iterable[Named], now: dtm.datetime) -> Mapping[str, PartitionRange]:
    """What each partitioned table among `nodes` builds of `asked`; one without any of these partitions is not in it.

    Raises:
        PipelineError: none is so partitioned, or the range begins, ends or names what is a partition of no table.
    """
    found = {node.name: parts for node in nodes if (parts := getattr(node, "partitions", None)) is not None}
    alike: dict[str, Partitions] = {n: parts for n, parts in found.items() if bool(parts.names) == bool(asked.names)}
    if not alike and asked.names:
        raise PipelineError(f"'{asked}' is no partition", fix=WRITTEN)
    if not alike:
        raise PipelineError(f"none of these tables is partitioned, so {asked} is none of their partitions")
    edges = [PartitionRange(names=(name,)) for name in asked.names] or [
        PartitionRange(asked.start, asked.start + HOUR),
        PartitionRange(asked.stop - HOUR, asked.stop),
    ]
    for edge in edges:
        if not any(parts.clip(edge, now) for parts in alike.values()):
            names = ", ".join(f"'{name}'" for name in alike)
            known = {f"{parts.noun}s of {whole}" for parts in alike.values() if (whole := parts.whole(now))}
            none = f"None of them is complete at {now:%Y-%m-%d %H:%M %Z}."
            fix = f"Name {' or '.join(sorted(known))}." if known else none
            raise PipelineError(f"{asked} is outside the partitions of {names}", fix=fix)
    own = {name: parts.clip(asked, now) for name, parts in found.items()}
    return {name: clipped for name, clipped in own.items() if clipped is not None}


def touched(asked: PartitionRange, nodes: Iterable[Named], now: dtm.datetime) -> list[str]:
    """The names of `nodes` in their order, without the partitioned tables that have none of the partitions asked for.

    Raises:
        PipelineError: see `own_ranges`.
    """
    chosen = list(nodes)
    own = own_ranges(asked, chosen, now)
    return [node.name for node in chosen if node.name in own or getattr(node, "partitions", None) is None]


def _timed(unit: Unit, column: str, start: str, end: str | None, timezone: str) -> Partitions:
    where = f"{'daily' if unit == 'day' else unit + 'ly'}('{column}')"
    written = "2017-03-01-05:00" if unit == "hour" else "2017-03-01"
    try:
        first, last = (_moments(text)[0] if text is not None else None for text in (start, end))
    except (ValueError, OverflowError, TypeError) as error:
        raise WiringError(str(error), where=where, fix=f"Write dates as '{written}'.") from None
    assert first is not None
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WiringError(
            f"'{timezone}' is no time zone", where=where, fix="Use an IANA name such as 'America/New_York'."
        ) from None
    if last is not None and last < first:
        raise WiringError(f"ends on {last}, before it starts on {first}", where=where, fix="Swap start= and end=.")
    found = Partitions(column, unit, first, None, timezone)
    for name, moment in (("start", first), ("end", last)):
        if moment is not None and found._floor(moment) != moment:
            fix = f"Write '{found._floor(moment).strftime(HOUR_KEY if unit == 'hour' else '%Y-%m-%d')}'."
            raise WiringError(f"{name}='{moment:%Y-%m-%d}' is no first moment of a {unit}", where=where, fix=fix)
    return Partitions(column, unit, first, last and found._next(last), timezone)


def _moments(text: str) -> tuple[dtm.datetime, dtm.datetime]:
    """The first moment of the day or hour that `text` names, and the first one after it; raises ValueError."""
    for form in (HOUR_KEY, "%Y-%m-%dT%H:%M"):
        try:
            hour = dtm.datetime.strptime(text, form)  # noqa: DTZ007 - a time of the wall clock
        except ValueError:
            continue
        if hour.minute:
            raise ValueError(f"'{text}' is no full hour")
        return hour, hour + HOUR
    day = _midnight(dtm.date.fromisoformat(text))
    return day, day + DAY


def _midnight(day: dtm.date) -> dtm.datetime:
    return dtm.datetime.combine(day, dtm.time())
