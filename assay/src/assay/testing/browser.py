"""Pages in a real browser: opened from a file, silent, readable at a width, and usable without a mouse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
WIDTHS = (390, 1440)
"""A phone's and a desktop's, in pixels."""
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium here; CI installs one"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, started and closed again."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "CI must have a Chromium: apt-get install chromium"
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield opened
        opened.close()


@contextmanager
def silent_page(browser: Browser, file: Path, width: int) -> Iterator[Page]:
    """The page in `file`, open at `width`; it must say nothing on the console and ask nobody for anything."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda asked: told.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    page.goto(file.as_uri())
    yield page
    page.close()
    assert told == []


def assert_is_read_by_everybody(file: Path, told: Iterable[str]) -> None:
    """The page in `file` holds on a phone and on a desktop, for a screen reader too, and says all that is `told`."""
    with chromium() as browser:
        for width in WIDTHS:
            with silent_page(browser, file, width) as page:
                assert_fits(page)
                assert_readable_aloud(page)
                shown = page.locator("body").inner_text()
                assert [text for text in told if text not in shown] == []


def assert_fits(page: Page) -> None:
    """Nothing is wider than the window; what scrolls inside has a frame of its own that the keyboard can reach."""
    assert page.viewport_size is not None
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    unreachable = page.evaluate(
        """[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1
            && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tabIndex < 0).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert unreachable == []


def assert_readable_aloud(page: Page) -> None:
    """What a screen reader and a keyboard need: language, one title, headings in order, names, unique ids."""
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title()
    assert page.locator("h1").count() == 1
    levels = [int(tag[1]) for tag in page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(e => e.tagName)")]
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    assert all(page.locator("svg[role=img], img").evaluate_all("all => all.map(e => e.ariaLabel || e.alt)"))
    assert all(page.locator("a, button, summary").evaluate_all("all => all.map(e => e.textContent.trim())"))
    assert all(page.locator("thead th").evaluate_all("all => all.map(e => e.textContent.trim() || e.ariaLabel)"))
    ids = page.locator("[id]").evaluate_all("all => all.map(e => e.id)")
    assert len(ids) == len(set(ids))
