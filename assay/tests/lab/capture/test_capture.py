"""Cases cut out of a real warehouse: whole, small, masked, the same every time."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from assay.build import build
from assay.errors import GoldenError
from assay.golden.case import NOW
from assay.lab.capture.capture import capture
from assay.lab.capture.pseudonyms import Pseudonyms
from assay.tables.run import Run
from assay.warehouse.warehouse import DuckDBWarehouse
from tests.golden.tree import Tree
from tests.shop.project import ORDERS, shop_project


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of five orders, of which one is rejected, to be copied."""
    project = shop_project(tmp_path_factory.mktemp("built"))
    settings = project.settings()
    with DuckDBWarehouse.of(settings).session() as session, project.sources(settings) as sources:
        result = build(project.graph, project.graph.tables, session, Run(id="r", now=NOW, seed=1), sources)
    assert result.ok
    return settings.warehouse


@pytest.fixture
def built(tree: Tree, warehouse: Path) -> Tree:
    """The shop with that warehouse."""
    copy = tree.project.settings().warehouse
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(warehouse, copy)
    return tree


def _texts(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())


def test_chosen_rows_come_with_what_they_are_made_from(built: Tree) -> None:
    done = built.cli("capture", "two", "--from", "orders", "--where", "order_id IN (2, 3)")
    assert done.exit_code == 0, done.stderr
    rows = (built.golden / "two/inputs/tables/raw_orders.csv").read_text().splitlines()
    assert rows[0] == "order_id,email,ordered_on,amount"
    assert sorted(row.split(",")[0] for row in rows[1:]) == ["2", "3"]
    assert built.store.names() == [("two", "orders")]
    assert len(built.store.read("two", "orders").rows) == 2


def test_classified_values_never_stand_in_the_files(built: Tree) -> None:
    built.cli("capture", "all", "--from", "orders", "--where", "email = 'bob@example.org' OR order_id > 2")
    text = _texts(built.golden)
    emails = re.findall(r"[a-z]+@[a-z]+\.org", ORDERS)
    assert len(emails) == 5
    assert not [email for email in emails if email in text]
    assert len(re.findall(r"[a-z]{3}@[a-z]{7}\.[a-z]{3}", text)) >= 3


def test_the_same_rows_give_the_same_files(built: Tree) -> None:
    for name in ("one", "other"):
        built.cli("capture", name, "--from", "orders", "--limit", "3")
    assert _texts(built.golden / "one") == _texts(built.golden / "other")


def test_a_table_of_sums_takes_the_rows_it_sums(built: Tree) -> None:
    built.cli("capture", "day", "--from", "daily_sales", "--where", "order_count > 1")
    rows = (built.golden / "day/inputs/tables/orders.csv").read_text().splitlines()
    assert [row.split(",")[2] for row in rows[1:]] == ["2026-03-01", "2026-03-01"]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["x", "--from", "raw_orders"], "Capture from what reads it: --from orders."),
        (["x", "--from", "letter"], "exported file"),
        (["x", "--from", "order"], "Did you mean orders"),
        (["x", "--from", "orders", "--where", "nothing > 1"], "--where cannot be run"),
        (["x", "--from", "orders", "--where", "order_id > 99"], "no row is chosen"),
        (
            ["x", "--from", "orders", "--where", "true) UNION ALL FROM read_csv('/etc/passwd') --"],
            "--where cannot be run",
        ),
        (["X Y", "--from", "orders"], "no name for a case"),
        (["x", "--from", "orders", "--ci"], "in CI no case is written"),
    ],
)
def test_what_cannot_be_captured_is_one_line_and_no_folder(built: Tree, args: list[str], complaint: str) -> None:
    done = built.cli("capture", *args)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert not (built.golden / "x").exists()


def test_without_a_warehouse_there_is_nothing_to_capture(tree: Tree) -> None:
    assert "Run the pipeline first" in tree.cli("capture", "x", "--from", "orders").stderr


@pytest.mark.parametrize(
    ("value", "type_", "shape"),
    [
        ("ann@example.org", "VARCHAR", r"[a-z]{3}@[a-z]{7}\.[a-z]{3}"),
        ("Anna 5b", "VARCHAR", r"[A-Z][a-z]{3} \d[a-z]"),
        ("35-44", "VARCHAR", r"\d\d-\d\d"),
        ("-1204", "BIGINT", r"-[1-9]\d{3}"),
        ("0.50", "DECIMAL(12,2)", r"0\.\d\d"),
        ("2017-03-01", "DATE", r"201[67]-\d\d-\d\d"),
        ("2017-03-01 10:20:30+00", "TIMESTAMP WITH TIME ZONE", r"201[67]-\d\d-\d\d 00:00:00\+00"),
    ],
)
def test_a_pseudonym_keeps_type_and_shape(value: str, type_: str, shape: str) -> None:
    changed = Pseudonyms("salt").of(value, type_)
    assert changed is not None
    assert re.fullmatch(shape, changed)
    assert changed != value
    assert changed == Pseudonyms("salt").of(value, type_) != Pseudonyms("other").of(value, type_)


def test_many_values_stay_apart() -> None:
    pseudonyms = Pseudonyms("salt")
    assert len({pseudonyms.of(f"customer{n:04}@example.org", "VARCHAR") for n in range(500)}) == 500
    assert pseudonyms.of(None, "VARCHAR") is None


def test_tables_of_another_engine_are_not_cut(built: Tree) -> None:
    project, settings = built.project, built.project.settings().model_copy(update={"engine": "spark"})
    with pytest.raises(GoldenError, match="tables that DuckDB keeps; these are spark's"):
        capture(dataclasses.replace(project, settings=lambda: settings), "two", "orders", "true", 1)
    assert not (built.golden / "two").exists()
