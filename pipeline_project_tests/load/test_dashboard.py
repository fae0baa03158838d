"""The dashboard in a real browser: complete, readable at both widths, and asking nobody for anything."""

from __future__ import annotations

import datetime as dtm
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pytest

from assay import Run
from assay.tables.results import CheckResult, Past, PastBuild, PastDay, Publication
from assay.testing.bench import Bench
from assay.testing.browser import (
    assert_fits,
    assert_readable_aloud,
    chromium,
    needs_browser,
    silent_page,
)
from assay.warehouse import ops
from pipeline_project.load.page import words
from pipeline_project.load.page.facts import by_department, rows
from pipeline_project.load.page.past import over_time
from pipeline_project.load.page.sections import largest
from pipeline_project.load.page.style import DARK, LIGHT
from pipeline_project.project import project
from pipeline_project.transform.money import shelf_price
from pipeline_project.transform.redemption_model import FEATURES, INTERCEPT
from pipeline_project_tests.transform.households import households

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DEPARTMENTS = ("GROCERY", "DRUG GM", "PRODUCE", "MEAT", "FUEL", "DELI", "<b>SPIRITS</b>", "UNKNOWN")
CAMPAIGNS = (
    (8, "Type A", "2017-03-13", "2017-05-07"),
    (13, "Type B", "2017-03-13", "2017-05-14"),
    (18, "Type B", "2017-03-27", "2017-06-01"),
)


def filled(folder: Path) -> Bench:
    """A bench with ten weeks of made-up marts, a trained model and a run with a warning."""
    bench = Bench(project, folder)
    monday = dtm.date(2017, 3, 6)
    # The data begins on the Sunday of the first week, and ends on the Sunday of the last.
    bench.given("purchases", *({"sold_on": monday + dtm.timedelta(days=days)} for days in (6, 69)))
    bench.given(
        "campaigns",
        *(
            {"campaign_id": campaign, "household_id": household, "campaign_type": kind}
            | {"start_date": dtm.date.fromisoformat(start), "end_date": dtm.date.fromisoformat(end)}
            for campaign, kind, start, end in CAMPAIGNS
            for household in range(40)
        ),
    )
    redeeming = ((campaign, household) for campaign, many in ((8, 30), (13, 4), (18, 3)) for household in range(many))
    bench.given("redemptions", *({"campaign_id": number, "household_id": household} for number, household in redeeming))
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
            | {"households_targeted": 40, "redemptions": 2 if campaign == 8 else week % 2, "sales_value_eur": 90}
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
    remember(bench)
    return bench


def remember(bench: Bench) -> None:
    """Books in which promotions failed once and was halved once, and Christmas had no purchase."""
    for book in ("publications", "metrics"):
        bench.sql.execute(f"DELETE FROM ops.{book}")
    at, christmas = bench.run.now, dtm.date(2017, 12, 25)
    for number in range(1, 41):
        for name, many in (("purchases", 900 + number), ("promotions", 50 if number == 38 else 100)):
            action = "failed" if (name, number) == ("promotions", 39) else "replace"
            made = Publication(name, "transform", action, many, many, 0, 1 + number % 3, "d", "c", ())
            run = Run("r", at - dtm.timedelta(days=40 - number))
            ops.record(bench.sql, bench.session.catalog, bench.session.publication_id(), made, run)
    for place in range(35):
        day, many = christmas + dtm.timedelta(days=place - 30), 0 if place == 30 else 1000 + place
        verdict = "unusual" if many == 0 else "usual"
        values = [1, "r", "purchases", day, "rows", many, 1000, 500, 2000, verdict]
        bench.sql.execute(f"INSERT INTO ops.metrics VALUES ({', '.join('?' * 10)})", values)
    halved = bench.sql.execute("SELECT max(id) - 4 FROM ops.publications").fetchall()
    values = [halved[0][0], "r", "promotions", at.date(), "rows", 50, 100, 80, 120, "unusual"]
    bench.sql.execute(f"INSERT INTO ops.metrics VALUES ({', '.join('?' * 10)})", values)


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


