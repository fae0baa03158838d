"""Replay: what passes the current contract is published once, what does not stays with its reasons."""

from __future__ import annotations

from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract import types
from assay.contract.classification import public
from assay.errors import WarehouseError
from assay.tables.graph import Graph
from assay.tables.nodes import KeepFirst, Node, Reference, RejectBudget, TableDef
from assay.tables.results import AuditFailed, Publication
from assay.tables.run import Run
from assay.warehouse.quarantine.replay import replay
from tests.warehouse.house import Given, House, given, stated, values

COLUMNS = "k BIGINT, v BIGINT"
BUDGET = RejectBudget(rows=99)


class Strict(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, nullable=True, metadata=public)

    class Config:
        unique = ["k"]


class Loose(Strict):
    v: dt.Int64 = pa.Field(ge=-5, nullable=True, metadata=public)

    class Config:
        unique = ["k"]


class Unkeyed(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=-5, nullable=True, metadata=public)


def again(house: House, table: TableDef, *others: Node, ids: list[str] | None = None) -> Publication:
    return replay(house.session, Graph.of([table, *others]), table, Run.start(), ids)


def built(house: House, *rows: str, model: Any = Strict, **options: Any) -> Given:
    source = Given(values(COLUMNS, *rows))
    assert house.build(given("a", model, source, max_rejects=BUDGET, **options)).ok
    return source


def loosened(source: Given, **options: Any) -> TableDef:
    return given("a", Loose, source, max_rejects=BUDGET, **options)


@pytest.mark.engines
def test_what_passes_the_current_contract_is_published_and_the_rest_stays_with_its_reasons(house: House) -> None:
    source = built(house, "1, 1", "2, -2", "3, -9")
    table = loosened(source)
    done = again(house, table)
    assert (done.action, done.staged, done.rejected, done.rows) == ("replay", 2, 1, 2)
    assert house.table(table) == [(1, 1), (2, -2)]
    assert house.rejects() == [
        ('{"k":"2","v":"-2"}', ["v.ge_0"], "replayed"),
        ('{"k":"3","v":"-9"}', ["v.ge_-5"], "open"),
    ]
    assert house.rows("SELECT action, staged, rejected, row_count FROM ops.publications ORDER BY id")[-1] == (
        "replay",
        2,
        1,
        2,
    )


def test_a_second_replay_changes_nothing(house: House) -> None:
    table = loosened(built(house, "1, 1", "2, -2"))
    version = again(house, table).data_version
    done = again(house, table)
    assert (done.action, done.staged, done.data_version) == ("none", 0, version)
    assert house.table(table) == [(1, 1), (2, -2)]
    assert len(house.rows("SELECT id FROM ops.publications")) == 2


def test_only_the_named_rows_are_replayed(house: House) -> None:
    table = loosened(built(house, "2, -2", "3, -3"))
    [(second,), (third,)] = house.rejects("reject_id")
    assert again(house, table, ids=[third]).staged == 1
    assert house.table(table) == [(3, -3)]
    assert again(house, table, ids=[second, third]).staged == 1
    assert house.table(table) == [(2, -2), (3, -3)]


def test_a_rebuild_after_a_replay_neither_loses_nor_doubles_the_row(house: House) -> None:
    source = built(house, "1, 1", "2, -2", model=Strict)
    table = loosened(source)
    again(house, table)
    assert house.build(table).ok
    assert house.table(table) == [(1, 1), (2, -2)]
    assert again(house, table).staged == 0
    # The old contract again: the row is rejected again, and open again.
    strict = given("a", Strict, source, max_rejects=BUDGET)
    assert house.build(strict).ok
    assert house.table(strict) == [(1, 1)]
    assert house.rejects("status") == [("open",)]
    again(house, table)
    assert house.table(table) == [(1, 1), (2, -2)]


def test_a_row_published_by_a_rebuild_is_not_replayed_into_it(house: House) -> None:
    """Without a key nothing else would stop it."""

    class Old(Unkeyed):
        v: dt.Int64 = pa.Field(ge=0, nullable=True, metadata=public)

    source = built(house, "1, 1", "2, -2", model=Old)
    table = given("a", Unkeyed, source, max_rejects=BUDGET)
    assert house.build(table).ok
    assert again(house, table).staged == 0
    assert house.table(table) == [(1, 1), (2, -2)]


