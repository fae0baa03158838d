"""What a check says when it cannot tell: never that it holds, unless the README says so. One test per row of its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import personal, public
from assay.errors import WarehouseError
from assay.tables.nodes import Reference, RejectBudget
from assay.warehouse.dry.proof import Witness
from tests.warehouse.house import Given, House, check, given, stated, values

COLUMNS = "k BIGINT, v BIGINT"


class Pair(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(nullable=True, metadata=public)
    v: dt.Int64 = pa.Field(nullable=True, metadata=public)


class Mean(Pair):
    @pa.dataframe_check()
    def v_is_small(cls, data: Any) -> Any:
        return data.table.v.mean() < 10


class Decided(Pair):
    @pa.dataframe_check()
    def v_is_small(cls, data: Any) -> Any:
        return (data.table.v.mean() < 10).fill_null(True)


class Ratio(Pair):
    @pa.dataframe_check()
    def v_is_a_number(cls, data: Any) -> Any:
        return (data.table.k.cast("string") + "x").try_cast("int64") > data.table.v


def test_a_table_rule_over_nulls_alone_does_not_hold(house: House) -> None:
    source = Given(values(COLUMNS, "1, NULL", "2, NULL"))
    found = check(house.build(given("a", Mean, source)), "a", "v_is_small")
    assert found.blocks
    assert found.summary == (
        "v is small cannot be told: it is NULL over 2 rows (if that is right, say so in the rule: .fill_null(True))"
    )
    assert check(house.build(given("a", Decided, source)), "a", "v_is_small").passed


def test_a_table_rule_over_no_row_holds_only_where_the_table_may_be_empty(house: House) -> None:
    source = Given(values(COLUMNS))
    assert check(house.build(given("a", Mean, source)), "a", "v_is_small").blocks
    found = check(house.build(given("a", Mean, source, may_be_empty=True)), "a", "v_is_small")
    assert (found.passed, found.summary) == (True, "v is small is not judged: there is no row")
    source.sql = values(COLUMNS, "1, NULL")
    assert check(house.build(given("a", Mean, source, may_be_empty=True)), "a", "v_is_small").blocks


@pytest.mark.parametrize(
    "contradicting",
    [
        lambda a: a.filter(a.k > a.v),
        lambda a: a.filter(a.k > a.v).select("k").order_by("k"),
        lambda a: a.filter(a.k > 0, a.v < 0),
        lambda a: a.filter(~a.k.isin(a.filter(a.k == 2).v)),
        lambda a: a.filter(a.v > a.v.sum().over(group_by="k")),
    ],
)
def test_an_invariant_whose_comparison_is_null_does_not_hold(house: House, contradicting: Any) -> None:
    rows = Given(values(COLUMNS, "1, 5", "2, NULL"))
    found = check(house.build(given("a", Pair, rows), stated("holds", {"a": Pair}, contradicting)), "a", "holds")
    assert found.blocks
    assert "cannot be told for" in found.summary
    assert found.sample
    assert found.sample_sql is not None
    assert house.rows(found.sample_sql)


def test_an_invariant_that_decides_about_nulls_holds(house: House) -> None:
    rows = Given(values(COLUMNS, "1, 5", "2, NULL"))
    decided = stated("holds", {"a": Pair}, lambda a: a.filter((a.k > a.v).fill_null(False)))
    assert check(house.build(given("a", Pair, rows), decided), "a", "holds").passed
    false = stated("holds", {"a": Pair}, lambda a: a.filter(a.k > a.v, a.k > 2))  # false, whatever v is
    assert check(house.build(given("a", Pair, rows), false), "a", "holds").passed


def test_what_an_undecided_invariant_shows_is_masked(house: House) -> None:
    class Secret(Pair):
        k: dt.Int64 = pa.Field(nullable=True, metadata=personal)

    rows = Given(values(COLUMNS, "77, NULL"))
    dropped = stated("holds", {"a": Secret}, lambda a: a.filter(a.v > 1).select("v"))
    found = check(house.build(given("a", Secret, rows), dropped), "a", "holds")
    assert [dict(row) for row in found.sample] == [{"k": "***", "v": None}]


def test_a_row_rule_that_is_null_is_broken_unless_a_value_is_missing(house: House) -> None:
    budget = RejectBudget(rows=9)
    rows = Given(values(COLUMNS, "1, 5", "NULL, 5", "1, NULL"))
    found = check(house.build(given("a", Ratio, rows, max_rejects=budget)), "a", "rows_valid")
    assert dict(found.reasons) == {"v_is_a_number": 1}


def test_rows_without_a_value_are_told_by_their_reference(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1", "NULL, 2")))
    a = given("a", Pair, Given(values(COLUMNS, "1, 1", "NULL, 5", "5, NULL")), references=[Reference(("k", "v"), "up")])
    found = check(house.build(up, a), "a", "k_and_v_in_up")
    assert (found.passed, found.summary) == (True, "every (k, v) is in up; 2 rows without a value not judged")


def test_no_row_refers_to_nothing(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    a = given("a", Pair, Given(values(COLUMNS)), references=[Reference(("k", "v"), "up")], may_be_empty=True)
    found = check(house.build(up, a), "a", "k_and_v_in_up")
    assert (found.passed, found.summary) == (True, "every (k, v) is in up")


def test_an_unreadable_file_proves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    file.write_bytes(b"")
    with Witness(file) as witness:
        file.with_name("w.duckdb.wal").mkdir()
        with pytest.raises(WarehouseError, match="nothing proves that it is left alone"):
            witness.proof()


def test_a_key_that_is_null_in_every_row_is_no_key(house: House) -> None:
    class Keyed(Pair):
        class Config:
            unique = ["k"]

    found = check(house.build(given("a", Keyed, Given(values(COLUMNS, "NULL, 1")))), "a", "unique_key")
    assert (found.blocks, found.summary) == (True, "(k) is null in 1 row")


def test_a_type_that_is_not_known_is_not_the_contracts(house: House) -> None:
    rows = given("a", Pair, Given("SELECT 1::BIGINT AS k, '1'::ENUM('1') AS v"))
    assert check(house.build(rows), "a", "schema").blocks
