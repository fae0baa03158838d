"""Rows in the place of what a function returns: the audit judges them, the function is not called."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden.tree import Tree

CASE: dict[str, str | bytes] = {
    "case.yml": "description: Wrong sums\ntables: [daily_sales]\n"
    "expects_checks: {daily_sales: [sales_add_up_to_orders]}\n",
    "inputs/tables/orders.csv": "order_id,email,ordered_on,amount\n1,ann@example.org,2026-03-01,1.00\n",
    "inputs/returned/daily_sales.csv": "ordered_on,order_count,amount\n2026-03-01,1,2.00\n",
}


def test_the_function_is_not_called_and_the_audit_judges_its_rows(tree: Tree) -> None:
    def daily_sales(orders: Any) -> Any:
        raise AssertionError("called")

    tree.case("sums", CASE)
    assert tree.with_code(daily_sales=daily_sales).run().exit_code == 0
    tree.write("sums/inputs/returned/daily_sales.csv", "ordered_on,order_count,amount\n2026-03-01,1,1.00\n")
    (table,) = tree.with_code(daily_sales=daily_sales).run().tables
    assert table.problems[0].startswith("check sales_add_up_to_orders must fail, but holds")


def test_a_table_with_a_source_does_not_read_it(tree: Tree) -> None:
    tree.case(
        "raw",
        {
            "case.yml": "description: x\ntables: [raw_orders, orders]\n",
            "inputs/returned/raw_orders.csv": "order_id,email,ordered_on,amount\n1,a@b,2026-03-01,1\n",
        },
    )
    result = tree.run()
    assert [(each.table, each.comparisons[0].rows) for each in result.tables] == [("raw_orders", 1), ("orders", 1)]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("ordered_on,order_count,amount,note:VARCHAR", "column 'note' (VARCHAR) is not in the contract"),
        ("ordered_on,order_count,amount:DOUBLE", "amount"),
        ("ordered_on,order_count", "column 'amount' is missing"),
    ],
)
def test_columns_that_are_not_the_contracts_fail_the_schema_check(tree: Tree, header: str, problem: str) -> None:
    tree.case("sums", {**CASE, "inputs/returned/daily_sales.csv": f"{header}\n"})
    (table,) = tree.run().tables
    assert "check schema fails" in table.problems[0]
    assert problem in table.problems[0]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("returned/orders.csv", "order_id\n", "inputs/returned/orders.csv: 'orders' is not under test"),
        ("returned/zebra.csv", "order_id\n", "inputs/returned/zebra.csv: no table named 'zebra'"),
        ("returned/daily_sales.ndjson", "", "inputs/returned/daily_sales.ndjson: 'daily_sales' is given twice"),
        ("returned/daily_sales.csv", "nam\n1\n", "daily_sales.csv: 'daily_sales' has no column 'nam'. Say its type"),
        ("returned/daily_sales.csv", "order_count\nmany\n", "daily_sales.csv:2: 'many' in column 'order_count'"),
        ("retruned/daily_sales.csv", "order_count\n", "inputs/retruned: is no location of a source. Did you mean ret"),
    ],
)
def test_a_malformed_file_is_one_line(tree: Tree, path: str, text: str, message: str) -> None:
    tree.case("sums", {**CASE, f"inputs/{path}": text})
    (case,) = tree.run().cases
    assert case.error is not None
    assert message in case.error
    assert "\n" not in case.error
