"""The dashboard in a real browser: complete, readable at both widths, and asking nobody for anything."""

from __future__ import annotations

import datetime as dtm
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pytest

from assay.tables.results import CheckResult, Publication
from assay.testing.bench import Bench
from assay.testing.browser import (
    WIDTHS,
    assert_fits,
    assert_readable_aloud,
    chromium,
    needs_browser,
    silent_page,
)
from pipeline_project.load.page.facts import by_department, rows
from pipeline_project.project import project
from pipeline_project.transform.money import shelf_price
from pipeline_project_tests.transform.households import households

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DEPARTMENTS = ("GROCERY", "DRUG GM", "PRODUCE", "MEAT", "FUEL", "DELI", "<b>SPIRITS</b>", "UNKNOWN")


def filled(folder: Path) -> Bench:
    """A bench with ten weeks of made-up marts, a trained model and a run with a warning."""
    bench = Bench(project, folder)
    monday = dtm.date(2017, 3, 6)
    weeks = [(10 + n, monday + dtm.timedelta(weeks=n)) for n in range(10)]
    bench.given(
        "department_weekly_sales",
        *(
            {
                "department": name,
                "week": week,
                "week_starts_on": first,
                "sales_value": Decimal(9000 // (rank + 1) + week),
            }
            for rank, name in enumerate(DEPARTMENTS)
            for week, first in weeks
        ),
    )
    bench.given(
        "campaign_performance",
        *(
            {"campaign_id": campaign, "department": name, "week": week, "week_starts_on": first}
            | {"households_targeted": 40, "redemptions": (week * campaign) % 4, "sales_value_eur": 90}
            for campaign in (8, 13, 18)
            for name in DEPARTMENTS[:3]
            for week, first in weeks[campaign % 4 :]
        ),
        sales_value=Decimal("100.10"),
    )
    bench.given_arrow("redemption_features", households(300))
    for name in ("redemption_contributions", "redemption_scores", "redemption_model_metrics"):
        bench.build(name)
    bench.run.publications.clear()
    warning = CheckResult("product_id_in_products", False, "warn", "4 rows have 2 <product_id>s unknown", failing=4)
    bench.run.publications.append(publication("purchases", 1_469_307, 0, (warning,)))
    bench.run.publications.append(publication("promotions", 20_927_744, 12_785, ()))
    return bench


def publication(name: str, rows: int, rejected: int, checks: tuple[CheckResult, ...]) -> Publication:
    passed = CheckResult("schema", True, "error", "as the contract says")
    return Publication(name, "transform", "replace", rows, rows + rejected, rejected, 1.5, "d", "c", (passed, *checks))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dashboard")
    bench = filled(folder)
    path = bench.build("dashboard").path
    bench.sql.close()
    assert path is not None
    return Path(path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(params=WIDTHS)
def page(request: Any, browser: Browser, page_file: Path) -> Iterator[Page]:
    """The page, open, at a phone's and at a desktop's width."""
    with silent_page(browser, page_file, request.param) as opened:
        yield opened


@pytest.mark.browser
@needs_browser
def test_nothing_overflows_and_every_chart_is_seen_once(page: Page) -> None:
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert_fits(page)
    figures = page.locator("figure")
    assert figures.count() == 6
    for index in range(figures.count()):
        drawings = figures.nth(index).locator("svg:visible")
        assert drawings.count() == 1
        box = drawings.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["x"] + box["width"] <= width
        assert drawings.locator("text").count() > 3
    # Text in a drawing is as large as it was meant to be, for each width has a drawing of its own.
    size = page.evaluate(
        "Math.min(...[...document.querySelectorAll('figure svg text')].filter(t => t.textContent && t.getBoundingClientRect().width)"
        ".map(t => [t.getScreenCTM(), parseFloat(getComputedStyle(t).fontSize)])"
        ".map(([m, size]) => Math.hypot(m.a, m.b) * size))"
    )
    assert size >= 9


@pytest.mark.browser
@needs_browser
def test_keyboard_and_screen_reader_find_their_way(page: Page) -> None:
    assert_readable_aloud(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the charts"
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("details table").is_visible()


@pytest.mark.browser
@needs_browser
def test_texts_stand_out_from_their_background(page: Page) -> None:
    for name in ("p.lead", ".tile small", "figcaption", ".badge.warn", ".badge.pass", "thead th", "nav a", "footer"):
        colours = page.locator(name).first.evaluate(
            """e => { let b = e; while (getComputedStyle(b).backgroundColor === 'rgba(0, 0, 0, 0)') b = b.parentElement;
                      return [getComputedStyle(e).color, getComputedStyle(b).backgroundColor] }"""
        )
        assert contrast(*colours) >= 4.5, name


def contrast(front: str, back: str) -> float:
    """The contrast ratio of WCAG 2."""
    lights = []
    for colour in (front, back):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_run_is_told_with_its_warnings(page_file: Path) -> None:
    text = page_file.read_text()
    for told in ("1,469,307", "20,927,744", "12,785", "product_id_in_products", "2018-01-02 12:00 UTC"):
        assert told in text
    assert "4 rows have 2 &lt;product_id&gt;s unknown" in text
    assert "<b>SPIRITS</b>" not in text
    assert "<script" not in text
    assert len(text) < 1_000_000


def test_the_same_tables_make_the_same_page(tmp_path: Path) -> None:
    pages = []
    for name in "ab":
        bench = filled(tmp_path / name)
        pages.append(Path(str(bench.build("dashboard").path)).read_bytes())
        bench.sql.close()
    assert pages[0] == pages[1]


def test_empty_tables_make_a_page_too(bench: Bench) -> None:
    text = Path(str(bench.build("dashboard").path)).read_text()
    assert text.count("No rows yet.") == 6
    assert "This run built the dashboard alone" in text


def test_a_makers_coupon_is_not_given_away_by_the_shop() -> None:
    amounts = {"sales_value": 8.0, "retail_disc": 1.5, "coupon_disc": 4.0, "coupon_match_disc": 0.5}
    line = {"department": "GROCERY", "week": 1, "lines": 1, **amounts}
    [found] = rows(by_department(ibis.memtable([line])))
    assert (found["sales"], found["discounts"]) == (8.0, 2.0)
    assert rows(ibis.memtable([amounts]).select(price=shelf_price)) == [{"price": 10.0}]
