"""Decorators: what a function says becomes a definition, and what it leaves unclear is refused by name."""

from __future__ import annotations

import ibis
import pytest
from pandera.typing.ibis import Table

from assay import KeepFirst, Reference, RejectBudget, Run, export, invariant, table
from assay.errors import WiringError
from assay.tables.nodes import ExportDef
from tests.tables import declared
from tests.tables.declared import FILE, Order, Total


def test_a_function_becomes_a_table() -> None:
    node = declared.totals
    assert (node.name, node.stage, node.file.name) == ("totals", "tables", "declared.py")
    assert node.grain == "Small declarations for tests of wiring: nothing here is built."
    assert node.description == "Orders a day."
    assert dict(node.inputs) == {"orders": Order}
    assert (node.model, node.upstream, node.appends) == (Total, ("orders",), False)
    assert declared.orders.source_parameter == "source"


def test_references_and_preserved_inputs_are_upstream_a_table_itself_is_not() -> None:
    @table(preserves="orders", references=[Reference(("day",), "days"), Reference(("day",), "kept")])
    def kept(orders: Table[Order]) -> Table[Order]:
        return orders

    assert kept.upstream == ("orders", "days")


def test_a_run_is_handed_over_by_its_annotation() -> None:
    @export("a/b.txt")
    def letter(orders: Table[Order], when: Run) -> str:
        return ""

    assert isinstance(letter, ExportDef)
    assert (letter.run_parameter, letter.path, letter.upstream) == ("when", "a/b.txt", ("orders",))


def no_contract(orders: Table[Order]):
    return orders


def no_annotation(orders) -> Table[Order]:
    return orders


def wrong_annotation(orders: ibis.Table) -> Table[Order]:
    return orders


def unknown_annotation(orders: Table[Nothing]) -> Table[Order]:  # type: ignore[name-defined]  # noqa: F821
    return orders


def many(*orders: Table[Order], **others: int) -> Table[Order]:
    raise NotImplementedError


def plain(orders: Table[Order]) -> Table[Order]:
    return orders


def with_source(source: ibis.Table) -> Table[Order]:
    return source


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (no_contract, {}, "the table has no contract"),
        (no_annotation, {}, "parameter 'orders' has no usable annotation"),
        (wrong_annotation, {}, "parameter 'orders' has no usable annotation"),
        (unknown_annotation, {}, "an annotation names something unknown: name 'Nothing'"),
        (many, {}, "parameter 'others' has no usable annotation"),
        (plain, {"source": FILE}, "`source=` and a parameter `source: ibis.Table` go together"),
        (with_source, {}, "`source=` and a parameter `source: ibis.Table` go together"),
        (plain, {"partitions": "day"}, "partitions= is str. Use hourly, daily, weekly, monthly or static"),
        (plain, {"preserves": "customers"}, "preserves='customers' is none of its inputs (orders)"),
    ],
)
def test_an_unclear_table_is_refused(function, options, message: str) -> None:
    with pytest.raises(WiringError) as caught:
        table(**options)(function)
    text = str(caught.value)
    assert message in text
    assert f"{__file__}: {function.__name__}" in text
    assert caught.value.fix


def test_an_invariant_needs_a_table() -> None:
    with pytest.raises(WiringError, match="an invariant needs a table"):

        @invariant()
        def nothing() -> ibis.Table:
            raise NotImplementedError


def test_an_invariant_returns_rows() -> None:
    with pytest.raises(WiringError, match="returns the rows that contradict it, not bool"):

        @invariant()
        def holds(orders: Table[Order]) -> bool:
            raise NotImplementedError

    @invariant()
    def unsaid(orders: Table[Order]):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    assert unsaid.table == "orders"


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.html", "a/../../b", "", "."])
def test_an_export_stays_in_the_output_folder(path: str) -> None:
    def page(orders: Table[Order]) -> str:
        return ""

    with pytest.raises(WiringError, match="is no file inside the output folder"):
        export(path)(page)


@pytest.mark.parametrize(
    "options",
    [{"rows": -1}, {"ratio": -0.1}, {"ratio": 1.5}, {"ratio": float("nan")}],
    ids=lambda options: str(options),
)
def test_a_budget_that_is_none(options) -> None:
    with pytest.raises(WiringError, match="is no budget"):
        RejectBudget(**options)


def test_a_budget_tolerates_rows_or_a_share() -> None:
    assert RejectBudget().tolerates(0, 0)
    assert not RejectBudget().tolerates(1, 100)
    assert RejectBudget(rows=2).tolerates(2, 2)
    assert RejectBudget(ratio=0.5).tolerates(1, 2)
    assert not RejectBudget(ratio=0.5).tolerates(2, 3)
    assert RejectBudget(ratio=0.29).tolerates(29, 100)  # 0.29 * 100 is 28.999999999999996
    assert not RejectBudget(ratio=0.29).tolerates(30, 100)


@pytest.mark.parametrize("order", [(), "day"])
def test_keep_first_names_columns(order) -> None:
    with pytest.raises(WiringError, match="does not say which row comes first"):
        KeepFirst(order)


def test_keep_first_orders_ties_by_all_columns() -> None:
    assert KeepFirst(("-day", 'a"b')).order_sql(["k"]) == [
        '"day" DESC NULLS LAST',
        '"a""b" ASC NULLS LAST',
        '"k" ASC NULLS LAST',
    ]


@pytest.mark.parametrize(
    "arguments", [("day", "days"), ((), "days"), (("a", "b"), "days", ("a",)), (("a",), "days", "a")]
)
def test_a_reference_pairs_its_columns(arguments) -> None:
    with pytest.raises(WiringError):
        Reference(*arguments)
