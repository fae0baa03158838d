"""The documents as a site: all of them, whole, searched, and nothing fetched when they are read."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.testing.browser import chromium, needs_browser, silent_page
from pipeline_project_tests import documents
from pipeline_project_tests.repository import ROOT

PACKAGES = ROOT / ".venv" / "site"
CONFIG = "docs/site/mkdocs.yml"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PACKAGES / "mkdocs").is_dir() and not os.environ.get("CI"),
        reason="`make site` installs what builds it; CI does",
    ),
]


def build(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONPATH": f"{PACKAGES}{os.pathsep}{folder / 'assay/src'}",
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", CONFIG, "-d", str(target)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once for all processes of a run of tests; CI keeps it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder = ROOT / "build" / "site" if os.environ.get("CI") else shared / "site"
    with (shared / "site.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            done = build(ROOT, folder)
            assert done.returncode == 0, done.stdout + done.stderr
            lock.write("built")
    return folder


def fetched(text: str) -> Iterator[str]:
    """What a browser would fetch from elsewhere to show this page or sheet; a link that a reader follows is none."""
    for tag in re.findall(r"<(?!a\b)[a-z][^>]*>", text):
        yield from re.findall(r"""(?:src|href|srcset|poster)=["']?((?:https?:)?//[^"'\s>]+)""", tag)
    yield from re.findall(r"""(?:url\(|@import\s+)["']?((?:https?:)?//[^"')\s]+)""", text)


def test_every_document_and_every_public_name_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert [page for page in pages if not (site / page).is_file()] == []
    assert "pipeline_project" in (site / "index.html").read_text(encoding="utf-8")
    import assay
    import assay.sources

    for module in (assay, assay.sources):
        text = (site / "reference" / f"{module.__name__}.html").read_text(encoding="utf-8")
        assert [name for name in module.__all__ if f'id="{module.__name__}.{name}"' not in text] == []


def test_nothing_is_fetched_when_it_is_read(site: Path) -> None:
    found = {
        f"{file.relative_to(site)}: {address}"
        for file in site.rglob("*")
        if file.suffix in (".html", ".css")
        for address in fetched(file.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://a.b/c.js"></script>',
        "<link rel=stylesheet href=//a.b/c.css>",
        "body { background: url('https://a.b/c.png') }",
        '@import "https://a.b/c.css";',
    ],
)
def test_what_would_be_fetched_is_seen(text: str) -> None:
    assert len(list(fetched(text))) == 1
    assert list(fetched('<a href="https://a.b">')) == []


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    copy = documents.copied(tmp_path / "copy")
    page = copy / "docs" / "catalog.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[gone](gone.md)\n", encoding="utf-8")
    hooks = copy / "docs" / "site" / "hooks.py"  # without the reference, which takes most of the time
    hooks.write_text(re.sub(r"(?m)^FACES = .*", "FACES = ()", hooks.read_text(encoding="utf-8")), encoding="utf-8")
    done = build(copy, tmp_path / "site")
    told = done.stdout + done.stderr
    assert (done.returncode, "gone.md" in told, "with 1 warnings in strict mode" in told) == (1, True, True), told


@needs_browser
@pytest.mark.browser
def test_it_is_read_and_searched_in_a_folder(site: Path) -> None:
    with chromium() as browser:
        for width in (390, 1280):
            for name in ("index", "operations", "reference/assay.sources"):
                with silent_page(browser, site / f"{name}.html", width) as page:
                    assert page.evaluate("document.documentElement.scrollWidth") == width
        with silent_page(browser, site / "index.html", 1280) as page:
            page.locator("input.md-search__input").click()
            page.keyboard.type("quarantine")
            page.locator(".md-search-result__meta", has_text="matching").wait_for()
            assert page.locator(".md-search-result__item").count() > 2
