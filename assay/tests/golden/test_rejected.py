"""A difference in rejected rows shows the values that changed, not the beginnings of two payloads."""

from __future__ import annotations

import json

from assay.compare.model import Difference, RowSample
from assay.golden.rejected import by_field
from tests.golden.tree import Tree
from tests.shop.project import ORDERS


def rejected(reason: str, copies: int = 1, **payload: str | None) -> RowSample:
    values = {"reason_codes": f"[{reason}]", "source_file": None, "payload": json.dumps(payload)}
    return RowSample({}, values, copies)


def difference(expected: list[RowSample], actual: list[RowSample]) -> Difference:
    return Difference(
        (), 9, 9, added=len(actual), removed=len(expected), changed=0, same=0,
        only_expected=tuple(expected), only_actual=tuple(actual),
    )  # fmt: skip


def test_a_changed_value_of_a_rejected_row_is_shown_in_the_terminal_and_in_review(tree: Tree) -> None:
    case = tree.accepted()
    (case / "inputs" / "shop_files" / "orders.csv").write_text(ORDERS.replace("-1.00", "-2.00"))
    result = tree.cli("five/orders")
    assert "reason_codes=[amount.ge_0] order_id=4  amount  -1.00 -> -2.00\n" in result.output
    assert "~1 changed" in result.output
    assert "payload" not in result.output
    assert "amount  -1.00 -> -2.00\n" in tree.cli("review", input="s\n" * 9).output


def test_rows_are_paired_by_reason_and_key_then_by_key_alone() -> None:
    found = by_field(
        difference(
            [rejected("a.ge_0", k="1", a="-1"), rejected("a.ge_0", k="2", a="-5"), rejected("b.x", k="3", a="7")],
            [rejected("a.ge_0", k="1", a="-2"), rejected("b.x", k="2", a="-5"), rejected("b.x", k="4", a="7")],
        ),
        ("k",),
    )
    assert [(change.key, [cell.column for cell in change.cells]) for change in found.changes] == [
        ({"reason_codes": "[a.ge_0]", "k": "1"}, ["a"]),
        ({"k": "2"}, ["reason_codes"]),
    ]
    assert (found.added, found.removed, found.changed) == (1, 1, 2)
    assert [row.values["k"] for row in (*found.only_expected, *found.only_actual)] == ["3", "4"]


def test_rows_that_nothing_tells_apart_are_not_paired() -> None:
    twice = [rejected("a.ge_0", k="1", a="-1"), rejected("a.ge_0", k="1", a="-2")]
    found = by_field(difference(twice, [rejected("a.ge_0", k="1", a="-3")]), ("k",))
    assert (found.changes, found.added, found.removed) == ((), 1, 2)
    copies = by_field(difference([rejected("r", 2, k="1", a="1")], [rejected("r", k="1", a="2")]), ("k",))
    assert copies.changes == ()


def test_without_a_key_the_only_row_of_a_reason_is_paired() -> None:
    found = by_field(difference([rejected("r", a="1", gone="x")], [rejected("r", a="2")]), ())
    assert [(cell.column, cell.expected, cell.actual) for cell in found.changes[0].cells] == [
        ("a", "1", "2"),
        ("gone", "x", None),
    ]
