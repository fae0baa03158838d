"""Running cases on the real code: equal, new, different, expected to fail, and unable to run."""

from __future__ import annotations

import json
import re
from typing import Any

import ibis
import pytest

from assay.golden.case import read_case
from assay.golden.inputs import build_names
from assay.golden.result import TableResult
from tests.golden.tree import FIVE_ORDERS, Tree
from tests.shop.project import ORDERS


def outcome(tree: Tree, *selection: str) -> dict[str, TableResult]:
    return {table.table: table for table in tree.run(*selection).tables}


def test_a_new_case_fails_until_it_is_accepted_and_is_equal_then(tree: Tree) -> None:
    tree.case("five", FIVE_ORDERS)
    first = tree.run()
    assert (first.status, first.exit_code) == ("missing", 3)
    assert tree.store.names() == [("five", "daily_sales"), ("five", "orders"), ("five", "orders.rejects")]
    assert tree.cli("accept").exit_code == 0
    second = tree.run()
    assert (second.status, second.exit_code) == ("equal", 0)
    assert tree.store.names() == []
    assert second.counts() == {"equal": 2, "differs": 0, "missing": 0, "error": 0}


def test_goldens_are_sorted_lossless_text_with_classified_values_masked(tree: Tree) -> None:
    folder = tree.accepted()
    lines = [json.loads(line) for line in (folder / "expected/orders.ndjson").read_text().splitlines()]
    assert [line["order_id"] for line in lines] == ["1", "2", "3", "5"]
    assert lines[0]["amount"] == "10.00"
    assert lines[0]["email"].startswith("masked:")
    (reject,) = [json.loads(line) for line in (folder / "expected/orders.rejects.ndjson").read_text().splitlines()]
    assert reject["reason_codes"] == "[amount.ge_0]"
    assert reject["payload"]["amount"] == "-1.00"
    schema = (folder / "expected/orders.schema.yml").read_text()
    assert "amount: DECIMAL(12,2) NOT NULL" in schema
    assert "key: [order_id]" in schema
    assert "rows: 4" in schema


def test_no_classified_value_reaches_any_file_or_report(tree: Tree) -> None:
    folder = tree.accepted()
    changed = ORDERS.replace("ann@example.org", "canary@example.org").replace("cem@", "canary2@").replace("20.50", "21")
    tree.write("five/inputs/shop_files/orders.csv", changed)
    said = tree.cli("--every", "--html", str(tree.golden / "r.html"))
    assert said.exit_code == 1
    assert "masked:" in said.output
    files = [path for path in tree.golden.rglob("*") if path.is_file() and "inputs" not in path.parts]
    assert len(files) > 7
    for text in [said.output, tree.cli("--json").output, *(path.read_text() for path in files)]:
        assert "canary" not in text
        assert "example.org" not in text
    assert folder.exists()


def test_a_changed_row_differs(tree: Tree) -> None:
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26"))
    result = tree.run()
    assert (result.status, result.exit_code) == ("differs", 1)
    orders, sales = (table.comparisons[0] for table in result.tables)
    assert orders.difference is not None
    assert orders.difference.columns == {"amount": 1}
    assert sales.difference is not None
    assert sales.pending == tree.store.path("five", "daily_sales")


def test_the_first_table_that_differs_is_the_cause_of_those_below(tree: Tree) -> None:
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26"))
    orders, sales = tree.run().tables
    assert (orders.table, orders.cause) == ("orders", None)
    assert (sales.table, sales.cause) == ("daily_sales", "orders")


def test_changed_code_differs_at_its_own_table(tree: Tree) -> None:
    tree.accepted()

    def daily_sales(orders: Any) -> ibis.Table:
        return orders.group_by("ordered_on").agg(
            order_count=orders.count() + 1, amount=orders.amount.sum().cast("decimal(38, 2)")
        )

    result = tree.with_code(daily_sales=daily_sales).run()
    assert [(table.table, table.status) for table in result.tables] == [("orders", "equal"), ("daily_sales", "differs")]


def test_one_table_alone_builds_only_what_it_needs(tree: Tree) -> None:
    tree.accepted()
    result = tree.run("five/orders")
    assert [table.table for table in result.tables] == ["orders"]
    case = read_case(tree.golden / "five")
    assert build_names(case, tree.project.graph, ["orders"]) == ["raw_orders", "orders"]
    assert not result.full


