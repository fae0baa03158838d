"""Raw tables: the real sources through the real connectors, and values that no later step could bear."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.sources.base import Sources
from assay.testing.bench import Bench, day
from pipeline_project.example.demo import DemoSources
from pipeline_project.settings import Settings

AT = dtm.datetime(2017, 3, 1, 12)
"""Without a zone, as in the source."""
RANGE = "sales_value.in_range_-999999999_to_999999999"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Sources]:
    with DemoSources(Settings.default_locations, data=tmp_path / "data") as opened:
        yield opened


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("raw_campaign_descriptions", 27),
        ("raw_campaigns", 6_589),
        ("raw_demographics", 801),
        ("raw_exchange_rates", 7_126),
        ("raw_products", 92_331),
        ("raw_redemptions", 2_102),
    ],
)
def test_the_real_source_has_every_row(bench: Bench, demo: Sources, table: str, rows: int) -> None:
    publication = bench.build(table, demo)
    assert (publication.rows, publication.rejected) == (rows, 0)
    assert all(check.passed for check in publication.checks)


def test_values_are_kept_as_they_came(bench: Bench, demo: Sources) -> None:
    bench.build("raw_exchange_rates", demo)
    bench.build("raw_campaign_descriptions", demo)
    assert bench.rows("raw_exchange_rates", "min(published_on)", "count(*) FILTER (usd = 'N/A')") == [
        (day("1999-01-04"), 0)
    ]
    assert bench.rows("raw_campaign_descriptions")[23] == (24, "Type C", day("2016-11-14"), day("2017-01-16"))


def test_events_are_read_once(bench: Bench, demo: Sources) -> None:
    assert bench.build("raw_redemptions", demo).staged == 2_102
    again = bench.build("raw_redemptions", demo)
    assert (again.staged, again.rows) == (0, 2_102)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "sales_value.not_null"),
        (float("inf"), RANGE),
        (float("-inf"), RANGE),
        (1e12, RANGE),
        (None, "sales_value.not_null"),
    ],
)
def test_amounts_that_no_decimal_holds_stop_the_table(bench: Bench, tmp_path: Path, value: float, reason: str) -> None:
    line = dict.fromkeys(bench.types("raw_transactions"), 1) | {"transaction_timestamp": AT}
    bench.given("raw_transactions", line, line | {"sales_value": value})
    file = tmp_path / "transactions.parquet"
    bench.sql.execute(f"COPY extract.raw_transactions TO '{file}'; DROP TABLE extract.raw_transactions")
    files = Sources({"retail_files": str(tmp_path)})
    assert dict(bench.fails("raw_transactions", files)["rows_valid"].reasons) == {reason: 1}
