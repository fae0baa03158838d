"""Coverage: what no case shows is told by name, and exemptions are neither forgotten nor kept for nothing."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from assay.errors import GoldenError
from assay.golden.coverage import Demand, coverage, demands, read_exemptions
from assay.golden.result import GoldenResult
from assay.tables.nodes import KeepFirst, Reference
from assay.testing.goldens import golden_gaps
from tests.golden.tree import FIVE_ORDERS, Tree
from tests.shop.project import shop_project

ORDER_RULES = """\
order_id,email,ordered_on,amount
1,ann@example.org,2026-03-01,1.00
1,ann@example.org,2026-03-01,1.00
\\N,\\N,\\N,\\N
-2,nobody,2026-03-01,-1.00
"""
WHOLE: dict[str, dict[str, str | bytes]] = {
    "five": {**FIVE_ORDERS, "case.yml": "description: Five orders\ntables: [raw_orders, orders, daily_sales]\n"},
    "unread": {
        "case.yml": "description: A line that is no order\ntables: [raw_orders]\n"
        "expects_checks: {raw_orders: [rows_valid]}\n",
        "inputs/shop_files/orders.csv": "order_id,email,ordered_on,amount\n1,a@b,today,1\n",
    },
    "changed": {
        "case.yml": "description: A column is gone\nexpects_error: {raw_orders: missing column 'amount'}\n",
        "inputs/shop_files/orders.csv": "order_id,email,ordered_on\n1,a@b,2026-03-01\n",
    },
    "broken": {
        "case.yml": "description: Every rule of orders\ntables: [orders]\n"
        "expects_checks: {orders: [rows_valid, unique_key]}\n",
        "inputs/tables/raw_orders.csv": ORDER_RULES,
    },
    "bug": {
        "case.yml": "description: A lost row\ntables: [orders]\nexpects_checks:\n  orders: [reconciles]\n",
        "inputs/tables/raw_orders.csv": ORDER_RULES[:66],
        "inputs/returned/orders.csv": "order_id,email,ordered_on,amount\n",
    },
    "sums": {
        "case.yml": "description: Wrong sums\ntables: [daily_sales]\n"
        "expects_checks:\n  daily_sales: [rows_valid, unique_key, sales_add_up_to_orders]\n",
        "inputs/tables/orders.csv": ORDER_RULES[:66],
        "inputs/returned/daily_sales.csv": "ordered_on,order_count,amount\n2026-03-01,1,1\n2026-03-01,1,1\n"
        "\\N,\\N,\\N\n2026-03-02,0,-1\n",
    },
}
"""Cases that show everything there is in the shop."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tree, GoldenResult]:
    """The shop with all of them, accepted, and a run of them."""
    tree = Tree(shop_project(tmp_path_factory.mktemp("whole")))
    for name, files in WHOLE.items():
        tree.case(name, files)
    tree.run()
    assert tree.cli("accept").exit_code == 0
    result = tree.run()
    assert result.exit_code == 0
    return tree, result


@pytest.fixture
def shown(tree: Tree, whole: tuple[Tree, GoldenResult]) -> Tree:
    """A copy of it to change."""
    shutil.copytree(whole[0].golden, tree.golden, dirs_exist_ok=True)
    return tree


def uncovered(tree: Tree) -> list[str]:
    found = json.loads(tree.cli("coverage", "--json").output)
    return [f"{d['table']} {d['name']}" for d in found["demands"] if d["status"] == "uncovered"]


@pytest.mark.slow
def test_all_is_shown_until_a_rule_is_not(shown: Tree) -> None:
    said = shown.cli("coverage", "--all")
    assert said.exit_code == 0, said.output
    assert "email.str_contains  broken" in said.output
    assert "reconciles  bug" in said.output
    assert "sales_add_up_to_orders  sums" in said.output
    assert "amount.ge_0  broken, five" in said.output
    shown.write("broken/inputs/tables/raw_orders.csv", ORDER_RULES.replace("nobody", "no@body"))
    shown.run()
    shown.cli("accept")
    said = shown.cli("coverage")
    assert said.exit_code == 3
    assert "orders  email.str_contains  (row rule)" in said.output
    assert uncovered(shown) == ["orders email.str_contains"]


@pytest.mark.parametrize(
    ("case", "gaps"),
    [
        ("unread", ["raw_orders rows_valid"]),
        ("changed", ["raw_orders schema"]),
        ("bug", ["orders reconciles"]),
        ("five", ["raw_orders golden", "orders golden", "daily_sales golden"]),
    ],
)
def test_what_a_case_showed_is_missing_without_it(whole: tuple[Tree, GoldenResult], case: str, gaps: list[str]) -> None:
    tree, result = whole
    rest = dataclasses.replace(result, cases=tuple(each for each in result.cases if each.name != case))
    found = coverage(tree.project.graph, rest, tree.golden)
    assert [f"{demand.table} {demand.name}" for demand in found.of("uncovered")] == gaps
    assert found.exit_code == 3