@pytest.fixture(params=[(390, "light"), (768, "light"), (768, "dark"), (1440, "light"), (1440, "dark")], ids=str)
def page(request: Any, browser: Browser, page_file: Path) -> Iterator[Page]:
    """The page, open, at a phone's, a tablet's and a desktop's width, for light and for dark screens."""
    width, scheme = request.param
    with silent_page(browser, page_file, width) as opened:
        opened.emulate_media(color_scheme=scheme)
        yield opened


def assert_drawn_to_be_read(page: Page) -> None:
    """Every figure shows one drawing, whose texts are as large as they were meant to be, and within the page."""
    figures = page.locator("figure")
    assert figures.count() == 6
    for index in range(figures.count()):
        drawings = figures.nth(index).locator("svg:visible")
        assert drawings.count() == 1
        assert drawings.locator("text").count() > 3
    sizes, outside = page.evaluate(
        """() => {
            const texts = [...document.querySelectorAll('figure svg text')]
                .filter(t => t.textContent && t.getBoundingClientRect().width)
            const leaves = t => {
                const [inner, outer] = [t, t.closest('figure')].map(e => e.getBoundingClientRect())
                return inner.left < outer.left || inner.right > outer.right
            }
            return [
                texts.map(t => [t.getScreenCTM(), parseFloat(getComputedStyle(t).fontSize)])
                    .map(([m, size]) => Math.hypot(m.a, m.b) * size),
                texts.filter(leaves).map(t => t.textContent),
            ] }"""
    )
    assert min(sizes) >= 9.5
    assert max(sizes) <= 16
    assert outside == []


@pytest.mark.browser
@needs_browser
def test_nothing_overflows_and_every_chart_is_seen_once(page: Page) -> None:
    assert_fits(page)
    assert_drawn_to_be_read(page)


@pytest.mark.browser
@needs_browser
def test_a_printed_page_is_light_and_as_legible(browser: Browser, page_file: Path) -> None:
    # A4 within Chromium's margins.
    with silent_page(browser, page_file, 718) as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert_drawn_to_be_read(page)
        assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')") == LIGHT["ink"]
        assert page.locator("nav").is_hidden()


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
    names = (
        "p.finding",
        "p.lead",
        ".tile small",
        "figcaption",
        ".badge.warn",
        ".badge.pass",
        "thead th",
        "nav a",
        "code",
    )
    for name in (*names, "footer", "footer a"):
        colours = page.locator(name).first.evaluate(
            """e => { let b = e; while (getComputedStyle(b).backgroundColor === 'rgba(0, 0, 0, 0)') b = b.parentElement;
                      return [getComputedStyle(e).color, getComputedStyle(b).backgroundColor] }"""
        )
        assert contrast(*colours) >= 4.5, name


@pytest.mark.browser
@needs_browser
def test_charts_follow_the_theme_and_stand_out_from_their_card(page: Page) -> None:
    """Texts and filled marks, as computed on the screen; what only groups (grid, spans, gaps) may be fainter."""
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    card = (DARK if dark else LIGHT)["card"]
    marks = page.evaluate(
        """[...document.querySelectorAll('figure svg :is(path, text)')]
            .filter(e => e.getBoundingClientRect().width && getComputedStyle(e).fillOpacity !== '0')
            .map(e => [e.tagName, e.getAttribute('fill') || '', getComputedStyle(e).fill])"""
    )
    faint = {"", "none", "transparent", "var(--span)", "var(--card)", "var(--line)"}
    seen = {(tag, named, shown) for tag, named, shown in marks if named not in faint}
    assert {named for _, named, _ in seen} >= {"var(--accent)", "var(--soft)", "var(--heat-3)", "var(--other)"}
    for tag, named, shown in seen:
        assert named.startswith("var(--"), named
        assert contrast(shown, rgb(card)) >= (4.5 if tag == "text" else 3), named


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize(
    ("figure", "told"),
    [
        ("response", "Campaign 18: 3 of 40 households redeemed, 7.5%; 95% interval 2.6% to 19.9%; "),
        ("calendar", "Campaign 8, Type A, week of March 13, 2017: 6 coupons redeemed"),
        ("redeemed", "GROCERY: 29 coupons redeemed"),
        ("weekly", "Week of March 13, 2017: $24.5K. GROCERY $9,011, DRUG GM $4,511, PRODUCE $3,011, "),
        ("calibration", "10 predictions of "),
        ("drivers", "campaign's products, $ a week: one standard deviation more raises the log odds by "),
    ],
)
def test_a_mark_tells_its_numbers_to_who_points_at_it(
    browser: Browser, page_file: Path, figure: str, told: str
) -> None:
    """The topmost element at the middle of the mark has the title, so no script is needed."""
    with silent_page(browser, page_file, 1440) as page:
        mark = page.locator(f"figure[aria-labelledby={figure}] svg.wide :has(> title)").filter(has_text=told).first
        mark.scroll_into_view_if_needed()
        shown = mark.evaluate(
            """e => { const box = e.getBoundingClientRect()
                      const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
                      return top.closest(':has(> title)').querySelector('title').textContent }"""
        )
        assert told in shown
        mark.hover(force=True)
        # And it is seen which mark it is, unless it is a text.
        assert mark.evaluate("e => getComputedStyle(e).strokeWidth") == "1.5px"