@pytest.mark.engines
def test_replayed_events_stay_when_more_are_appended(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1", "2, -2"), offsets={0: 2}, incremental=True)
    assert house.build(given("a", Strict, source, max_rejects=BUDGET)).ok
    table = loosened(source)
    again(house, table)
    source.sql, source.offsets = values(COLUMNS, "3, 3"), {0: 3}
    assert house.build(table).ok
    assert house.table(table) == [(1, 1), (2, -2), (3, 3)]
    assert house.rows("SELECT next_offset FROM ops.offsets") == [(3,)]


def test_rejects_of_a_build_that_published_nothing_are_left_alone(house: House) -> None:
    source = built(house, "1, 1")
    source.sql = values(COLUMNS, "1, 1", "2, -2")
    assert not house.build(given("a", Strict, source)).ok
    table = loosened(source)
    assert again(house, table).staged == 0
    assert house.table(table) == [(1, 1)]


def test_malformed_rows_are_left_alone(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1"))
    source.malformed = (
        "SELECT 'csv.cast' AS reason_code, 'p.csv' AS source_file, 3::BIGINT AS source_line, "
        """'{"k":"7","v":"1"}' AS payload"""
    )
    table = given("a", Strict, source, max_rejects=BUDGET)
    assert house.build(table).ok
    assert again(house, table).staged == 0
    assert house.table(table) == [(1, 1)]


@pytest.mark.engines
def test_keys_are_compared_with_the_published_rows_and_among_each_other(house: House) -> None:
    table = loosened(built(house, "1, 1", "1, -1", "2, -2", "2, -3", "3, -3"))
    done = again(house, table)
    assert done.checks[0].reasons == {"unique_key.repeat": 3}
    assert house.table(table) == [(1, 1), (3, -3)]
    assert [row[1:] for row in house.rejects()] == [
        (["unique_key.repeat"], "open"),
        (["unique_key.repeat"], "open"),
        (["unique_key.repeat"], "open"),
        (["v.ge_0"], "replayed"),
    ]


def test_with_keep_first_the_first_of_several_is_published(house: House) -> None:
    options = {"keep": KeepFirst(("-v",))}
    table = loosened(built(house, "1, 1", "2, -2", "2, -3", **options), **options)
    again(house, table)
    assert house.table(table) == [(1, 1), (2, -2)]


def test_a_null_key_stays(house: House) -> None:
    class Before(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(nullable=True, metadata=public)
        v: dt.Int64 = pa.Field(ge=0, metadata=public)

    class After(Before):
        v: dt.Int64 = pa.Field(metadata=public)

        class Config:
            unique = ["k"]

    source = built(house, "1, 1", "NULL, -2", model=Before)
    done = again(house, given("a", After, source, max_rejects=BUDGET))
    assert done.checks[0].reasons == {"unique_key.null": 1}


def test_references_hold_for_replayed_rows(house: House) -> None:
    up = given("up", Strict, Given(values(COLUMNS, "1, 1", "2, 2")))
    source = Given(values(COLUMNS, "1, 1", "2, -2", "3, -3"))
    assert house.build(up, given("a", Strict, source, max_rejects=BUDGET)).ok
    table = loosened(source, references=[Reference(("k",), "up")])
    assert again(house, table, up).checks[0].reasons == {"k_in_up": 1}
    assert house.table(table) == [(1, 1), (2, -2)]
    warned = loosened(source, references=[Reference(("k",), "up", severity="warn")])
    again(house, warned, up)
    assert house.table(table) == [(1, 1), (2, -2), (3, -3)]


def test_the_table_as_a_whole_must_hold_or_nothing_changes(house: House) -> None:
    table = loosened(built(house, "1, 1", "2, -2"))
    positive = stated("sum_is_positive", {"a": Loose}, lambda a: a.aggregate(s=a.v.sum()).filter(lambda t: t.s < 0))
    with pytest.raises(AuditFailed, match="sum_is_positive"):
        again(house, table, positive)
    assert house.table(table) == [(1, 1)]
    assert house.rejects("status") == [("open",)]
    warning = stated(
        "sum_is_positive", {"a": Loose}, lambda a: a.aggregate(s=a.v.sum()).filter(lambda t: t.s < 0), severity="warn"
    )
    done = again(house, table, warning)
    assert [(check.name, check.passed) for check in done.checks] == [("rows_valid", True), ("sum_is_positive", False)]
    assert house.table(table) == [(1, 1), (2, -2)]


def test_rows_stored_under_other_columns_or_types_stay(house: House) -> None:
    class Text(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        v: dt.String = pa.Field(str_length={"max_value": 3}, metadata=public)

    class Number(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        v: dt.Int64 = pa.Field(metadata=public)

    class Other(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        w: dt.Int64 = pa.Field(metadata=public, nullable=True)

    rows = values("k BIGINT, v VARCHAR", "1, '1.50'", "2, 'abcd'", "3, '4000'", "4, '0012'")
    assert house.build(given("a", Text, Given(rows), max_rejects=BUDGET)).ok
    number = given("a", Number, Given(values(COLUMNS, "9, 9")))
    assert house.build(number).ok
    house.rows("UPDATE quarantine.rejected SET status = 'open', set_aside = true")
    # '1.50' and '0012' would be read as other values than were stored; 'abcd' as none.
    assert again(house, number).checks[0].reasons == {"payload.types": 3}
    assert house.table(number) == [(3, 4000), (9, 9)]
    other = given("a", Other, Given(values("k BIGINT, w BIGINT", "9, 9")))
    assert house.build(other).ok
    house.rows("UPDATE quarantine.rejected SET status = 'open', set_aside = true")
    assert again(house, other).checks[0].reasons == {"payload.columns": 4}


def test_columns_may_have_changed_their_order(house: House) -> None:
    class Turned(pa.DataFrameModel):
        v: dt.Int64 = pa.Field(metadata=public)
        k: dt.Int64 = pa.Field(metadata=public)

    built(house, "1, 1", "2, -2")
    turned = given("a", Turned, Given(values("v BIGINT, k BIGINT", "1, 1")))
    assert house.build(turned).ok
    house.rows("UPDATE quarantine.rejected SET status = 'open', set_aside = true")
    again(house, turned)
    assert house.table(turned) == [(-2, 2), (1, 1)]


@pytest.mark.engines
def test_nested_and_odd_values_come_back_as_they_were(house: House) -> None:
    class Before(pa.DataFrameModel):
        f: dt.Float64 = pa.Field(nullable=True, metadata=public)
        m: dt.Decimal(12, 2) = pa.Field(metadata=public)
        t: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)
        n: types.Array(dt.string) = pa.Field(nullable=True, metadata=public)
        v: dt.Int64 = pa.Field(ge=0, metadata=public)

    class After(Before):
        v: dt.Int64 = pa.Field(metadata=public)

    rows = values(
        "f DOUBLE, m DECIMAL(12,2), t TIMESTAMPTZ, n VARCHAR[], v BIGINT",
        "'inf', 10.00, '2026-03-29 01:30:00.000001+02', ['a', NULL, ''], -1",
        "'-0.0', 0.10, '1969-12-31 23:59:59Z', NULL, -1",
    )
    source = Given(rows)
    assert house.build(given("a", Before, source, max_rejects=BUDGET)).ok
    table = given("a", After, source)
    assert again(house, table).rows == 2
    replayed = house.table(table)
    assert house.build(table).ok
    assert repr(house.table(table)) == repr(replayed)


def test_a_table_that_was_never_published_or_has_other_columns_must_be_built(house: House) -> None:
    with pytest.raises(WarehouseError, match="never published"):
        again(house, loosened(Given()))

    class Other(pa.DataFrameModel):
        x: dt.Int64 = pa.Field(metadata=public)

    built(house, "1, 1")
    with pytest.raises(WarehouseError, match="pipeline run a"):
        again(house, given("a", Other, Given()))


def test_nothing_temporary_is_left(house: House) -> None:
    again(house, loosened(built(house, "1, 1", "2, -2")))
    assert house.rows("SELECT table_name FROM duckdb_tables() WHERE database_name = 'temp'") == []
