"""`pipeline docs`: what the page says of tables, rules, cases and numbers, and what it never says."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import re
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from click.testing import CliRunner
from pandera.typing.ibis import Table

from assay import public, secret, table
from assay.build import build
from assay.commands.docs_command import docs
from assay.project import Project
from assay.report.catalog import Catalog, NodeFacts, catalog, source_text
from assay.report.catalog_page import page
from assay.sources import Csv, Parquet
from assay.tables.fresh import Fresh
from assay.tables.graph import Graph
from assay.tables.run import Run
from assay.testing.browser import assert_fits, assert_readable_aloud, chromium, needs_browser, silent_page
from assay.testing.tree import with_graph
from assay.warehouse.warehouse import DuckDBWarehouse
from tests.golden.tree import Tree
from tests.shop.project import ORDERS, shop_project
from tests.warehouse.test_connection import held


def built(project: Project) -> Project:
    settings = project.settings()
    with (
        DuckDBWarehouse.of(settings).session() as session,
        project.sources(settings) as sources,
    ):
        assert build(project.graph, project.graph.nodes, session, Run.start(), sources).ok
    return project


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The shop, published, with the golden case `five`."""
    project = built(shop_project(tmp_path_factory.mktemp("shop")))
    Tree(project).accepted("five")
    return project