def contrast(front: str, back: str) -> float:
    """The contrast ratio of WCAG 2."""
    lights = []
    for colour in (front, back):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))})"


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_the_palest_mark_stands_out_from_its_card(colours: dict[str, str]) -> None:
    marks = [
        name for name in colours if name.startswith(("heat-", "series-")) or name in ("accent", "contrast", "other")
    ]
    card = rgb(colours["card"])
    assert {name: contrast(rgb(colours[name]), card) for name in marks if contrast(rgb(colours[name]), card) < 3} == {}
    heat = [contrast(rgb(colours[f"heat-{number}"]), card) for number in range(1, 6)]
    # More stands out more, by a step that can be seen.
    assert all(after / before > 1.25 for before, after in pairwise(heat))


def test_every_colour_has_its_place_in_both_themes() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)


def test_the_page_leads_with_its_finding(page_file: Path) -> None:
    told = re.sub(r"<[^>]+>", " ", page_file.read_text().partition("</h1>")[2])
    assert " ".join(told.split()).startswith(
        "The one campaign of type A brought 69% of all redeemed coupons: 150 per 100 households it was sent to, against 34 "
        "for the others. That was 33% of all mailings. Counting only campaigns that the data covers from their first to "
        "their last day, it is 150 against 38. This page is about a grocery chain from March 12, 2017 to May 14, 2017: "
    )


def test_what_the_data_has_only_a_part_of_is_told(page_file: Path) -> None:
    text = page_file.read_text()
    assert "the data has only a part of this campaign" in text
    assert "8% of 40 *" in text
    assert "10% of 40 *" not in text
    assert "Left out, as the data has only a part of it: week 10 (1 of 7 days, from March 6, 2017)." in text
    assert "Week of March 13, 2017" in text
    assert "Week of March 6, 2017" not in text


def test_every_axis_over_time_has_its_year(page_file: Path) -> None:
    text = page_file.read_text()
    for name in ("calendar", "weekly"):
        drawings = text.partition(f'aria-labelledby="{name}"')[2].partition("</figure>")[0].split("</svg>")[:3]
        assert all(">2017<" in re.sub(r"<title>.*?</title>", "", drawing) for drawing in drawings)


def test_counts_in_captions_are_those_of_the_chart(page_file: Path) -> None:
    text = page_file.read_text()
    assert "By the department most products of a coupon belong to; all 3." in text
    assert "Departments by sales, all 8" in text
    rows = [{"department": f"{number}", "redemptions": 1} for number in range(13)]
    assert [largest(rows[:number]) for number in (12, 13)] == ["all 12", "the 12 largest of 13"]


def test_labels_are_words(page_file: Path) -> None:
    text = page_file.read_text()
    assert [name for name in FEATURES if name in text or words.feature(name) not in unescape(text)] == []
    assert words.FEATURES.keys() == {*FEATURES, INTERCEPT}
    assert "AUC, on later campaigns" in text


