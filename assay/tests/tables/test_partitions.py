"""Partitions of every unit: what people write becomes keys and rows, or is refused in one line."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Callable, Iterator

import duckdb
import pytest

from assay.errors import PipelineError, WiringError
from assay.tables.partitions import PartitionRange, Partitions, daily, hourly, monthly, static, weekly

DAYS = daily("d", start="2026-02-01")
WEEKS = weekly("d", start="2026-02-02")
MONTHS = monthly("d", start="2026-01-01")
HOURS = hourly("d", start="2026-02-27-22:00")
PLACES = static("d", keys=["United Kingdom", "EIRE", "d'Or"])
EVERY = {"day": DAYS, "week": WEEKS, "month": MONTHS, "hour": HOURS, "static": PLACES}


def at(text: str) -> dtm.datetime:
    return dtm.datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("text", "hours", "shown"),
    [
        ("2026-03-01", 24, "2026-03-01"),
        ("2026-03-01..2026-03-01", 24, "2026-03-01"),
        ("2026-02-27..2026-03-02", 96, "2026-02-27..2026-03-02"),
        (" 2026-03-01 .. 2026-03-02 ", 48, "2026-03-01..2026-03-02"),
        ("2026-03-01-05:00", 1, "2026-03-01-05:00"),
        ("2026-03-01T05:00..2026-03-01-06:00", 2, "2026-03-01-05:00..2026-03-01-06:00"),
        ("2026-03-01-22:00..2026-03-02", 26, "2026-03-01-22:00..2026-03-02-23:00"),
    ],
)
def test_a_range_is_read_and_written(text: str, hours: int, shown: str) -> None:
    found = PartitionRange.parse(text)
    assert found.stop - found.start == dtm.timedelta(hours=hours)
    assert str(found) == shown
    assert PartitionRange.parse(str(found)) == found


def test_keys_are_read_and_written() -> None:
    found = PartitionRange.parse("United Kingdom, EIRE")
    assert found.names == ("United Kingdom", "EIRE")
    assert PartitionRange.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03",
        "2026-02-30",
        "2026-03-01-05:30",
        "2026-03-01..",
        "..2026-03-01",
        "2026-03-01...2026-03-02",
        "1..2",
    ],
)
def test_what_is_no_day_or_range(text: str) -> None:
    with pytest.raises(PipelineError, match="is no partition"):
        PartitionRange.parse(text)


def test_a_range_that_ends_before_it_starts() -> None:
    with pytest.raises(PipelineError, match=r"2026-03-02\.\.2026-03-01 ends before it starts"):
        PartitionRange.parse("2026-03-02..2026-03-01")


@pytest.mark.parametrize(
    ("partitions", "now", "whole", "newest"),
    [
        (DAYS, "2026-03-05T23:59", "2026-02-01..2026-03-04", "2026-03-04"),
        (daily("d", start="2026-03-01", end="2026-03-31"), "2026-03-03T00:00", "2026-03-01..2026-03-02", "2026-03-02"),
        (daily("d", start="2026-03-01", end="2026-03-31"), "2027-01-01T00:00", "2026-03-01..2026-03-31", "2026-03-31"),
        (daily("d", start="2026-03-01"), "2026-03-01T23:59", None, None),
        (WEEKS, "2026-03-02T00:00", "2026-02-02..2026-03-01", "2026-02-23..2026-03-01"),
        (WEEKS, "2026-03-01T23:59", "2026-02-02..2026-02-22", "2026-02-16..2026-02-22"),
        (MONTHS, "2026-03-31T23:59", "2026-01-01..2026-02-28", "2026-02-01..2026-02-28"),
        (HOURS, "2026-02-28T01:30", "2026-02-27-22:00..2026-02-28-00:00", "2026-02-28-00:00"),
        (PLACES, "2026-02-28T01:30", "United Kingdom,EIRE,d'Or", "United Kingdom,EIRE,d'Or"),
    ],
)
def test_what_is_complete(partitions: Partitions, now: str, whole: str | None, newest: str | None) -> None:
    told = [partitions.whole(at(now)), partitions.newest(at(now))]
    assert [None if each is None else str(each) for each in told] == [whole, newest]


@pytest.mark.parametrize(
    ("zone", "newest"),
    [("UTC", "2026-03-04"), ("Asia/Tokyo", "2026-03-05"), ("America/New_York", "2026-03-04")],
)
def test_a_day_is_complete_when_it_ends_in_the_partitions_own_zone(zone: str, newest: str) -> None:
    partitions = daily("d", start="2026-03-01", timezone=zone)
    found = partitions.newest(at("2026-03-05T16:00"))
    assert str(found) == newest


def test_looking_back_stops_at_the_first_partition() -> None:
    assert str(DAYS.newest(at("2026-03-05T06:00"), lookback=3)) == "2026-03-01..2026-03-04"
    assert str(DAYS.newest(at("2026-02-03T06:00"), lookback=3)) == "2026-02-01..2026-02-02"
    assert str(MONTHS.newest(at("2026-03-05T06:00"), lookback=1)) == "2026-01-01..2026-02-28"


@pytest.mark.parametrize(
    ("partitions", "asked", "own"),
    [
        (DAYS, "2026-01-30..2026-02-02", "2026-02-01..2026-02-02"),
        (DAYS, "2026-03-03..2026-03-09", "2026-03-03..2026-03-04"),
        (DAYS, "2026-03-05", None),
        (WEEKS, "2026-02-10", "2026-02-09..2026-02-15"),
        (WEEKS, "2026-03-03", None),  # the week is not over
        (MONTHS, "2026-02-28..2026-03-01", "2026-02-01..2026-02-28"),
        (HOURS, "2026-02-27", "2026-02-27-22:00..2026-02-27-23:00"),
        (PLACES, "EIRE,Atlantis", "EIRE"),
        (PLACES, "Atlantis", None),
        (PLACES, "2026-02-27", "United Kingdom,EIRE,d'Or"),
        (DAYS, "EIRE", "2026-02-01..2026-03-04"),
        (WEEKS, "0001-01-01", None),  # its week begins before the calendar
        (MONTHS, "0001-01-01..9999-12-30", "2026-01-01..2026-02-28"),
        (WEEKS, "9999-12-30", None),
    ],
)
def test_a_table_takes_its_own_partitions_of_a_range(partitions: Partitions, asked: str, own: str | None) -> None:
    found = partitions.clip(PartitionRange.parse(asked), at("2026-03-05T06:00"))
    assert (None if found is None else str(found)) == own


def test_keys_are_the_first_moments() -> None:
    def keys(partitions: Partitions, first: str, last: str) -> list[str]:
        return partitions.keys(partitions.between(first, last))

    assert keys(DAYS, "2026-02-27", "2026-03-01") == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert keys(WEEKS, "2026-02-16", "2026-02-23") == ["2026-02-16", "2026-02-23"]
    assert keys(MONTHS, "2026-01-01", "2026-03-01") == ["2026-01-01", "2026-02-01", "2026-03-01"]
    assert keys(HOURS, "2026-02-27-23:00", "2026-02-28-00:00") == ["2026-02-27-23:00", "2026-02-28-00:00"]
    assert keys(PLACES, "EIRE", "d'Or") == ["EIRE", "d'Or"]


@pytest.fixture(params=["UTC", "Asia/Kolkata"])
def connection(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(f"SET TimeZone = '{request.param}'")
        opened.execute("CREATE TABLE days AS SELECT DATE '2025-12-25' + i::INTEGER AS d FROM range(120) t(i)")
        opened.execute(
            "CREATE TABLE hours AS SELECT TIMESTAMPTZ '2026-02-27 20:30:00+00' + i * INTERVAL 1 HOUR AS d FROM range(9) t(i)"
        )
        opened.execute("CREATE TABLE places AS SELECT unnest(['EIRE', 'd''Or', 'Atlantis', NULL]) AS d")
        yield opened


@pytest.mark.parametrize("unit", EVERY)
def test_a_rows_key_and_its_partition_agree(connection: duckdb.DuckDBPyConnection, unit: str) -> None:
    """Every row of a range has one of the range's keys, and no other row has."""
    partitions, table = EVERY[unit], {"hour": "hours", "static": "places"}.get(unit, "days")
    whole = partitions.whole(at("2026-03-05T06:00"))
    assert whole is not None
    found = connection.execute(
        f"SELECT {partitions.key_sql()}, {partitions.within(whole)}, count(*) FROM {table} GROUP BY ALL"
    ).fetchall()
    inside = {key for key, within, _ in found if within}
    assert inside
    assert inside == {key for key, _, _ in found if key in partitions.keys(whole)}
    assert {within for key, within, _ in found if key is None} <= {None}


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (daily, {"start": "1 March"}, "Write dates as"),
        (daily, {"start": "2026-03-01", "end": "2026-02-30"}, "Write dates as"),
        (daily, {"start": "2026-03-02", "end": "2026-03-01"}, "before it starts"),
        (daily, {"start": "2026-03-01", "timezone": "New York"}, "'New York' is no time zone"),
        (daily, {"start": "2026-03-01", "timezone": "../etc/passwd"}, "is no time zone"),
        (daily, {"start": "2026-03-01-05:00"}, "is no first moment of a day. Write '2026-03-01'"),
        (monthly, {"start": "2026-03-02"}, "is no first moment of a month. Write '2026-03-01'"),
        (weekly, {"start": "2026-03-02", "end": "2026-03-10"}, "is no first moment of a week. Write '2026-03-09'"),
        (hourly, {"start": "2026-03-02-05:30"}, "is no full hour"),
        (static, {"keys": []}, r"keys=\[\] are no keys"),
        (static, {"keys": "north"}, "keys='north' are no keys"),
        (static, {"keys": ["north", "north"]}, "List each once"),
        (static, {"keys": ["2026-03-01"]}, "'2026-03-01' is no key"),
        (static, {"keys": ["north,south"]}, "'north,south' is no key"),
        (static, {"keys": ["north..south"]}, "is no key"),
        (static, {"keys": [""]}, "'' is no key"),
    ],
)
def test_partitions_that_cannot_be(make: Callable[..., Partitions], options: dict[str, str], message: str) -> None:
    with pytest.raises(WiringError, match=message) as caught:
        make("d", **options)
    name = {daily: "daily", weekly: "weekly", monthly: "monthly", hourly: "hourly", static: "static"}[make]
    assert f"{name}('d')" in str(caught.value)
