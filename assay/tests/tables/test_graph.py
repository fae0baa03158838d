"""The graph: order and neighbourhood, and every way in which nodes do not fit, refused with the files' names."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pandera.typing.ibis import Table

from assay import KeepFirst, Reference, daily, export, hourly, invariant, public, static, table, weekly
from assay.errors import ContractError, WiringError
from assay.tables.graph import Graph
from assay.tables.nodes import Node
from tests.tables import declared
from tests.tables.declared import FILE, Customer, Order, Total, customers, orders, totals


class Impostor(pa.DataFrameModel):
    """Looks like Order, and is another class."""

    order_id: dt.Int64 = pa.Field(metadata=public)


@export("page.html")
def page(totals: Table[Total]) -> str:
    return ""


@invariant()
def known(totals: Table[Total], customers: Table[Customer]) -> ibis.Table:
    return totals.filter(False)


GRAPH = Graph.of([page, known, totals, orders, customers])


def refused(*nodes: Node) -> str:
    with pytest.raises(WiringError) as caught:
        Graph.of(nodes)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_order_is_upstream_first_and_never_changes() -> None:
    assert list(GRAPH.nodes) == ["customers", "orders", "totals", "page"]
    assert list(Graph.of([customers, orders, known, page, totals]).nodes) == list(GRAPH.nodes)
    assert list(GRAPH.tables) == ["customers", "orders", "totals"]
    assert [node.name for node in GRAPH] == list(GRAPH.nodes)


def test_an_invariants_tables_are_upstream_of_the_table_it_audits() -> None:
    assert GRAPH.upstream_of("totals") == ("orders", "customers")
    assert [each.name for each in GRAPH.invariants_of("totals")] == ["known"]
    assert GRAPH.invariants_of("orders") == ()


def test_what_is_upstream_and_downstream() -> None:
    assert GRAPH.closure(["totals"]) == ["customers", "orders", "totals"]
    assert GRAPH.closure(["page", "orders"]) == ["customers", "orders", "totals", "page"]
    assert GRAPH.downstream(["customers"]) == ["customers", "totals", "page"]
    assert GRAPH.downstream(["page"]) == ["page"]
    assert GRAPH.closure([]) == GRAPH.downstream([]) == []


def test_an_unknown_name_gets_close_ones() -> None:
    with pytest.raises(WiringError, match=r"no table named 'total'. Did you mean totals\?"):
        GRAPH.get("total")
    with pytest.raises(WiringError, match="Did you mean customers"):
        GRAPH.get("cust")  # too short to be near, but a part of it
    with pytest.raises(WiringError, match="`pipeline tables` lists them"):
        GRAPH.closure(["zzz"])


def test_another_contract_than_the_upstreams_names_both_files() -> None:
    @table()
    def late(orders: Table[Impostor]) -> Table[Impostor]:
        return orders

    text = refused(orders, late)
    assert f"'late' reads 'orders' as Impostor ({__file__})" in text
    assert f"publishes Order ({declared.__file__})" in text
    assert "Annotate the parameter orders: Table[Order]" in text


def test_an_invariant_needs_the_right_contract_too() -> None:
    @invariant()
    def wrong(orders: Table[Impostor]) -> ibis.Table:
        return orders

    assert "as Impostor" in refused(orders, wrong)


def test_an_unknown_upstream() -> None:
    assert "'totals' reads 'orders', which is no table of this project" in refused(totals)
    assert "Name the parameter after an upstream table." in refused(totals)
    assert "'known' reads 'totals'" in refused(customers, known)


def test_an_unknown_upstream_gets_close_ones() -> None:
    @table()
    def counts(custmers: Table[Customer]) -> Table[Total]:
        return custmers

    assert "'counts' reads 'custmers', which is no table of this project. Did you mean customers?" in refused(
        customers, counts
    )

    @table(references=[Reference(("day",), "days")])
    def dated(orders: Table[Order]) -> Table[Order]:
        return orders

    assert "'dated' reads 'days'" in refused(orders, dated)


def test_an_export_is_no_upstream() -> None:
    @table()
    def after(page: Table[Total]) -> Table[Total]:
        return page

    assert "'after' reads 'page', which is no table" in refused(orders, customers, totals, page, after)


def test_two_nodes_of_one_name() -> None:
    first = orders

    def again() -> Node:
        @table(source=FILE)
        def Orders(source: ibis.Table) -> Table[Order]:  # noqa: N802  the database does not tell case apart
            return source

        return Orders

    text = refused(first, again())
    assert "is defined twice" in text
    assert declared.__file__ in text
    assert __file__ in text


def test_a_circle() -> None:
    @table()
    def one(two: Table[Order]) -> Table[Order]:
        return two

    @table()
    def two(one: Table[Order]) -> Table[Order]:
        return one

    assert "in a circle: " in refused(one, two)


def test_a_circle_through_an_invariant() -> None:
    @invariant()
    def backwards(orders: Table[Order], totals: Table[Total]) -> ibis.Table:
        return orders

    assert "in a circle: " in refused(orders, totals, backwards)


def test_a_table_that_reads_itself() -> None:
    @table()
    def own(own: Table[Order]) -> Table[Order]:
        return own

    assert "the table reads itself" in refused(own)


def test_modules_of_the_stages_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Graph.load("tests.shop", ("extract", "transform", "load", "checks"))
    assert list(found.nodes) == ["raw_orders", "orders", "daily_sales", "letter"]
    assert list(found.invariants)


# What a table declares must fit its contract.


def declaring(model: type = Order, **options: object) -> Node:
    def kept(orders):
        return orders

    kept.__annotations__ = {"orders": Table[Order], "return": Table[model]}
    return table(**options)(kept)  # type: ignore[arg-type]


class Keyless(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public)


class Reserved(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public, alias="RowId")


class Named(pa.DataFrameModel):
    customer_id: dt.Int64 = pa.Field(metadata=public)

    @pa.dataframe_check(name="customer_id_in_customers")
    def rule(cls, data):
        return data.table.count() > 0


class Broken(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public, coerce=True)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (Order, {"partitions": daily("sold", start="2026-01-01")}, "its partition column 'sold' is no column of Order"),
        (Order, {"partitions": daily("order_id", start="2026-01-01")}, "its partition column 'order_id' is BIGINT"),
        (Order, {"partitions": daily("shipped", start="2026-01-01")}, "'shipped' is nullable DATE"),
        (Order, {"partitions": weekly("order_id", start="2026-01-05")}, "is BIGINT. Make it a DATE that is not null"),
        (Order, {"partitions": hourly("day", start="2026-01-05")}, "is DATE. Make it a TIMESTAMP WITH TIME ZONE"),
        (Order, {"partitions": static("day", keys=["a"])}, "is DATE. Make it a VARCHAR that is not null"),
        (Keyless, {"keep": KeepFirst(("day",))}, "keep= needs a key, and Keyless has none"),
        (Order, {"keep": KeepFirst(("-sold",))}, "keep= orders by '-sold', which is no column of Order"),
        (Order, {"references": [Reference(("x",), "customers")]}, "by 'x', which is no column of Order"),
        (Order, {"references": [Reference(("order_id",), "customers")]}, "refers to 'order_id' of customers"),
        (
            Order,
            {"references": [Reference(("customer_id",), "customers", ("code",))]},
            "'customer_id' is BIGINT, but 'code' of customers is VARCHAR",
        ),
        (
            Order,
            {"references": [Reference(("customer_id",), "customers")] * 2},
            "two of its checks are named 'customer_id_in_customers'",
        ),
        (
            Named,
            {"references": [Reference(("customer_id",), "customers")]},
            "two of its checks are named 'customer_id_in_customers'",
        ),
        (Reserved, {}, "a column cannot be named 'RowId'"),
    ],
)
def test_a_declaration_that_does_not_fit(model: type, options: dict[str, object], message: str) -> None:
    text = refused(orders, customers, declaring(model, **options))
    assert message in text
    assert f"{__file__}: kept" in text


def test_a_contract_that_cannot_be_enforced_is_refused_when_code_loads() -> None:
    with pytest.raises(ContractError, match=r"test_graph.py: Broken"):
        Graph.of([orders, declaring(Broken)])


def test_declarations_that_fit() -> None:
    Graph.of(
        [
            orders,
            customers,
            declaring(
                partitions=daily("day", start="2026-01-01"),
                keep=KeepFirst(("-day",)),
                references=[Reference(("customer_id",), "customers"), Reference(("order_id",), "kept")],
                preserves="orders",
            ),
        ]
    )


@pytest.mark.parametrize("stage", ["ops", "quarantine", "real"])
def test_a_stage_named_like_the_warehouses_own_schemas(stage: str) -> None:
    def kept(source):
        return source

    kept.__annotations__ = {"source": ibis.expr.types.Table, "return": Table[Order]}
    kept.__module__ = f"project.{stage}.kept"
    assert f"uses the schema '{stage}' itself" in refused(table(source=FILE)(kept))


def test_names_that_are_the_frameworks() -> None:
    function = types.FunctionType(orders.function.__code__, globals(), "__staging_a")
    function.__annotations__ = dict(orders.function.__annotations__)
    function.__module__ = declared.__name__
    function.__annotations__ = {"source": ibis.expr.types.Table, "return": Table[Order]}
    assert "names beginning with __" in refused(table(source=FILE)(function))


def test_two_exports_of_one_file() -> None:
    @export("page.html")
    def other(totals: Table[Total]) -> str:
        return ""

    assert "writes 'page.html' as well" in refused(orders, customers, totals, page, other)


@pytest.mark.parametrize(
    ("code", "place", "message"),
    [
        ("x = 1\ny = (\n", 2, "SyntaxError: '(' was never closed"),
        ("import ibis\n\nibis.nothing_like_it\n", 3, "AttributeError: "),
        ("def f():\n    raise ValueError('two\\nlines')\nf()\n", 2, "ValueError: two lines"),
        (
            "import pandera.ibis as pa\n\nclass Model(pa.DataFrameModel):\n    price: int = pa.Field(gte=0)\n",
            4,
            "pandera.Field has no argument 'gte'. Did you mean gt or ge?",
        ),
        (
            "import pandera.ibis as pa\n\nclass Model(pa.DataFrameModel):\n    x: str = pa.Field(str_matches='[a')\n",
            4,
            "'[a' is no regular expression: unterminated character set",
        ),
    ],
    ids=["syntax", "misspelt", "raised", "no such rule", "no regular expression"],
)
def test_a_mistake_in_a_tables_file_is_one_line_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, place: int, message: str
) -> None:
    stage = tmp_path / "broken_shop" / "extract"
    stage.mkdir(parents=True)
    (stage.parent / "__init__.py").touch()
    (stage / "__init__.py").touch()
    (stage / "orders.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WiringError) as caught:
        Graph.load("broken_shop", ["extract"])
    text = str(caught.value)
    assert text.startswith(f"{stage / 'orders.py'}:{place}: {message}")
    assert "\n" not in text
    for name in [name for name in sys.modules if name.startswith("broken_shop")]:
        del sys.modules[name]
