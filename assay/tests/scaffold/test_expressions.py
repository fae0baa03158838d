"""What `pipeline new-table` infers from an expression: meaning only where the value is the same, nulls where they come from."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from assay.commands.new_commands import new_table
from assay.contract.columns import Column
from assay.contract.contract import Contract
from tests.scaffold.started import ORDERS, Loaded, call, contents, table

NULLABLE = ORDERS.replace(
    'amount: dt.Decimal(12, 2) = pa.Field(metadata=internal, description="Euros")',
    """amount: dt.Decimal(12, 2) = pa.Field(metadata=internal, description="Euros")
    note: dt.String = pa.Field(nullable=True, metadata=personal, description="What the customer wrote")""",
)


def inferred(load: Loaded, tmp_path: Path, expression: str, *more: str) -> dict[str, Column]:
    (tmp_path / load().package / "extract" / "orders.py").write_text(NULLABLE)
    arguments = ("--stage", "transform", "--from", "orders,customers", "--expression", expression, *more)
    done = call(load(), new_table, "made", *arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return {column.name: column for column in Contract.of(table(load(), "made").model).columns}


@pytest.mark.parametrize(
    ("expression", "description"),
    [
        ("_.amount", "Euros"),
        ("-_.amount", None),
        ("_.amount.abs()", None),
        ("_.amount.round(2).cast('decimal(12, 2)')", None),
        ("_.amount.fill_null(0).cast('decimal(12, 2)')", None),
        ("(_.amount * 100).cast('decimal(12, 2)')", None),
    ],
)
def test_a_description_goes_with_the_value_alone(
    load: Loaded, tmp_path: Path, expression: str, description: str | None
) -> None:
    found = inferred(load, tmp_path, f"orders.select('order_id', amount={expression})")
    assert (found["amount"].description or None) == description
    assert found["amount"].classification == "internal"
    assert found["order_id"].description == "The order's number"


def test_a_renamed_column_keeps_its_meaning(load: Loaded, tmp_path: Path) -> None:
    found = inferred(load, tmp_path, "orders.filter(_.amount > 0).select(id=_.order_id, said=_.note)")
    assert [found["id"].description, found["said"].description] == ["The order's number", "What the customer wrote"]


@pytest.mark.parametrize(
    ("expression", "nullable"),
    [
        ("orders.select(x=_.note)", True),
        ("orders.select(x=_.note.cast('int64'))", True),
        ("orders.select(x=_.order_id.cast('string'))", False),
        ("orders.select(x=_.order_id.try_cast('int8'))", True),
        ("orders.select(x=_.note.upper().length() + 1)", True),
        ("orders.select(x=_.order_id + _.customer_id)", False),
        ("orders.select(x=_.amount / _.order_id)", True),
        ("orders.select(x=_.note.fill_null(''))", False),
        ("orders.fill_null({'note': ''}).select(x=_.note)", False),
        ("orders.drop_null('note').select(x=_.note)", False),
        ("orders.filter(_.note.notnull()).select(x=_.note)", False),
        ("orders.select(x=_.note.isnull())", False),
        ("orders.select(x=(_.order_id > 1).ifelse(_.order_id, ibis.null()))", True),
        ("orders.select(x=ibis.cases((_.order_id > 1, 'a')))", True),
        ("orders.select(x=ibis.cases((_.order_id > 1, 'a'), else_='b'))", False),
        ("orders.select(x=_.order_id.nullif(1))", True),
        ("orders.select(x=_.order_id.lag())", True),
        ("orders.select(x=ibis.row_number())", False),
        ("orders.group_by('customer_id').agg(x=_.amount.sum())", False),
        ("orders.group_by('customer_id').agg(x=_.amount.sum(where=_.order_id > 1))", True),
        ("orders.group_by('customer_id').agg(x=_.note.max())", True),
        ("orders.group_by('customer_id').agg(x=_.count())", False),
        ("orders.group_by('customer_id').agg(x=_.order_id.std())", True),
        ("orders.agg(x=_.amount.sum())", True),
        ("orders.left_join(customers, 'customer_id').select(x=_.email)", True),
        ("orders.left_join(customers, 'customer_id').select(x=_.email.upper())", True),
        ("orders.left_join(customers, 'customer_id').select(x=_.order_id)", False),
        ("orders.join(customers, 'customer_id').select(x=_.email)", False),
        ("orders.select(x='order_id').union(orders.select(x=_.customer_id))", False),
        ("orders.select(x='order_id').union(orders.select(x=_.note.cast('int64')))", True),
        ("orders.select(x=_.note.split(',')[0])", True),
        ("orders.select(x=ibis.literal(1))", False),
    ],
)
def test_what_may_be_null_follows_from_what_it_is_made_of(
    load: Loaded, tmp_path: Path, expression: str, nullable: bool
) -> None:
    assert inferred(load, tmp_path, expression)["x"].nullable is nullable


def published(tmp_path: Path, *rows: str) -> None:
    (tmp_path / "data").mkdir()
    with duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA extract")
        connection.execute(
            "CREATE TABLE extract.orders (order_id BIGINT, customer_id BIGINT, amount DECIMAL(12,2), note VARCHAR)"
        )
        connection.execute(f"INSERT INTO extract.orders VALUES {', '.join(rows)}")
        connection.execute("CREATE TABLE extract.customers (customer_id BIGINT, email VARCHAR)")


def test_where_there_are_rows_they_say_more_than_the_expression(load: Loaded, tmp_path: Path) -> None:
    published(tmp_path, "(1, 1, 2.5, 'a,b')", "(2, 1, NULL, 'c')")
    before = (tmp_path / "data" / "warehouse.duckdb").read_bytes()
    code = (
        "orders.select('note', first=_.note.split(',')[0], second=_.note.split(',')[1], third=-_.amount, n=_.order_id)"
    )
    found = inferred(load, tmp_path, code)
    assert {name: column.nullable for name, column in found.items()} == {
        "note": True,
        "first": True,
        "second": True,
        "third": True,
        "n": False,
    }
    text = (tmp_path / load().package / "transform" / "made.py").read_text()
    assert "are inferred from the expression and the 2 rows it gives now" in text
    assert (tmp_path / "data" / "warehouse.duckdb").read_bytes() == before


def test_an_operation_that_tells_nothing_is_judged_by_its_rows(load: Loaded, tmp_path: Path) -> None:
    published(tmp_path, "(1, 1, 2.5, 'a')", "(4, 1, 3.5, 'c')")
    found = inferred(load, tmp_path, "orders.select(half=_.amount / 2, root=_.order_id.nullif(4))")
    assert {name: column.nullable for name, column in found.items()} == {"half": False, "root": True}


def test_a_case_that_is_called_so_already_is_left_alone(load: Loaded, tmp_path: Path) -> None:
    case = tmp_path / "golden" / "made"
    case.mkdir()
    (case / "case.yml").write_text("description: The sample's.\ntables: [orders]\n")
    before = contents(case)
    arguments = ("--stage", "transform", "--from", "orders")
    done = call(load(), new_table, "made", *arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert contents(case) == before
    assert "golden/made-first/case.yml" in done.output
    assert "pipeline golden accept made-first" in done.output
