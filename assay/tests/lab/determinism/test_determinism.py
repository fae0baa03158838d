"""For every axis a table that depends on it, and the case that does not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import ibis
import pytest

from assay.golden.case import read_case
from assay.lab.determinism.variants import first_events, shuffled
from assay.lab.determinism.vary import determinism
from assay.tables.graph import Graph
from tests.golden.tree import FIVE_ORDERS, Tree, with_graph

TIED = "order_id,email,ordered_on,amount\n" + "".join(
    f"{number},a{number}@example.org,2026-03-01,{number}.00\n" for number in range(1, 9)
)


def _with(tree: Tree, **functions: Any) -> Tree:
    """Other functions for some tables, which no invariant judges."""
    changed = tree.with_code(**functions).project
    return Tree(with_graph(changed, Graph.of(changed.graph.nodes.values())))


def _varies(tree: Tree) -> dict[str, tuple[str, str | None]]:
    (checked,) = determinism(tree.project)
    return {found.axis: (found.table, found.column) for found in checked.variations}


def test_the_shop_gives_the_same_rows(tree: Tree) -> None:
    tree.accepted("five")
    done = tree.cli("determinism")
    assert done.exit_code == 0
    assert "ok      five  (rerun, shuffled inputs, threads, time zone)" in done.stdout


@pytest.mark.slow
def test_chance_is_named_by_rerun(tree: Tree) -> None:
    def daily_sales(orders: Any) -> Any:
        sums = orders.group_by("ordered_on").agg(order_count=orders.count())
        return sums.mutate(amount=(ibis.random() * 1_000_000).cast("decimal(38, 2)"))

    tree.accepted("five")
    changed = _with(tree, daily_sales=daily_sales)
    assert _varies(changed)["rerun"] == ("daily_sales", "amount")
    done = changed.cli("determinism", "five")
    assert done.exit_code == 1
    assert "axis=rerun  table=daily_sales  column=amount" in done.stdout


def test_the_order_of_rows_is_named(tree: Tree) -> None:
    def daily_sales(orders: Any) -> Any:
        return orders.group_by("ordered_on").agg(
            order_count=orders.count(), amount=orders.amount.first().cast("decimal(38, 2)")
        )

    tree.case("tied", {**FIVE_ORDERS, "inputs/shop_files/orders.csv": TIED})
    assert _varies(_with(tree, daily_sales=daily_sales)) == {"shuffled inputs": ("daily_sales", "amount")}


@pytest.mark.slow
def test_the_sessions_time_zone_is_named(tree: Tree) -> None:
    def daily_sales(orders: Any) -> Any:
        evening = (orders.ordered_on.cast("timestamp") + ibis.interval(hours=20)).cast("string") + "+00"
        day = evening.cast("timestamp('UTC')").cast("date")
        return (
            orders.mutate(ordered_on=day)
            .group_by("ordered_on")
            .agg(order_count=ibis._.count(), amount=ibis._.amount.sum())
        )

    tree.case("five", FIVE_ORDERS)
    found = _varies(_with(tree, daily_sales=daily_sales))
    assert {axis: table for axis, (table, _) in found.items()} == {"time zone": "daily_sales"}


@pytest.mark.slow
def test_the_clock_of_the_process_is_named(tree: Tree) -> None:
    def daily_sales(orders: Any) -> Any:
        import time

        return orders.group_by("ordered_on").agg(
            order_count=orders.count(), amount=ibis.literal(time.localtime(0).tm_hour).cast("decimal(38, 2)")
        )

    tree.case("five", FIVE_ORDERS)
    assert _varies(_with(tree, daily_sales=daily_sales)) == {"time zone": ("daily_sales", "amount")}


@pytest.mark.slow
def test_rejected_rows_that_vary_are_named(tree: Tree) -> None:
    def orders(raw_orders: Any) -> Any:
        lowest = raw_orders.amount.first().over(ibis.window())
        return raw_orders.mutate(
            amount=ibis.ifelse(raw_orders.amount == lowest, -1, raw_orders.amount).cast("decimal(12, 2)")
        )

    tree.case("tied", {**FIVE_ORDERS, "inputs/shop_files/orders.csv": TIED})
    (checked,) = determinism(_with(tree, orders=orders).project)
    (found,) = checked.variations
    assert (found.axis, found.table) == ("shuffled inputs", "orders")
    assert "@example.org" not in found.detail
    assert found.others == ("daily_sales",)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (b'a,b\n1,"x\r\n\r\ny"\n2,"p\rq"\n3,z', [b'1,"x\r\n\r\ny"\n', b'2,"p\rq"\n', b"3,z\n"]),
        (b"\xef\xbb\xbfa\r\n1\r\n2\r\n3\r\n", [b"1\r\n", b"2\r\n", b"3\r\n"]),
    ],
)
def test_shuffled_records_stay_as_they_are(tree: Tree, tmp_path: Path, content: bytes, records: list[bytes]) -> None:
    name = "inputs/shop_files/orders.csv"
    case = read_case(tree.case("five", {**FIVE_ORDERS, name: content}))
    after = (shuffled(case, tree.project.graph, tmp_path).folder / name).read_bytes()
    header = content[: content.index(b"\n") + 1]
    assert after.startswith(header)
    orders = list(records)
    random.Random(f"{case.seed} shop_files/orders.csv").shuffle(orders)
    assert after == header + b"".join(orders)


def test_a_file_whose_records_cannot_be_told_is_not_shuffled(tree: Tree, tmp_path: Path) -> None:
    name = "inputs/shop_files/orders.csv"
    for number, content in enumerate((b'a\n"1\n2\n', "a\n1\n2\n".encode("utf-16"))):
        case = read_case(tree.case(f"five-{number}", {**FIVE_ORDERS, name: content}))
        assert (shuffled(case, tree.project.graph, tmp_path).folder / name).read_bytes() == content
        assert first_events(case, tree.project.graph, tmp_path / "first") is None
