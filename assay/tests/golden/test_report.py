"""Every report tells the same result: text, JSON and the page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from assay.compare.engine import compare
from assay.golden import text
from assay.golden.result import CaseResult, Comparison, GoldenResult, TableResult
from assay.report.golden_page import page
from assay.testing.browser import assert_is_read_by_everybody, needs_browser
from tests.golden.tree import FIVE_ORDERS, Tree
from tests.shop.project import ORDERS, shop_project

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """One case that differs, one that is new, one that cannot run, and an orphan."""
    tree = Tree(shop_project(tmp_path_factory.mktemp("red")))
    tree.accepted("changed")
    tree.write("changed/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26"))
    tree.write("changed/expected/old.ndjson", "")
    tree.case("fresh", {**FIVE_ORDERS, "case.yml": f"description: '{EVIL}'\ntables: [raw_orders]\n"})
    tree.case("stuck", {"case.yml": "description: x\ntables: [raw_orders]\n"})
    return tree


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def said(red: Tree, files: Path) -> str:
    """What one run prints; it writes the page too."""
    result = red.cli("--html", str(files / "report.html"))
    assert result.exit_code == 2
    return result.output


def test_the_text_is_what_a_person_needs(said: str) -> None:
    assert (
        "GOLDEN FAIL  case=changed  table=orders  key=(order_id)\n"
        "rows    4 -> 4   +0 added  -0 removed  ~1 changed  3 same\n"
        "  order_id=3  amount  7.25 -> 7.26  (+0.01)\n"
        "first table that differs: orders; 1 below it hidden: daily_sales\n"
        "accept: pipeline golden accept changed/orders     review: pipeline golden review\n"
    ) in said
    assert "table=daily_sales" not in said
    assert "GOLDEN NEW  case=fresh  table=raw_orders\nnew: 5 rows, and no golden to compare them with\n" in said
    assert "  order_id  email                ordered_on  amount\n" in said
    assert "GOLDEN ERROR  case=stuck  table=raw_orders\nproblem golden/stuck/case.yml:2: raw_orders reads" in said
    assert "GOLDEN ORPHANED" in said
    assert "  golden/changed/expected/old.ndjson\n" in said
    assert re.search(r"\n0 equal, 2 differ, 1 new, 1 could not run in 3 cases, \d+\.\d s\n", said)


def test_every_shows_what_follows_too(red: Tree) -> None:
    said = red.cli("changed", "--every").output
    assert "GOLDEN FAIL  case=changed  table=daily_sales" in said
    assert "first table that differs: orders (upstream)" in said


def test_json_has_everything_and_nothing_else_is_printed(red: Tree) -> None:
    said = red.cli("--json")
    data = json.loads(said.output)
    assert (said.exit_code, data["exit_code"], data["status"]) == (2, 2, "error")
    assert data["counts"] == {"equal": 0, "differs": 2, "missing": 1, "error": 1}
    assert data["orphans"] == ["golden/changed/expected/old.ndjson"]
    (orders,) = [table for table in data["cases"][0]["tables"] if table["table"] == "orders"]
    (rows, rejects) = orders["comparisons"]
    assert rows["difference"]["changes"][0]["cells"][0]["delta"] == "+0.01"
    assert rows["pending"].endswith("golden/.pending/changed/orders.ndjson.new")
    assert rejects["status"] == "equal"


class Page(HTMLParser):
    """Collects tags and their attributes, and checks that what is opened is closed."""

    VOID = ("meta", "link", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(said: str, files: Path) -> None:
    assert f"report: {files / 'report.html'}" in said
    html = (files / "report.html").read_text()
    parsed = Page(html)
    links = [value for _, attrs in parsed.tags for key, value in attrs.items() if key in ("src", "href")]
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    anchors = {attrs["id"] for _, attrs in parsed.tags if "id" in attrs}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert EVIL not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "pipeline golden accept changed/orders" in html
    assert "<title>Golden tests: 2 differ, 1 new, 1 could not run, 1 orphaned</title>" in html


def test_the_page_of_a_green_run(tree: Tree, tmp_path: Path) -> None:
    tree.accepted()
    assert tree.cli("--html", str(tmp_path / "report.html")).exit_code == 0
    html = (tmp_path / "report.html").read_text()
    Page(html)
    assert "<title>Golden tests: all equal</title>" in html
    assert "What to look at" not in html


def test_values_cannot_break_out_of_any_report() -> None:
    import duckdb

    evil = f"\x1b[31m{EVIL}]]>&%0A\u202e::error::\x00"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS id, $1 AS x", [evil])
        difference = compare(connection, "SELECT 1 AS id, 'a' AS x", "FROM t", key=["id"])
        added = compare(connection, "FROM t WHERE false", "FROM t", key=["id"])
    comparisons = (
        Comparison("t", "differs", difference, 1, ("id", "x")),
        Comparison("t", "differs", added, 1, ("id", "x")),
        Comparison("t.rejects", "missing", None, 1, ("x",), ((evil,),)),
    )
    tables = (TableResult(EVIL, "t", "s", "f.py", 1, comparisons, problems=(evil,)),)
    result = GoldenResult((CaseResult(EVIL, EVIL, EVIL, tables, error=evil, traceback=evil),), (evil,), (evil,))
    html = page(result)
    Page(html)
    assert html.count("<script>") == 1
    assert "\x1b" not in html
    assert "\\u001b[31m&lt;script&gt;" in html
    assert "\u202e" not in html
    assert "\\u001b[31m<script>" in "\n".join(text.details(result))


def test_a_report_that_cannot_be_written(tree: Tree, tmp_path: Path) -> None:
    tree.accepted()
    (tmp_path / "file").write_text("")
    said = tree.cli("--html", str(tmp_path / "file/report.html"))
    assert said.exit_code == 2
    assert "file/report.html: cannot be written" in said.stderr


@pytest.mark.browser
@needs_browser
def test_the_page_is_readable_on_a_phone_and_by_a_screen_reader(said: str, files: Path) -> None:
    assert_is_read_by_everybody(
        files / "report.html", ("changed", "orders", "7.25", "7.26", "pipeline golden accept changed/orders", EVIL)
    )