def test_one_case_alone_leaves_gaps(tree: Tree) -> None:
    tree.accepted()
    said = tree.cli("coverage")
    assert said.exit_code == 3
    assert "GAPS  orders" in said.output
    missing = uncovered(tree)
    assert "orders order_id.gt_0" in missing
    assert "orders amount.ge_0" not in missing
    assert "daily_sales unique_key" in missing
    assert "raw_orders golden" in missing


def test_a_case_that_differs_shows_nothing(shown: Tree) -> None:
    path = shown.golden / "broken/inputs/tables/raw_orders.csv"
    path.write_text(ORDER_RULES + "5,eva@example.org,2026-03-01,-7.00\n")
    said = shown.cli("coverage")
    assert said.exit_code == 1
    assert "broken/orders" in said.output
    assert "orders order_id.gt_0" in uncovered(shown)


def test_a_case_that_cannot_run_is_an_error(shown: Tree) -> None:
    (shown.golden / "broken/inputs/tables/raw_orders.csv").write_text("order_id\n1,2\n")
    said = shown.cli("coverage")
    assert said.exit_code == 2
    assert "  broken\n" in said.output


def test_an_exemption_stands_for_a_case_until_one_shows_it(tree: Tree) -> None:
    tree.accepted()
    gaps = [each.split() for each in uncovered(tree)]
    lines = {table: "".join(f"  {name}: There is no way.\n" for t, name in gaps if t == table) for table, _ in gaps}
    tree.write("exemptions.yml", "".join(f"{table}:\n{names}" for table, names in lines.items()))
    said = tree.cli("coverage", "--all")
    assert said.exit_code == 0, said.output
    assert "order_id.gt_0  There is no way." in said.output
    (tree.golden / "exemptions.yml").write_text("orders:\n  amount.ge_0: Nobody pays us to buy.\n")
    said = tree.cli("coverage")
    assert said.exit_code == 3
    assert "orders  amount.ge_0  by five" in said.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("order:\n  schema: x\n", "golden/exemptions.yml:1: no table named 'order'. Did you mean orders"),
        ("orders:\n  amount.ge0: x\n", "golden/exemptions.yml:2: nobody asks 'orders' for 'amount.ge0'. Did you mean"),
        ("orders:\n  schema: x\n", "golden/exemptions.yml:2: nobody asks 'orders' for 'schema'"),
        ("orders:\n  amount.ge_0:\n", "golden/exemptions.yml:2: 'amount.ge_0' is exempt without a reason"),
        ("orders: all of it\n", "golden/exemptions.yml:1: 'orders' is no mapping"),
        ("- orders\n", "golden/exemptions.yml:1: holds no mapping"),
    ],
)
def test_a_malformed_exemption_is_one_line(tree: Tree, text: str, message: str) -> None:
    tree.write("exemptions.yml", text)
    said = tree.cli("coverage")
    assert said.exit_code == 2
    assert message in said.stderr
    assert said.stderr.count("\n") == 1


def test_what_is_asked_for_follows_the_declarations(tree: Tree) -> None:
    graph = tree.project.graph

    def names(**changes: object) -> set[str]:
        return {each.name for each in demands(graph, dataclasses.replace(graph.tables["orders"], **changes))}  # type: ignore[arg-type]

    plain = names()
    assert {"golden", "unique_key", "reconciles", "amount.ge_0", "email.not_null"} <= plain
    assert names(preserves=None) == plain - {"reconciles"}
    assert names(keep=KeepFirst(("email",))) == plain - {"unique_key"} | {"unique_key.repeat"}
    assert names(references=(Reference(("order_id",), "raw_orders"),)) == plain | {"order_id_in_raw_orders"}
    assert names(source=graph.tables["raw_orders"].source) == plain | {"schema"}


def test_an_exemption_for_another_name_covers_nothing(tmp_path: Path) -> None:
    path = tmp_path / "exemptions.yml"
    path.write_text("orders:\n  a: Because.\n")
    asked = [Demand("orders", "a", "row rule"), Demand("orders", "b", "row rule")]
    assert read_exemptions(path, asked) == {("orders", "a"): "Because."}
    with pytest.raises(GoldenError, match="nobody asks"):
        read_exemptions(path, asked[1:])


def test_pytest_names_the_gaps(tree: Tree) -> None:
    tree.accepted()
    assert "orders  order_id.gt_0  (row rule)" in golden_gaps(tree.project)