def test_a_rejected_text_of_the_wrong_type_is_masked_and_its_column_named(tree: Tree) -> None:
    files = {
        "case.yml": "description: x\ntables: [raw_orders]\nexpects_checks:\n  raw_orders: [rows_valid]\n",
        "inputs/shop_files/orders.csv": ORDERS.replace("2026-03-02", "soon"),
    }
    (case,) = tree.run(tree.case("soon", dict(files)).name).cases
    (rejects,) = case.tables[0].comparisons
    payload = json.loads(str(rejects.preview[0][-1]))
    assert payload["_error"] == "ordered_on is no DATE"
    assert payload["email"].startswith("masked:")


def test_new_rejects_fail_and_lost_rejects_fail(tree: Tree) -> None:
    tree.accepted("good", {**FIVE_ORDERS, "inputs/shop_files/orders.csv": ORDERS.replace("-1.00", "1.00")})
    tree.write("good/inputs/shop_files/orders.csv", ORDERS)
    found = {each.name: each.status for each in outcome(tree, "good/orders")["orders"].comparisons}
    assert found == {"orders": "differs", "orders.rejects": "missing"}
    tree.accepted("five")
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("-1.00", "1.00"))
    found = {each.name: each.status for each in outcome(tree, "five/orders")["orders"].comparisons}
    assert found == {"orders": "differs", "orders.rejects": "differs"}


def test_a_reject_with_another_reason_differs(tree: Tree) -> None:
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("4,dee@", "-4,dee@"))
    table = outcome(tree, "five/orders")["orders"]
    rejects = table.comparisons[1].difference
    assert rejects is not None
    assert rejects.only_actual[0].values["reason_codes"] == "[order_id.gt_0, amount.ge_0]"
    assert table.reasons == {"amount.ge_0": 1, "order_id.gt_0": 1}


def test_a_check_that_fails_shows_some_of_its_rows(tree: Tree) -> None:
    (header, first, *_) = ORDERS.splitlines(keepends=True)
    tree.case(
        "twice",
        {
            "case.yml": "description: x\ntables: [orders]\n",
            "inputs/tables/raw_orders.csv": f"{header}{first}{first}",
        },
    )
    assert outcome(tree)["orders"].problems[0].endswith("1 row repeats (order_id)\n  such as order_id=1, rows=2")


TOO_BAD = ORDERS.replace("10.00", "-10.00")
"""Two broken orders; one is tolerated."""


def test_a_blocking_check_must_be_expected(tree: Tree) -> None:
    tree.case(
        "bad",
        {**FIVE_ORDERS, "case.yml": "description: x\ntables: [orders]\n", "inputs/shop_files/orders.csv": TOO_BAD},
    )
    table = outcome(tree)["orders"]
    assert table.status == "differs"
    assert table.problems[0].startswith("check rows_valid fails: 2 of 5 rows rejected, above the budget")
    assert tree.cli("accept", "bad/orders").exit_code == 2
    assert "breaks its contract" in tree.cli("accept", "bad/orders").stderr


def test_an_expected_failing_check_is_equal_once_its_rejects_are_accepted(tree: Tree) -> None:
    yml = "description: x\ntables: [orders]\nexpects_checks:\n  orders: [rows_valid]\n"
    tree.accepted("bad", {**FIVE_ORDERS, "case.yml": yml, "inputs/shop_files/orders.csv": TOO_BAD})
    result = tree.run()
    assert result.status == "equal"
    assert [each.name for each in result.tables[0].comparisons] == ["orders.rejects"]
    assert result.tables[0].failing == ("rows_valid",)
    tree.write("bad/inputs/shop_files/orders.csv", ORDERS.replace("-1.00", "1.00"))
    problems = outcome(tree)["orders"].problems
    assert problems[0].startswith("check rows_valid must fail, but holds")


def test_an_expected_check_that_does_not_exist(tree: Tree) -> None:
    yml = "description: x\ntables: [orders]\nexpects_checks:\n  orders: [no_such_check]\n"
    tree.case("bad", {**FIVE_ORDERS, "case.yml": yml})
    assert "check no_such_check must fail, but was not reached" in outcome(tree)["orders"].problems[0]


