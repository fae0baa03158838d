"""The shops' calendar: their time zone, and weeks that begin on Monday and are counted through the year."""

from __future__ import annotations

import datetime as dtm

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

SHOP_ZONE = "America/New_York"
WEEK_ONE = dtm.date(2016, 12, 26)
"""The Monday of week 1; 2017-01-01, a Sunday, is its last day."""


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]  # Ibis ships no types
def _wall_clock(zone: str, at: dt.Timestamp(timezone="UTC", scale=6)) -> dt.Timestamp(scale=6):
    """DuckDB's `timezone(zone, timestamptz)`: what a clock on the wall in that zone shows."""


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]  # Ibis ships no types
def _instant(zone: str, shown: dt.Timestamp(scale=6)) -> dt.Timestamp(timezone="UTC", scale=6):
    """DuckDB's `timezone(zone, timestamp)`: the instant at which a clock on the wall in that zone shows it."""


def as_utc(naive: ir.TimestampValue) -> ir.TimestampValue:
    """A timestamp without a zone that means UTC, as an instant: a cast would take it for the session's zone."""
    return _instant("UTC", naive)


def shop_date(at: ir.TimestampValue) -> ir.DateValue:
    """The date in the shops on the instant `at`."""
    return _wall_clock(SHOP_ZONE, at).date()


def week_of(day: ir.DateValue) -> ir.IntegerValue:
    """The number of the Monday week that holds `day`."""
    return day.delta(ibis.literal(WEEK_ONE), unit="day") // 7 + 1


def monday_of(day: ir.DateValue) -> ir.DateValue:
    """The first day of the Monday week that holds `day`."""
    # Through a timestamp: DuckDB's date_trunc of a date is a timestamp, whatever Ibis believes.
    return day.cast("timestamp").truncate("W").date()
