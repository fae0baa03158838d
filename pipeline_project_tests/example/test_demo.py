"""The demo sources: real rows over real HTTP and from a real log, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from assay.errors import SourceError
from assay.sources import EventLog
from pipeline_project.example.demo import DemoSources
from pipeline_project.settings import Settings

EVENTS = EventLog("retail_events", "redemptions")


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[DemoSources]:
    opened = DemoSources(Settings.default_locations, data=tmp_path / "data")
    with opened:
        yield opened


def servers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "demo-server"]


def test_files_are_found_where_they_are_installed(sources: DemoSources) -> None:
    assert (Path(sources.resolve("retail_files")) / "transactions.parquet").is_file()
    assert (Path(sources.resolve("ecb_files")) / "eurofxref-hist.zip").is_file()
    assert not servers(), "files need no server"


def test_the_page_lists_every_campaign(sources: DemoSources) -> None:
    page = httpx.get(f"{sources.resolve('retail_site')}/campaigns.html")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.count("<tr>") == 28
    assert "<td>24</td><td>Type C</td><td>2016-11-14</td><td>2017-01-16</td>" in page.text


def test_pages_of_the_api_hold_every_item_once(sources: DemoSources) -> None:
    base = sources.resolve("retail_api")
    address, found, pages = "/api/campaigns?page=1&per_page=2500", [], 0
    while address:
        body = httpx.get(httpx.URL(base).join(address)).json()
        assert body["total"] == 6589
        found += [(item["campaign_id"], item["household_id"]) for item in body["data"]]
        address, pages = body["next"], pages + 1
    assert pages == 3
    assert len(found) == len(set(found)) == 6589


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/coupons?page=0", 400),
        ("/coupons?page=one", 400),
        ("/coupons?per_page=100000", 400),
        ("/customers", 404),
        ("/../site/nothing.html", 404),
    ],
)
def test_bad_requests_are_told(sources: DemoSources, path: str, status: int) -> None:
    assert httpx.get(sources.resolve("retail_api") + path).status_code == status


def test_closing_frees_the_port_and_may_be_done_twice(tmp_path: Path) -> None:
    sources = DemoSources(Settings.default_locations, data=tmp_path)
    address = sources.resolve("retail_api")
    assert httpx.get(f"{address}/campaigns?per_page=1").status_code == 200
    sources.close()
    sources.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/campaigns?per_page=1")
    assert not servers()


def test_the_event_log_is_written_once(sources: DemoSources) -> None:
    log = Path(sources.resolve("retail_events"))
    written = {path: path.stat().st_mtime_ns for path in log.rglob("*")}
    assert EVENTS.lag(str(log), {}) == 2102
    assert Path(sources.resolve("retail_events")) == log
    assert {path: path.stat().st_mtime_ns for path in log.rglob("*")} == written
    assert [path.name for path in log.iterdir()] == ["redemptions.ndjson"]


def test_of_two_runs_at_once_both_find_the_whole_log(tmp_path: Path) -> None:
    found: list[int] = []

    def write() -> None:
        with DemoSources(Settings.default_locations, data=tmp_path) as opened:
            found.append(EVENTS.lag(opened.resolve("retail_events"), {}))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2102] * 4


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with (
        DemoSources(Settings.default_locations, data=tmp_path / "data") as sources,
        pytest.raises(SourceError, match="event log cannot be written"),
    ):
        sources.resolve("retail_events")


def test_an_address_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    with DemoSources({"retail_site": "https://shop.example", "mine": "demo"}, data=tmp_path) as sources:
        assert sources.resolve("retail_site") == "https://shop.example"
        with pytest.raises(SourceError, match="serves no 'mine'"):
            sources.resolve("mine")