def test_a_table_below_a_failed_audit_is_not_built(tree: Tree) -> None:
    tree.case(
        "bad",
        {**FIVE_ORDERS, "case.yml": "description: x\ntables: [daily_sales]\n", "inputs/shop_files/orders.csv": TOO_BAD},
    )
    table = outcome(tree)["daily_sales"]
    assert (table.status, table.cause) == ("differs", "orders")
    assert "not built, because orders failed: transform.orders: rows_valid" in table.problems[0]


def test_an_expected_error(tree: Tree) -> None:
    yml = "description: A column is gone\nexpects_error:\n  raw_orders: \"'amount'\"\n"
    files = {"case.yml": yml, "inputs/shop_files/orders.csv": "order_id,email,ordered_on\n1,a@b,2026-03-01\n"}
    tree.case("schema_change", files)
    table = outcome(tree)["raw_orders"]
    assert table.status == "equal", table.problems
    assert "'amount'" in (table.expected_error or "")
    tree.write("schema_change/inputs/shop_files/orders.csv", ORDERS)
    assert outcome(tree)["raw_orders"].problems == ("was published, but must fail with: 'amount'",)
    tree.write("schema_change/inputs/shop_files/orders.csv", "order_id,email,amount\n1,a@b,1.00\n")
    problems = outcome(tree)["raw_orders"].problems
    assert problems[0] == "must fail with: 'amount'"
    assert "ordered_on" in problems[1]


def test_an_error_of_a_source_is_an_error_of_the_case(tree: Tree) -> None:
    tree.case("five", {**FIVE_ORDERS, "inputs/shop_files/orders.csv": "not,a,header\n"})
    result = tree.run()
    assert (result.status, result.exit_code) == ("error", 2)
    assert all("raw_orders failed" in table.problems[0] for table in result.tables)


def test_an_exception_in_a_tables_code_is_told_and_others_still_run(tree: Tree) -> None:
    tree.accepted("five")
    tree.accepted("zero", {**FIVE_ORDERS, "case.yml": "description: x\ntables: [raw_orders]\n"})

    def orders(raw_orders: Any) -> Any:
        return raw_orders.select(1 / 0)

    result = tree.with_code(orders=orders).run()
    five, zero = result.cases
    assert re.search(r"orders \(.*test_run.py:\d+\): ZeroDivisionError: division by zero", five.tables[0].problems[0])
    assert zero.status == "equal"
    assert result.exit_code == 2


def test_partitions_are_those_of_the_case(tree: Tree) -> None:
    yml = "description: x\nnow: 2026-03-05T06:00:00Z\npartition: 2026-03-01\ntables: [orders]\n"
    tree.case("march_first", {**FIVE_ORDERS, "case.yml": yml})
    assert outcome(tree)["orders"].comparisons[0].rows == 2


def test_given_tables_stand_in_for_everything_above(tree: Tree) -> None:
    csv = "order_id,email,ordered_on,amount\n1,a@b,2026-03-01,1.50\n2,a@b,2026-03-01,2.50\n"
    folder = tree.accepted(
        "days", {"case.yml": "description: x\ntables: [daily_sales]\n", "inputs/tables/orders.csv": csv}
    )
    assert '"amount": "4.00"' in (folder / "expected/daily_sales.ndjson").read_text()
    case = read_case(folder)
    assert build_names(case, tree.project.graph, case.subjects) == ["daily_sales"]


def test_an_empty_upstream_table(tree: Tree) -> None:
    tree.accepted("nothing", {"case.yml": "description: x\ntables: [daily_sales]\nempty: [orders]\n"})
    result = tree.run()
    assert (result.status, result.tables[0].comparisons[0].rows) == ("equal", 0)


def test_a_run_too_large_for_a_golden_says_so(tree: Tree) -> None:
    rows = "".join(f"{i},a@b,2026-03-01,1.00\n" for i in range(1, 502))
    csv = f"order_id,email,ordered_on,amount\n{rows}"
    tree.case("many", {"case.yml": "description: x\ntables: [orders]\n", "inputs/shop_files/orders.csv": csv})
    (case,) = tree.run().cases
    assert case.error == (
        "many/orders: the run gave 501 rows; a golden holds at most 500 rows and 256 KB. "
        "Make the case's input smaller: one row for each thing it teaches."
    )


def test_a_selection_that_names_no_table(tree: Tree) -> None:
    from assay.errors import GoldenError

    tree.case("five", FIVE_ORDERS)
    with pytest.raises(GoldenError, match="no table under test is called"):
        tree.run("*/zebra")