@pytest.mark.parametrize(
    ("checks", "told", "tile"),
    [
        ([], "Made 2018-01-02 12:00 UTC from tables that earlier runs published.", None),
        ([(True, "error")], "from tables that passed all 1 checks of this run.", "over 1 tables"),
        (
            [(True, "error"), (False, "warn")],
            'from tables that passed all checks but <a href="#health">one that only warns</a>.',
            "the other one only warns",
        ),
        (
            [(True, "error"), (False, "warn"), (False, "warn")],
            'from tables that passed all checks but <a href="#health">2 that only warn</a>.',
            "the other 2 only warn",
        ),
        ([(False, "error"), (False, "warn")], "in a run in which a check stopped a table;", "1 stopped a table"),
    ],
)
def test_the_page_claims_no_more_than_the_checks_said(
    bench: Bench, checks: list[tuple[bool, Any]], told: str, tile: str | None
) -> None:
    results = tuple(CheckResult(f"c{n}", passed, severity, "so") for n, (passed, severity) in enumerate(checks))
    if checks:
        found = Publication("products", "transform", "replace", 1, 1, 0, 1.5, "d", "c", results)
        bench.run.publications.append(found)
    text = Path(str(bench.build("dashboard").path)).read_text()
    assert told in text
    assert tile is None or f"<small>{tile}</small>" in text


def test_the_run_is_told_with_its_warnings(page_file: Path) -> None:
    text = page_file.read_text()
    for told in ("1,469,307", "20,927,744", "12,785", "product_id_in_products", "2018-01-02 12:00 UTC"):
        assert told in text
    assert "4 rows have 2 &lt;product_id&gt;s unknown" in text
    assert "<b>SPIRITS</b>" not in text
    assert "<script" not in text
    assert len(text) < 1_000_000


def test_the_builds_before_are_drawn_and_unusual_days_named(page_file: Path) -> None:
    section = page_file.read_text().partition('id="health"')[2]
    assert "The data ends on May 14, 2017." in section
    assert "<strong>purchases</strong>, Monday, 2017-12-25: 0 rows, usually 500 to 2,000</li>" in section
    told = re.findall(r"<title>([^<]*)</title>", section)
    assert told == [
        "promotions, the last 29 builds: last 100 rows",
        "promotions: 3.00 s at most, last 2.00 s",
        "promotions, builds until 2018-01-02 12:00 UTC: 1 failed, 29 passed",
        "purchases, the last 30 partitions, until 2017-12-29: last 1,034 rows, usually 500 to 2,000",
        "purchases: 3.00 s at most, last 2.00 s",
        "purchases, builds until 2018-01-02 12:00 UTC: 30 passed",
    ]
    # Christmas, and the halved build, stand out from the steps of the others.
    assert section.count('stroke="var(--contrast)"') == 2


def test_a_name_in_the_books_is_text_on_the_page() -> None:
    at = dtm.datetime(2018, 1, 2, tzinfo=dtm.UTC)
    past = Past((PastBuild("<i>", at, 0, 0.0, True, ("failed",)),), (PastDay("<i>", at.date(), 0, None, 0.0, True),))
    drawn = over_time(past)
    assert "<i>" not in drawn
    assert "nan" not in drawn
    assert over_time(Past()) == ""


@pytest.mark.slow
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
    assert 'class="finding"' not in text
    assert "This page is about a grocery chain: " in text


def test_a_makers_coupon_is_not_given_away_by_the_shop() -> None:
    amounts = {"sales_value": 8.0, "retail_disc": 1.5, "coupon_disc": 4.0, "coupon_match_disc": 0.5}
    line = {"department": "GROCERY", "week": 1, "lines": 1, **amounts}
    [found] = rows(by_department(ibis.memtable([line])))
    assert (found["sales"], found["discounts"]) == (8.0, 2.0)
    assert rows(ibis.memtable([amounts]).select(price=shelf_price)) == [{"price": 10.0}]