def called(project: Project, *arguments: str) -> str:
    done = CliRunner().invoke(docs, arguments, obj=project, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def facts(found: Catalog, name: str) -> NodeFacts:
    return next(each for each in found.nodes if each.node.name == name)


@pytest.fixture(scope="module")
def written(shop: Project) -> Path:
    said = called(shop, "--workers", "1")
    assert "Numbers: data/warehouse.duckdb.\n" in said
    assert re.search(r"Golden cases show \d+ of \d+ rules, checks and outputs\.\n", said)
    return shop.root / "build" / "docs.html"


def test_a_rule_stands_with_the_cases_that_break_it(shop: Project, written: Path) -> None:
    html = written.read_text()
    row = re.search(r'<div title="amount.ge_0">(.*?)</div>', html, re.S)
    assert row is not None
    assert "&gt;= 0" in row[1]
    assert "✓ five" in row[1]
    unbroken = re.search(r'<div title="email.str_contains">(.*?)</div>', html, re.S)
    assert unbroken is not None
    assert "no case breaks it" in unbroken[1]


def test_tables_are_counted_and_what_warned_did_not_fail(written: Path) -> None:
    html = written.read_text()
    assert "3 tables and 1 file made from them." in html
    assert html.count('<span class="changed-text">warned</span>') == 1
    assert '<span class="failed">failed' not in html


def test_no_value_of_a_row_is_on_the_page(written: Path) -> None:
    html = written.read_text()
    assert [line for line in ORDERS.splitlines()[1:] if line.split(",")[1] in html] == []


def test_the_numbers_are_those_of_the_books(shop: Project) -> None:
    found = facts(catalog(shop, None), "orders")
    assert found.last is not None
    assert (found.last.rows, found.last.rejected, found.outdated, found.failed) == (4, 1, (), None)
    assert {check.name: check.verdict for check in found.checks}["rows_valid"] == "failed"
    assert found.compared is None


def test_where_columns_come_from_is_told_without_a_warehouse(tmp_path: Path) -> None:
    found = catalog(shop_project(tmp_path), None)
    assert found.numbers == "No numbers: there is no warehouse at data/warehouse.duckdb yet."
    daily = {each.column.name: each.origins for each in facts(found, "daily_sales").columns}
    assert daily["amount"] == (("orders", "amount"),)
    assert daily["order_count"] == ()
    assert {each.column.name: each.origins for each in facts(found, "raw_orders").columns}["email"] == (
        ("source", "email"),
    )
    assert "SUM(" in facts(found, "daily_sales").sql
    assert facts(found, "orders").readers == ("daily_sales",)
    assert not (tmp_path / "data").exists()  # nothing was written, nor made


def test_a_warehouse_that_a_run_holds_is_not_waited_for(tmp_path: Path) -> None:
    project = built(shop_project(tmp_path))
    with held(project.settings().warehouse):
        found = catalog(project, None)
        assert re.match(r"No numbers: data/warehouse.duckdb could not be read. process \d+ ", found.numbers)
        assert facts(found, "orders").last is None
        copy = tmp_path / "copy.duckdb"
        copy.write_bytes(project.settings().warehouse.read_bytes())
        settings = project.settings().model_copy(update={"snapshot": copy})
        found = catalog(dataclasses.replace(project, settings=lambda: settings), None)
    assert found.numbers == "Numbers: copy.duckdb."
    assert facts(found, "orders").last is not None


def test_a_file_that_is_no_warehouse_is_told(tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    project.settings().warehouse.parent.mkdir()
    project.settings().warehouse.write_text("no database")
    assert "is no DuckDB database" in catalog(project, None).numbers


def test_what_has_changed_since_is_told(shop: Project) -> None:
    nodes = [
        dataclasses.replace(node, function=lambda raw_orders: raw_orders.limit(3)) if node.name == "orders" else node
        for node in shop.graph
    ]
    edited = with_graph(shop, Graph.of([*nodes, *shop.graph.invariants.values()]))
    found = catalog(edited, None)
    assert facts(found, "orders").outdated == ("its code has changed",)
    assert facts(found, "raw_orders").outdated == ()
    assert '<span class="badge missing">outdated</span>' in page(found)


def test_a_build_that_failed_is_told(tmp_path: Path) -> None:
    project = built(shop_project(tmp_path))
    (tmp_path / "inputs" / "orders.csv").write_text(ORDERS.replace("99.99", "-1").replace("7.25", "-2"))
    settings = project.settings()
    with DuckDBWarehouse.of(settings).session() as session, project.sources(settings) as sources:
        assert not build(project.graph, ["raw_orders", "orders"], session, Run.start(), sources).ok
    found = catalog(project, None)
    assert facts(found, "orders").failed is not None
    assert facts(found, "orders").last is not None
    assert facts(found, "daily_sales").failed is None
    assert "readers have the version of before" in page(found)


def test_cases_that_differ_show_nothing(tmp_path: Path) -> None:
    tree = Tree(shop_project(tmp_path))
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26"))
    assert "Not counted, because they did not come out as expected: five/orders" in called(
        tree.project, "--workers", "1"
    )


def test_a_project_without_cases_or_tables(tmp_path: Path) -> None:
    empty = with_graph(shop_project(tmp_path), Graph.of([]))
    said = called(empty, "--out", str(tmp_path / "page.html"))
    assert "The golden cases were not run" in said
    html = (tmp_path / "page.html").read_text()
    assert "There is no table yet." in html
    assert "<script>" not in html


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(
        docs, ["--no-golden", "--out", str(tmp_path / "file" / "page.html")], obj=shop_project(tmp_path)
    )
    assert "file/page.html" in str(done.exception)


def test_a_source_is_told_as_its_file_writes_it_and_no_longer_than_a_line() -> None:
    assert source_text(Parquet("files", "a.parquet")) == "Parquet('files', 'a.parquet')"
    many = Csv("files", "a.csv", columns={f"column_{number}": "VARCHAR" for number in range(50)}, delimiter=";")
    assert source_text(many) == "Csv('files', 'a.csv', columns=50 of them, delimiter=';')"


class Odd(pa.DataFrameModel):
    price: dt.Float64 = pa.Field(
        alias="<b>\"Größe\" & 'ü' €\u202e", ge=0, metadata=public, description="<script>alert(1)</script>"
    )
    token: dt.String = pa.Field(nullable=True, metadata=secret)

    class Config:
        strict = True


@table(source=Parquet("files", "</script><script>alert(2)</script>"), owner="team:ü", tags={"a": "<i>"})
def größen_des_lagers(source: ibis.Table) -> Table[Odd]:
    """One <b>row</b> per thing."""
    return source


@table(may_shrink=1, fresh=Fresh.within(dtm.timedelta(hours=30)))
def needs_rows(größen_des_lagers: Table[Odd]) -> Table[Odd]:
    """Looks at a row before it says what it is."""
    return größen_des_lagers.mutate(token=größen_des_lagers.execute().iloc[0, 1])


@pytest.fixture
def odd(tmp_path: Path) -> Project:
    return with_graph(shop_project(tmp_path), Graph.of([größen_des_lagers, needs_rows]))


def test_no_name_breaks_out_of_the_page(odd: Project) -> None:
    html = page(catalog(odd, None))
    assert "<script>alert" not in html
    assert "<b>" not in html
    assert "\u202e" not in html
    assert html.count("</script>") == 1


def test_a_function_that_needs_rows_is_not_guessed_at(odd: Project) -> None:
    found = facts(catalog(odd, None), "needs_rows")
    assert found.computed == "What its columns come from cannot be told: its function needs rows to run."
    assert [each.origins for each in found.columns] == [(), ()]
    assert found.facts["may shrink by"] == "100%"
    assert found.facts["must be"] == "built within 1 d 6 h"


@needs_browser
@pytest.mark.browser
def test_the_page_is_read_by_everybody_and_found_through(written: Path, odd: Project) -> None:
    strange = written.with_name("odd.html")
    strange.write_text(page(catalog(odd, None)))
    with chromium() as browser:
        for file, name, column in ((written, "orders", "email"), (strange, "größen_des_lagers", "größe")):
            for width in (390, 768, 1280):
                with silent_page(browser, file, width) as opened:
                    assert_fits(opened)
                    assert_readable_aloud(opened)
                    opened.locator(f'.lineage a[data-name="{name}"]').click()
                    chosen = opened.locator(f'details.table[data-name="{name}"]')
                    assert chosen.get_attribute("open") is not None
                    assert_fits(opened)
                    opened.locator("#find").fill(column)
                    assert chosen.is_visible()
                    assert column in chosen.locator(".hits").inner_text().lower()
                    assert chosen.locator("tr.hit").count() == 1
                    opened.locator("#find").fill("no such thing")
                    assert not chosen.is_visible()
                    assert opened.locator("#count").inner_text().startswith("0 of ")
                    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
                    assert opened.locator("details.table:not([open])").count() == 0
        with silent_page(browser, written, 1280) as opened:
            # What one table is made from and read by stays lit.
            opened.locator('.lineage a[data-name="raw_orders"]').hover()
            assert opened.locator(".lineage a.off").count() == 0
            opened.emulate_media(color_scheme="dark")
            assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
            opened.emulate_media(media="print")
            assert not opened.locator(".find").is_visible()
