"""Daily partitions: what people write becomes days, or is refused in one line."""

from __future__ import annotations

import datetime as dtm

import pytest

from assay.errors import PipelineError, WiringError
from assay.tables.partitions import Daily, PartitionRange, daily


@pytest.mark.parametrize(
    ("text", "days", "shown"),
    [
        ("2026-03-01", 1, "2026-03-01"),
        ("2026-03-01..2026-03-01", 1, "2026-03-01"),
        ("2026-02-27..2026-03-02", 4, "2026-02-27..2026-03-02"),
        (" 2026-03-01 .. 2026-03-02 ", 2, "2026-03-01..2026-03-02"),
    ],
)
def test_a_range_is_read_and_written(text: str, days: int, shown: str) -> None:
    found = PartitionRange.parse(text)
    assert len(list(found.days())) == days
    assert str(found) == shown
    assert PartitionRange.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["", "2026-03", "2026-02-30", "yesterday", "2026-03-01..", "..2026-03-01", "2026-03-01...2026-03-02", "1..2"],
)
def test_what_is_no_day_or_range(text: str) -> None:
    with pytest.raises(PipelineError, match="is no partition"):
        PartitionRange.parse(text)


def test_a_range_that_ends_before_it_starts() -> None:
    with pytest.raises(PipelineError, match=r"2026-03-02\.\.2026-03-01 ends before it starts"):
        PartitionRange.parse("2026-03-02..2026-03-01")


def test_the_whole_range_is_closed_or_ends_yesterday() -> None:
    today = dtm.date(2026, 3, 5)
    assert str(daily("d", start="2026-03-01").whole(today)) == "2026-03-01..2026-03-04"
    assert str(daily("d", start="2026-03-01", end="2026-03-31").whole(today)) == "2026-03-01..2026-03-31"
    assert daily("d", start="2026-03-01", timezone="America/New_York") == Daily(
        "d", dtm.date(2026, 3, 1), None, "America/New_York"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "1 March"}, "Write dates as"),
        ({"start": "2026-03-01", "end": "2026-02-30"}, "Write dates as"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "before it starts"),
        ({"start": "2026-03-01", "timezone": "New York"}, "'New York' is no time zone"),
        ({"start": "2026-03-01", "timezone": "../etc/passwd"}, "is no time zone"),
    ],
)
def test_partitions_that_cannot_be(options: dict[str, str], message: str) -> None:
    with pytest.raises(WiringError, match=message) as caught:
        daily("d", **options)
    assert "daily('d')" in str(caught.value)
