"""Column lineage is where values come from, through every way to combine tables."""

from __future__ import annotations

from collections.abc import Iterator

import ibis
import pytest
from ibis import _

from assay.tables.lineage import column_lineage

Inputs = dict[str, ibis.Table]


@pytest.fixture(scope="module")
def inputs() -> Iterator[Inputs]:
    """Inputs whose names in the database are not the names of the tables."""
    connection = ibis.duckdb.connect()
    orders = {"id": "int64", "customer": "int64", "amount": "decimal(12, 2)", "tags": "array<string>", "at": "date"}
    customers = {"customer": "int64", "name": "string", "city": "string"}
    yield {
        "orders": connection.create_table("scratch_1", schema=orders),
        "customers": connection.create_table("scratch_2", schema=customers),
    }
    connection.disconnect()


def lineage(expr: ibis.Table, inputs: Inputs) -> dict[str, str]:
    """As text: 'table.column table.column'."""
    return {
        name: " ".join(f"{table}.{column}" for table, column in found)
        for name, found in column_lineage(expr, inputs).items()
    }


def test_an_input_returned_as_it_is(inputs: Inputs) -> None:
    assert lineage(inputs["customers"], inputs) == {
        "customer": "customers.customer",
        "name": "customers.name",
        "city": "customers.city",
    }


def test_casts_aliases_and_constants(inputs: Inputs) -> None:
    expr = inputs["orders"].select(number=_.id.cast("string"), both=_.amount + _.id, one=ibis.literal(1))
    assert lineage(expr, inputs) == {"number": "orders.id", "both": "orders.amount orders.id", "one": ""}


def test_a_filter_a_sort_a_limit_and_a_drop_add_nothing(inputs: Inputs) -> None:
    expr = inputs["orders"].filter(_.amount > 0).order_by("at").limit(5).drop("tags", "at", "amount").distinct()
    assert lineage(expr, inputs) == {"id": "orders.id", "customer": "orders.customer"}


def test_a_join_takes_each_column_from_its_side(inputs: Inputs) -> None:
    expr = inputs["orders"].left_join(inputs["customers"], "customer").select("id", "city", who=_.name.upper())
    assert lineage(expr, inputs) == {"id": "orders.id", "city": "customers.city", "who": "customers.name"}


def test_a_join_with_colliding_names_and_itself(inputs: Inputs) -> None:
    other = inputs["orders"].view()
    expr = inputs["orders"].join(other, inputs["orders"].id == other.customer, rname="{name}_other")
    found = lineage(expr, inputs)
    assert found["amount"] == found["amount_other"] == "orders.amount"
    joined = inputs["orders"].join(inputs["customers"], _.id == inputs["customers"].customer, rname="c_{name}")
    assert lineage(joined, inputs)["c_customer"] == "customers.customer"


def test_an_aggregate_takes_what_it_aggregates_and_not_its_where(inputs: Inputs) -> None:
    expr = (
        inputs["orders"]
        .group_by(day=_.at)
        .agg(total=_.amount.sum(where=_.customer > 0), rows=_.count(), people=_.customer.nunique())
    )
    assert lineage(expr, inputs) == {
        "day": "orders.at",
        "total": "orders.amount",
        "rows": "",
        "people": "orders.customer",
    }


def test_a_window_takes_its_function_and_not_its_frame(inputs: Inputs) -> None:
    window = ibis.window(group_by="customer", order_by="at")
    expr = inputs["orders"].select(running=_.amount.sum().over(window), place=ibis.row_number().over(window))
    assert lineage(expr, inputs) == {"running": "orders.amount", "place": ""}


def test_a_union_takes_both_sides(inputs: Inputs) -> None:
    left = inputs["orders"].select(key=_.id)
    right = inputs["customers"].select(key=_.customer)
    assert lineage(left.union(right), inputs) == {"key": "customers.customer orders.id"}


def test_unnest_as_a_column_and_as_a_table(inputs: Inputs) -> None:
    assert lineage(inputs["orders"].select(tag=_.tags.unnest()), inputs) == {"tag": "orders.tags"}
    found = lineage(inputs["orders"].unnest("tags", offset="place").select("id", "tags", "place"), inputs)
    assert found == {"id": "orders.id", "tags": "orders.tags", "place": "orders.tags"}


def test_conditions_inside_a_value_count(inputs: Inputs) -> None:
    expr = inputs["orders"].select(size=ibis.cases((_.amount > 100, "big"), else_=_.id.cast("string")))
    assert lineage(expr, inputs) == {"size": "orders.amount orders.id"}


def test_subqueries(inputs: Inputs) -> None:
    expr = inputs["orders"].select(
        share=_.amount / inputs["orders"].amount.sum().as_scalar(),
        known=_.customer.isin(inputs["customers"].customer),
    )
    assert lineage(expr, inputs) == {"share": "orders.amount", "known": "orders.customer"}


def test_structs_and_fill_null(inputs: Inputs) -> None:
    expr = inputs["orders"].select(pair=ibis.struct({"a": _.id, "b": _.at}))
    assert lineage(expr, inputs) == {"pair": "orders.at orders.id"}
    filled = inputs["customers"].fill_null({"city": "unknown"})
    assert lineage(filled, inputs)["city"] == "customers.city"


def test_a_chain_of_every_step(inputs: Inputs) -> None:
    lines = inputs["orders"].mutate(amount=_.amount * 2).filter(_.amount > 0)
    joined = lines.join(inputs["customers"], "customer").group_by("city").agg(total=_.amount.sum())
    expr = joined.mutate(share=_.total / _.total.sum())
    assert lineage(expr, inputs) == {"city": "customers.city", "total": "orders.amount", "share": "orders.amount"}


def test_sql_on_an_alias(inputs: Inputs) -> None:
    named = inputs["orders"].mutate(double=_.amount * 2).alias("o")
    expr = named.sql("with x as (select id, double + 1 as d, tags from o where id > 0) select id, d as dd from x")
    assert lineage(expr, inputs) == {"id": "orders.id", "dd": "orders.amount"}


def test_sql_on_the_name_in_the_database(inputs: Inputs) -> None:
    expr = inputs["orders"].sql("select customer, sum(amount) as total from scratch_1 group by customer")
    assert lineage(expr.mutate(big=_.total > 5), inputs) == {
        "customer": "orders.customer",
        "total": "orders.amount",
        "big": "orders.amount",
    }


def test_sql_with_a_star_and_a_join_of_two_inputs(inputs: Inputs) -> None:
    assert lineage(inputs["customers"].alias("c").sql("select * from c"), inputs)["city"] == "customers.city"
    expr = inputs["orders"].alias("o").sql("select o.id, c.name from o join scratch_2 as c using (customer)")
    assert lineage(expr, inputs) == {"id": "orders.id", "name": "customers.name"}


def test_sql_that_cannot_be_followed_comes_from_every_column(inputs: Inputs) -> None:
    expr = inputs["customers"].alias("everyone").sql("select columns('na.*') from everyone")
    assert lineage(expr, inputs) == {"name": "customers.city customers.customer customers.name"}


def test_rows_from_nowhere_have_no_lineage(inputs: Inputs) -> None:
    assert lineage(ibis.memtable({"a": [1]}), inputs) == {"a": ""}
