"""Failing cases reduced to the fewest rows that fail in the same way."""

from __future__ import annotations

from typing import Any

import ibis

from assay.lab.ddmin import ddmin
from assay.lab.shrink import shrink
from assay.tables.graph import Graph
from tests.golden.tree import FIVE_ORDERS, Tree, with_graph
from tests.shop.project import ORDERS

FIFTY = "order_id,email,ordered_on,amount\n" + "".join(
    f"{number},a{number}@example.org,2026-03-01,{number}.00\n" for number in range(1, 51)
)


def _fifty(tree: Tree) -> None:
    tree.accepted("fifty", {**FIVE_ORDERS, "inputs/shop_files/orders.csv": FIFTY})


def _doubled(raw_orders: Any) -> Any:
    wrong = raw_orders.order_id == 37
    return raw_orders.mutate(amount=ibis.ifelse(wrong, ibis.literal("74.00").cast("decimal(12, 2)"), raw_orders.amount))


def _without_the_second(orders: Any) -> Any:
    kept = orders.filter(orders.ordered_on != "2026-03-02")
    return kept.group_by("ordered_on").agg(order_count=kept.count(), amount=kept.amount.sum())


def test_ddmin_finds_the_two_that_matter_together() -> None:
    assert ddmin(range(100), lambda items: 13 in items and 77 in items) == [13, 77]
    assert ddmin([1, 2, 3], lambda items: True) == []


def test_fifty_orders_become_the_one_that_is_wrong(tree: Tree) -> None:
    _fifty(tree)
    found = shrink(tree.with_code(orders=_doubled).project, "fifty/orders")
    assert found.before == 50
    assert found.rows == {"shop_files/orders.csv": ("37,a37@example.org,2026-03-01,37.00",)}
    assert str(found.failure) == "order_id=37: amount is 74.00"


def test_a_day_that_is_missing_keeps_its_orders(tree: Tree) -> None:
    tree.accepted("five")
    changed = tree.with_code(daily_sales=_without_the_second).project
    # The invariant would say it first.
    changed = with_graph(changed, Graph.of(changed.graph.nodes.values()))
    found = shrink(changed, "five/daily_sales")
    assert str(found.failure) == "ordered_on=2026-03-02 is missing"
    assert found.rows == {"shop_files/orders.csv": ("3,cem@example.org,2026-03-02,7.25",)}


def test_a_check_that_fails_is_kept(tree: Tree) -> None:
    tree.accepted("five")
    found = shrink(tree.with_code(daily_sales=_without_the_second).project, "five/daily_sales")
    assert "sales_add_up_to_orders" in found.failure.text
    # Without any sale there is no sum that could differ: one other order belongs to it.
    assert len(found.rows["shop_files/orders.csv"]) == 2
    assert "3,cem@example.org,2026-03-02,7.25" in found.rows["shop_files/orders.csv"]


def test_what_is_left_can_become_a_case(tree: Tree) -> None:
    tree.accepted("five")
    changed = tree.with_code(orders=lambda raw_orders: raw_orders.mutate(email=raw_orders.email.upper()))
    done = changed.cli("shrink", "five/orders", "--to", "loud")
    assert done.exit_code == 0
    assert "1 of 5 input rows" in done.stdout
    text = (tree.golden / "loud/inputs/shop_files/orders.csv").read_text()
    assert text == "order_id,email,ordered_on,amount\n1,ann@example.org,2026-03-01,10.00\n"
    assert tree.run("loud").exit_code == 3
    assert (tree.golden / "five/inputs/shop_files/orders.csv").read_text() == ORDERS


def test_a_case_that_passes_cannot_be_shrunk(tree: Tree) -> None:
    tree.accepted("five")
    done = tree.cli("shrink", "five/orders")
    assert done.exit_code == 2
    assert "five/orders: does not fail" in done.stderr


def test_an_error_of_the_table_is_kept(tree: Tree) -> None:
    def orders(raw_orders: Any) -> Any:
        return raw_orders.mutate(
            amount=(raw_orders.amount / (raw_orders.order_id - 37)).cast("int8").cast("decimal(12, 2)")
        )

    files = {**FIVE_ORDERS, "inputs/shop_files/orders.csv": FIFTY.replace("50.00", "6000.00")}
    tree.case("fifty", files)
    found = shrink(tree.with_code(orders=orders).project, "fifty/orders")
    assert found.failure.kind in ("error", "check")
    assert found.after == 1


def test_unknown_addresses_are_one_line(tree: Tree) -> None:
    tree.accepted("five")
    done = tree.cli("shrink", "five/letter")
    assert done.exit_code == 2
    assert "Under test: orders, daily_sales." in done.stderr
