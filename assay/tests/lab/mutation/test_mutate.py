"""Mutants of a small table: killed, survivors with the row that would kill them, equivalents with a reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.lab.mutation.mutate import mutate
from assay.lab.mutation.search import ddmin
from tests.golden.tree import FIVE_ORDERS, Tree
from tests.shop.project import shop_project


def _sales_from_7(orders: Any) -> Any:
    sold = orders.filter(orders.amount >= 5)
    return sold.group_by("ordered_on").agg(order_count=sold.count(), amount=sold.amount.sum())


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The goldens of the sales, to be copied."""
    tree = Tree(shop_project(tmp_path_factory.mktemp("sales"))).with_code(daily_sales=_sales_from_7)
    tree.accepted("five", FIVE_ORDERS)
    return tree.golden


@pytest.fixture
def sales(tree: Tree, accepted: Path) -> Tree:
    """`daily_sales` counts orders from 5 euros on, and one case shows it."""
    shutil.copytree(accepted, tree.golden, dirs_exist_ok=True)
    return tree.with_code(daily_sales=_sales_from_7)


def _survivors(tree: Tree, *selection: str) -> dict[tuple[str, str], Any]:
    result = mutate(tree.project, selection)
    return {(o.mutant.before, o.mutant.after): o for o in result.of("survived")}


@pytest.mark.slow
def test_a_survivor_is_told_with_rows_that_kill_it(sales: Tree) -> None:
    found = _survivors(sales)
    boundary = found["amount >= 5", "amount > 5"]
    assert boundary.rows is not None
    ((table, row),) = boundary.rows
    assert table == "orders"
    assert float(row["amount"]) == 5
    assert "5" in str(found["amount >= 5", "amount >= 6"].rows)


@pytest.mark.slow
def test_the_row_that_was_told_kills_it(sales: Tree) -> None:
    order = "6,f@example.org,2026-03-05,5.00\n"
    sales.write("five/inputs/shop_files/orders.csv", str(FIVE_ORDERS["inputs/shop_files/orders.csv"]) + order)
    sales.run()
    sales.cli("accept")
    assert ("amount >= 5", "amount > 5") not in _survivors(sales)


def test_mutants_are_killed_by_rows_and_the_rate_decides(sales: Tree) -> None:
    done = sales.cli("mutate", "--json")
    told = json.loads(done.stdout)
    killed = {(m["operator"], m["before"]): m["killed_by"] for m in told["mutants"] if m["status"] == "killed"}
    assert killed["aggregate", "SUM(amount)"] == "five"
    assert killed["aggregate", "COUNT(*)"] == "five"
    assert 0 < told["rate"] < 0.9
    assert done.exit_code == 1
    assert sales.cli("mutate", "--no-search", "--min", str(told["rate"] * 100 - 1)).exit_code == 0


@pytest.mark.slow
def test_text_names_table_operator_fragment_and_row(sales: Tree) -> None:
    text = sales.cli("mutate", "daily_sales").stdout
    assert "SURVIVED  table=daily_sales  operator=comparison\n  before  amount >= 5\n  after   amount > 5\n" in text
    assert "amount=5" in text
    assert "raw_orders" not in text


def test_tables_without_sql_are_said_to_be(sales: Tree) -> None:
    text = sales.cli("mutate", "--no-search").stdout
    assert "its SQL only selects columns" in text


def test_an_annotated_survivor_does_not_count(sales: Tree) -> None:
    sales.write(
        "equivalent_mutants.yml",
        "mutants:\n- {table: daily_sales, operator: comparison, before: amount >= 5, after: amount > 5, reason: none}\n",
    )
    told = json.loads(sales.cli("mutate", "daily_sales", "--json", "--no-search").stdout)
    assert [m["reason"] for m in told["mutants"] if m["status"] == "equivalent"] == ["none"]


@pytest.mark.parametrize(
    ("before", "complaint"), [("amount >= 4", "matches no mutant"), ("SUM(amount)", "is killed by a case")]
)
def test_an_annotation_that_no_longer_holds_is_an_error(sales: Tree, before: str, complaint: str) -> None:
    operator, after = ("comparison", "amount > 4") if ">" in before else ("aggregate", "MAX(amount)")
    entry = f"table: daily_sales, operator: {operator}, before: {before}, after: {after}, reason: none"
    sales.write("equivalent_mutants.yml", f"mutants:\n- {{{entry}}}\n")
    done = sales.cli("mutate", "daily_sales", "--no-search", "--min", "0")
    assert done.exit_code == 2
    assert f"golden/equivalent_mutants.yml:2: {complaint}" in done.stdout


@pytest.mark.parametrize("text", ["mutants: 3\n", "mutants: [3]\n", "mutants: [{table: a}]\n", "other: []\n"])
def test_a_malformed_annotation_is_one_line(sales: Tree, text: str) -> None:
    sales.write("equivalent_mutants.yml", text)
    done = sales.cli("mutate", "--no-search")
    assert done.exit_code == 2
    assert "equivalent_mutants.yml:1" in done.stderr


def test_a_table_that_no_case_compares_is_killed_downstream(tree: Tree) -> None:
    def orders(raw_orders: Any) -> Any:
        return raw_orders.mutate(amount=raw_orders.amount + 1)

    changed = tree.with_code(orders=orders)
    files = dict(FIVE_ORDERS)
    files["case.yml"] = "description: Sums\ntables: [daily_sales]\n"
    changed.accepted("sums", files)
    result = mutate(changed.project, ["orders"], search=False)
    minus = next(o for o in result.outcomes if o.mutant.operator == "arithmetic")
    assert (minus.status, minus.by) == ("killed", "sums")


def test_a_case_that_fails_as_it_is_judges_nothing(sales: Tree) -> None:
    sales.write("five/inputs/shop_files/orders.csv", "order_id,email,ordered_on,amount\n")
    done = sales.cli("mutate")
    assert done.exit_code == 2
    assert "five: does not pass as it is" in done.stderr


def test_an_unknown_name_is_answered_with_a_close_one(sales: Tree) -> None:
    done = sales.cli("mutate", "daily_sale")
    assert done.exit_code == 2
    assert "Did you mean daily_sales?" in done.stderr


def test_ddmin_finds_the_two_that_matter_together() -> None:
    assert ddmin(range(100), lambda items: 13 in items and 77 in items) == [13, 77]
    assert ddmin([1, 2, 3], lambda items: True) == []
