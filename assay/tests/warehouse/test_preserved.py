"""Rows of an input that must all arrive: matched by the input's key where there is one, counted where not, and said so."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import personal, public
from assay.tables.nodes import RejectBudget, TableDef
from tests.warehouse.house import Given, House, check, given, made, values

COLUMNS = "k BIGINT, v VARCHAR"


class Keyed(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.String = pa.Field(nullable=True, metadata=public)

    class Config:
        unique = ["k"]


class Loose(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(nullable=True, metadata=public)
    v: dt.String = pa.Field(nullable=True, metadata=public)


class NoBlank(Loose):
    v: dt.String = pa.Field(ne="", metadata=public)


class Renamed(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public)


class Person(pa.DataFrameModel):
    k: dt.String = pa.Field(unique=True, metadata=personal)


def dropped_and_doubled(up: ibis.Table) -> ibis.Table:
    """Row 1 is dropped, row 2 doubled: as many rows as before."""
    return up.filter(up.k != 1).union(up.filter(up.k == 2))


@pytest.fixture
def up() -> TableDef:
    return given("up", Keyed, Given(values(COLUMNS, "1, 'a'", "2, 'b'", "3, NULL")))


@pytest.mark.parametrize(
    ("model", "function"),
    [
        (Loose, dropped_and_doubled),
        (Renamed, lambda up: dropped_and_doubled(up).select(order_id="k")),
        (Loose, lambda up: up.join(ibis.memtable({"k": [2, 2, 3]}), "k").select("k", "v")),
        (Loose, lambda up: up.mutate(k=up.k).order_by("k").filter(up.k > 1).union(up.filter(up.k == 3))),
    ],
)
def test_a_dropped_row_is_not_made_up_for_by_a_doubled_one(house: House, up, model, function) -> None:
    whole = made(
        "a", model, {"up": Keyed}, lambda up: up.select(order_id="k") if model is Renamed else up, preserves="up"
    )
    found = check(house.build(up, whole), "a", "reconciles")
    assert (found.passed, found.summary) == (True, "3 of up = 3 published or rejected here, compared by (k)")
    found = check(house.build(up, made("a", model, {"up": Keyed}, function, preserves="up")), "a", "reconciles")
    assert found.blocks
    assert found.summary == "up has 3 rows, 3 arrived: 1 lost and 1 multiplied (compared by (k))"
    assert {(row["k"], row["rows"], row["arrived"]) for row in found.sample} >= {(1, 1, 0)}
    assert len(house.table(whole)) == 3


def test_rejected_rows_count_as_arrived_by_their_key(house: House, up) -> None:
    """Row 3 is rejected for its null, and row 1 for being blank."""
    budget = RejectBudget(rows=2)
    kept = made(
        "a", NoBlank, {"up": Keyed}, lambda up: up.mutate(v=up.v.nullif("a")), preserves="up", max_rejects=budget
    )
    found = check(house.build(up, kept), "a", "reconciles")
    assert (found.passed, found.summary) == (True, "3 of up = 3 published or rejected here, compared by (k)")
    lost = made("a", NoBlank, {"up": Keyed}, dropped_and_doubled, preserves="up", max_rejects=budget)
    assert "1 lost and 1 multiplied" in check(house.build(up, lost), "a", "reconciles").summary


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda up: up.mutate(k=up.k + 1), "of its key (k) k does not arrive unchanged"),
        (lambda up: up.mutate(k=up.k.fill_null(0)), "of its key (k) k does not arrive unchanged"),
        (lambda up: up.select(k=ibis.row_number().cast("int64"), v="v"), "of its key (k) k does not arrive unchanged"),
    ],
)
def test_without_the_key_the_check_says_that_it_only_counts(house: House, up, function, why: str) -> None:
    found = check(house.build(up, made("a", Loose, {"up": Keyed}, function, preserves="up")), "a", "reconciles")
    assert (found.passed, found.summary) == (True, f"3 of up = 3 published or rejected here, only counted: {why}")


def test_rows_computed_in_python_are_matched_by_the_keys_name(house: House, up) -> None:
    def function(up: ibis.Table) -> object:
        return dropped_and_doubled(up).to_pyarrow()

    found = check(
        house.build(up, made("a", Loose, {"up": Keyed}, function, preserves="up", engine="python")), "a", "reconciles"
    )
    assert "1 lost and 1 multiplied" in found.summary


def test_over_the_budget_rows_are_only_counted(house: House, up) -> None:
    a = made("a", NoBlank, {"up": Keyed}, lambda up: up, preserves="up")
    found = check(house.build(up, a), "a", "reconciles")
    assert "only counted: not every rejected row was kept" in found.summary


def test_personal_keys_are_masked(house: House) -> None:
    up = given("up", Person, Given("SELECT 'ann' AS k UNION ALL SELECT 'bob'"))
    double = lambda up: up.filter(up.k == "ann").union(up.filter(up.k == "ann"))  # noqa: E731  one line says it
    loose = type(
        "Unkeyed", (pa.DataFrameModel,), {"__annotations__": {"k": dt.String}, "k": pa.Field(metadata=personal)}
    )
    found = check(house.build(up, made("a", loose, {"up": Person}, double, preserves="up")), "a", "reconciles")
    assert [row["k"] for row in found.sample] == ["***", "***"]
