"""Every check of a publication: a build in which it holds, and one in which it does not and nothing is published."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import personal, public
from assay.errors import SourceError, WarehouseError, WiringError
from assay.tables.nodes import KeepFirst, Reference, RejectBudget
from assay.tables.partitions import daily
from assay.tables.results import AuditFailed
from assay.tables.run import Run
from tests.warehouse.house import (
    Given,
    House,
    check,
    given,
    made,
    publication,
    stated,
    values,
)

COLUMNS = "k BIGINT, v BIGINT"
DAYS = daily("d", start="2026-01-01", end="2026-01-31")


class Pair(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, nullable=True, metadata=public)

    class Config:
        strict = True


class Keyed(Pair):
    class Config:
        strict = True
        unique = ["k"]


class Loose(Pair):
    class Config:
        strict = False


class NullableKey(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(nullable=True, metadata=public)
    v: dt.Int64 = pa.Field(nullable=True, metadata=public)

    class Config:
        strict = True
        unique = ["k"]


class TwoKeys(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public, unique=True)
    v: dt.Int64 = pa.Field(metadata=public, unique=True)


class Dated(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    d: dt.Date = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["k"]


class Person(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    name: dt.String = pa.Field(metadata=personal, str_length={"min_value": 3})
    note: dt.String = pa.Field()

    class Config:
        strict = True
        unique = ["k"]


class Few(Pair):
    @pa.dataframe_check(name="v_sums_below_100")
    def small(cls, data):
        return data.table.v.sum() < 100

    class Config:
        strict = True


# --- schema


@pytest.mark.parametrize(
    ("columns", "row", "problem"),
    [
        ("k BIGINT", "1", "column 'v' is missing"),
        ("k BIGINT, v BIGINT, x BIGINT", "1, 2, 3", "x"),
        ("k BIGINT, v INTEGER", "1, 2", "INTEGER"),
        ("k BIGINT, v VARCHAR", "1, '2'", "VARCHAR"),
        ("k BIGINT, w BIGINT", "1, 2", "column 'v' is missing"),
    ],
)
def test_a_schema_that_is_not_the_contracts_publishes_nothing(
    house: House, columns: str, row: str, problem: str
) -> None:
    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Pair, source)
    assert check(house.build(a), "a", "schema").passed
    source.sql = values(columns, row)
    result = house.build(a)
    found = check(result, "a", "schema")
    assert found.blocks
    assert problem in found.summary
    assert problem in str(result.errors["a"])
    assert isinstance(result.errors["a"], AuditFailed)
    assert house.table(a) == [(1, 1)]


def test_columns_beyond_a_contract_that_is_not_strict_are_not_published(house: House) -> None:
    a = given("a", Loose, Given(values("x VARCHAR, v BIGINT, k BIGINT", "'secret', 2, 1")))
    assert check(house.build(a), "a", "schema").passed
    assert house.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = 'a' ORDER BY column_index") == [
        ("k",),
        ("v",),
    ]


# --- rows_valid


def test_broken_rows_inside_the_budget_are_set_aside_with_a_warning(house: House) -> None:
    a = given("a", Pair, Given(values(COLUMNS, "1, 1", "2, -2", "3, NULL")), max_rejects=RejectBudget(rows=1))
    result = house.build(a)
    found = check(result, "a", "rows_valid")
    assert (found.passed, found.severity, found.failing) == (False, "warn", 1)
    assert found.reasons == {"v.ge_0": 1}
    assert found.sample == ({"reasons": "v.ge_0", "source": None, "k": "2", "v": "-2"},)
    assert result.ok
    assert house.table(a) == [(1, 1), (3, None)]
    assert house.rejects() == [('{"k":"2","v":"-2"}', ["v.ge_0"], "open")]


@pytest.mark.engines
def test_broken_rows_above_the_budget_publish_nothing_and_are_kept(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Pair, source, max_rejects=RejectBudget(rows=1))
    assert check(house.build(a), "a", "rows_valid").summary == "the row keeps the contract"
    source.sql = values(COLUMNS, "1, 1", "2, -2", "3, -3")
    result = house.build(a)
    assert check(result, "a", "rows_valid").blocks
    assert "2 of 3 rows rejected, above the budget of 1 row: v.ge_0 2" in str(result.errors["a"])
    assert "pipeline quarantine list --table a" in str(result.errors["a"])
    assert result.errors["a"].exit_code == 1
    assert house.table(a) == [(1, 1)]
    assert [row[1] for row in house.rejects()] == [["v.ge_0"], ["v.ge_0"]]


def test_the_budget_is_rows_or_a_share(house: House) -> None:
    rows = [f"{number}, {-1 if number < 10 else 1}" for number in range(100)]
    for budget, blocks in [(RejectBudget(ratio=0.1), False), (RejectBudget(ratio=0.09), True)]:
        a = given("a", Pair, Given(values(COLUMNS, *rows)), max_rejects=budget)
        found = check(house.build(a), "a", "rows_valid")
        assert found.blocks is blocks
        assert (found.summary == "10 of 100 rows rejected, above the budget of 0 rows or 9%: v.ge_0 10") is blocks


@pytest.mark.parametrize("emptied", [[], ["1, -1", "2, -2"]])
@pytest.mark.engines
def test_nothing_takes_the_place_of_published_rows_unless_that_is_said(house: House, emptied: list[str]) -> None:
    source = Given(values(COLUMNS))
    a = given("a", Pair, source, max_rejects=RejectBudget(rows=9))
    assert check(house.build(a), "a", "reconciles").passed, "the first rows may be none"
    source.sql = values(COLUMNS, "1, 1", "2, 2")
    assert house.build(a).ok
    source.sql = values(COLUMNS, *emptied)
    found = check(house.build(a), "a", "reconciles")
    assert found.blocks
    assert "no row is left where 2 are published" in found.summary
    assert house.table(a) == [(1, 1), (2, 2)]
    may = given("a", Pair, source, max_rejects=RejectBudget(rows=9), may_be_empty=True)
    assert house.build(may).ok
    assert house.table(a) == []


def test_a_day_may_have_no_rows_and_a_stream_no_news(house: House) -> None:
    source = Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'"))
    a = given("a", Dated, source, partitions=DAYS, may_be_empty=True)
    assert house.build(a).ok
    source.sql = values("k BIGINT, d DATE", "1, '2026-01-01'")
    assert house.build(a, partition="2026-01-02").ok
    assert len(house.table(a)) == 1
    events = Given(values(COLUMNS, "1, 1"), offsets={0: 1}, incremental=True)
    b = given("b", Pair, events)
    assert house.build(b).ok
    events.sql = values(COLUMNS)
    assert house.build(b).ok
    assert house.table(b) == [(1, 1)]


@pytest.mark.engines
def test_malformed_rows_count_and_name_where_they_stood(house: House) -> None:
    malformed = (
        "SELECT 'csv.columns' AS reason_code, 'p.csv' AS source_file, 17::BIGINT AS source_line, "
        '\'{"line": "a;b"}\' AS payload'
    )
    source = Given(f"SELECT *, 'p.csv' AS _source_file, 2::BIGINT AS _source_line FROM ({values(COLUMNS, '1, -1')})")
    source.malformed = malformed
    a = given("a", Pair, source, max_rejects=RejectBudget(rows=1))
    result = house.build(a)
    found = check(result, "a", "rows_valid")
    assert found.reasons == {"csv.columns": 1, "v.ge_0": 1}
    assert "2 of 2 rows rejected, above the budget" in found.summary
    assert "the first at p.csv:2" in found.summary
    assert check(result, "a", "reconciles").passed
    assert house.rejects("payload, source_file, source_line, malformed") == [
        ('{"k":"1","v":"-1"}', "p.csv", 2, False),
        ('{"line": "a;b"}', "p.csv", 17, True),
    ]
    # What the contract does not know is masked.
    assert {"reasons": "csv.columns", "source": "p.csv:17", "line": "***"} in found.sample


def test_samples_mask_what_is_classified_or_unclassified(house: House) -> None:
    rows = ["1, 'ann', 'x'", "2, 'bo', 'private'", "3, 'di', NULL", "4, NULL, 'y'"]
    a = given("a", Person, Given(values("k BIGINT, name VARCHAR, note VARCHAR", *rows)))
    found = check(house.build(a), "a", "rows_valid")
    assert found.failing == 3
    assert {"reasons": "name.str_length_min_3", "source": None, "k": "2", "name": "***", "note": "***"} in found.sample
    assert {"reasons": "name.not_null", "source": None, "k": "4", "name": None, "note": "***"} in found.sample
    stored = house.rows("SELECT checks FROM ops.publications")[0][0]
    assert "'bo'" not in stored
    assert "private" not in stored


def test_long_values_are_cut(house: House) -> None:
    class Note(pa.DataFrameModel):
        text: dt.String = pa.Field(metadata=public)
        number: dt.Int64 = pa.Field(ge=0, metadata=public)

    a = given("a", Note, Given("SELECT repeat('x', 100000) AS text, -1::BIGINT AS number"))
    text = check(house.build(a), "a", "rows_valid").sample[0]["text"]
    assert text.startswith("xxx")
    assert len(text) < 300


# --- unique_key


@pytest.mark.parametrize("rows", [["1, 1", "1, 2"], ["1, 1", "1, 1"], ["1, 1", "2, 2", "1, 3", "2, 4"]])
def test_a_repeated_key_publishes_nothing(house: House, rows: list[str]) -> None:
    source = Given(values(COLUMNS, "1, 1", "2, 1"))
    a = given("a", Keyed, source)
    assert check(house.build(a), "a", "unique_key").passed
    source.sql = values(COLUMNS, *rows)
    found = check(house.build(a), "a", "unique_key")
    assert found.blocks
    assert found.sample[0]["k"] == 1
    assert house.table(a) == [(1, 1), (2, 1)]
    assert found.sample_sql is not None
    repeated = {row.split(",")[0] for row in rows if sum(row[0] == other[0] for other in rows) > 1}
    assert "__staging" not in found.sample_sql
    assert {str(row[0]) for row in house.ask(found.sample_sql)} == repeated


def test_refused_rows_are_kept_where_the_check_points_until_the_next_build(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Keyed, source)
    assert house.build(a).ok
    refused = "SELECT count(*) FROM duckdb_tables() WHERE table_name = '__refused_a'"
    source.sql = values(COLUMNS, "1, 1", "1, 2")
    result = house.build(a)
    assert f"The refused rows are in {a.stage}.__refused_a until the next build." in str(result.errors["a"])
    assert house.rows(f"SELECT k, v FROM {a.stage}.__refused_a ORDER BY ALL") == [(1, 1), (1, 2)]
    source.sql = values(COLUMNS, "5, 1", "5, 2")
    found = check(house.build(a), "a", "unique_key")
    assert house.ask(found.sample_sql) == [(5, 2)]
    source.sql = values(COLUMNS, "6, 1")
    assert house.build(a).ok
    assert house.rows(refused) == [(0,)]


@pytest.mark.engines
def test_a_repeat_between_refused_and_published_rows_is_found(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1", "2, 1"), offsets={0: 1}, incremental=True)
    a = given("a", Keyed, source)
    assert house.build(a).ok
    source.sql = values(COLUMNS, "2, 7", "3, 7")
    found = check(house.build(a), "a", "unique_key")
    assert found.blocks
    assert house.ask(found.sample_sql) == [(2, 2)]


@pytest.mark.engines
def test_a_null_key_publishes_nothing_also_where_repeats_are_set_aside(house: House) -> None:
    for keep in (None, KeepFirst(("v",))):
        source = Given(values(COLUMNS, "1, 1"))
        a = given("a", NullableKey, source, keep=keep)
        assert check(house.build(a), "a", "unique_key").passed
        source.sql = values(COLUMNS, "1, 1", "NULL, 2", "NULL, 3")
        found = check(house.build(a), "a", "unique_key")
        assert found.blocks
        assert "null in 2 rows" in found.summary


def test_every_key_of_the_contract_is_checked(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1", "2, 2"))
    a = given("a", TwoKeys, source)
    assert check(house.build(a), "a", "unique_key").passed
    source.sql = values(COLUMNS, "1, 1", "2, 1")
    assert "1 row repeats (v)" in check(house.build(a), "a", "unique_key").summary


@pytest.mark.parametrize(("order", "kept"), [(("v",), 1), (("-v",), 3)])
def test_keep_first_sets_the_others_aside(house: House, order: tuple[str, ...], kept: int) -> None:
    rows = ["1, 2", "1, 1", "1, 3", "2, NULL", "2, 7"]
    a = given("a", Keyed, Given(values(COLUMNS, *rows)), keep=KeepFirst(order), max_rejects=RejectBudget(rows=9))
    result = house.build(a)
    assert check(result, "a", "unique_key").passed
    assert check(result, "a", "rows_valid").reasons == {"unique_key.repeat": 3}
    assert house.table(a) == [(1, kept), (2, 7)]


@pytest.mark.engines
def test_keep_first_breaks_ties_by_all_columns_and_never_by_arrival(house: House) -> None:
    class Wide(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        at: dt.Int64 = pa.Field(metadata=public)
        z: dt.String = pa.Field(metadata=public)

        class Config:
            unique = ["k"]

    kept, rejected = set(), set()
    for rows in (["1, 5, 'b'", "1, 5, 'a'", "1, 5, 'a'"], ["1, 5, 'a'", "1, 5, 'b'", "1, 5, 'a'"]):
        source = Given(values("k BIGINT, at BIGINT, z VARCHAR", *rows))
        a = given("a", Wide, source, keep=KeepFirst(("at",)), max_rejects=RejectBudget(rows=9))
        assert house.build(a).ok
        kept.add(tuple(house.table(a)))
        rejected.add(tuple(row[0] for row in house.rejects("reject_id")))
    assert kept == {((1, 5, "a"),)}
    assert len(rejected) == 1


def test_keep_first_above_the_budget_publishes_nothing(house: House) -> None:
    a = given("a", Keyed, Given(values(COLUMNS, "1, 1", "1, 2")), keep=KeepFirst(("v",)))
    assert check(house.build(a), "a", "rows_valid").blocks
    assert house.table(a) == []
    assert [row[1] for row in house.rejects()] == [["unique_key.repeat"]]


def test_keep_first_sees_rows_of_many_row_groups(house: House) -> None:
    """Row ids of rows that the same transaction wrote, after some of them were deleted."""
    source = Given("SELECT range % 125000 AS k, if(range % 70 = 0, -1, range) AS v FROM range(135000)")
    a = given("a", Keyed, source, keep=KeepFirst(("v",)), max_rejects=RejectBudget(ratio=1.0))
    result = house.build(a)
    expected = house.rows(
        "SELECT count(*), count(DISTINCT k), sum(v) FROM "
        "(SELECT range % 125000 AS k, min(range) AS v FROM range(135000) WHERE range % 70 <> 0 GROUP BY 1)"
    )
    assert house.rows(f"SELECT count(*), count(DISTINCT k), sum(v) FROM w.{a.stage}.a") == expected
    assert check(result, "a", "reconciles").passed


@pytest.mark.engines
def test_keep_first_in_a_partition_compares_with_the_days_that_stay(house: House) -> None:
    source = Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'"))
    a = given("a", Dated, source, partitions=DAYS, keep=KeepFirst(("d",)), max_rejects=RejectBudget(rows=9))
    assert house.build(a).ok
    # Key 1 is published on the first already, so the second's repeat of it is set aside.
    source.sql = values("k BIGINT, d DATE", "1, '2026-01-02'", "2, '2026-01-02'", "2, '2026-01-02'")
    result = house.build(a, partition="2026-01-02")
    assert check(result, "a", "rows_valid").reasons == {"unique_key.repeat": 2}
    assert check(result, "a", "unique_key").passed
    assert [(k, d.day) for k, d in house.table(a)] == [(1, 1), (2, 2)]
    # Key 2 comes first on the first, but the second's row is not this build's to remove.
    source.sql = values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-01'")
    result = house.build(a, partition="2026-01-01")
    assert check(result, "a", "unique_key").blocks
    assert [(k, d.day) for k, d in house.table(a)] == [(1, 1), (2, 2)]


def test_appended_rows_may_not_repeat_published_keys(house: House) -> None:
    source = Given(values(COLUMNS, "1, 5"), offsets={0: 1}, incremental=True)
    a = given("a", Keyed, source)
    assert house.build(a).ok
    source.sql, source.offsets = values(COLUMNS, "2, 5"), {0: 2}
    assert check(house.build(a), "a", "unique_key").passed
    source.sql, source.offsets = values(COLUMNS, "1, 6"), {0: 3}
    assert check(house.build(a), "a", "unique_key").blocks
    assert house.table(a) == [(1, 5), (2, 5)]
    assert house.rows("SELECT partition, next_offset FROM ops.offsets") == [(0, 2)]


@pytest.mark.engines
def test_with_keep_first_a_published_event_came_first(house: House) -> None:
    source = Given(values(COLUMNS, "1, 5"), offsets={0: 1}, incremental=True)
    a = given("a", Keyed, source, keep=KeepFirst(("v",)), max_rejects=RejectBudget(rows=9))
    assert house.build(a).ok
    source.sql, source.offsets = values(COLUMNS, "1, 4", "2, 1", "2, 2"), {0: 4}
    assert check(house.build(a), "a", "rows_valid").reasons == {"unique_key.repeat": 2}
    assert house.table(a) == [(1, 5), (2, 1)]


# --- reconciles


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda up: up.filter(up.v > 1), "1 lost"),
        (lambda up: up.union(up.filter(up.v > 1)), "2 multiplied"),
        (lambda up: up.cross_join(up.select(j="v")).filter(ibis._.v >= ibis._.j).select("k", "v"), "3 multiplied"),
    ],
)
@pytest.mark.engines
def test_lost_and_multiplied_rows_publish_nothing(house: House, function, word: str) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1", "2, 2", "3, 3")))
    whole = made("a", Pair, {"up": Pair}, lambda up: up, preserves="up")
    assert check(house.build(up, whole), "a", "reconciles").passed
    broken = made("a", Pair, {"up": Pair}, function, preserves="up")
    found = check(house.build(up, broken), "a", "reconciles")
    assert found.blocks
    assert word in found.summary
    assert len(house.table(whole)) == 3


@pytest.mark.engines
def test_preserved_rows_may_be_rejected(house: House) -> None:
    up = given("up", NullableKey, Given(values(COLUMNS, "1, 1", "2, -2")))
    a = made("a", Pair, {"up": NullableKey}, lambda up: up, preserves="up", max_rejects=RejectBudget(rows=1))
    found = check(house.build(up, a), "a", "reconciles")
    assert found.passed
    assert found.summary == "2 of up = 2 published or rejected here, compared by (k)"


def test_rows_lost_in_another_partition_are_noticed(house: House) -> None:
    up = given("up", Dated, Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'")))
    a = made("a", Dated, {"up": Dated}, lambda up: up.filter(up.k != 1), partitions=DAYS, preserves="up")
    assert check(house.build(up, a, partition="2026-01-02"), "a", "reconciles").blocks
    a = made("a", Dated, {"up": Dated}, lambda up: up, partitions=DAYS, preserves="up")
    assert check(house.build(up, a, partition="2026-01-02"), "a", "reconciles").passed


def test_staged_rows_that_vanish_are_noticed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity staged = published + rejected, with a row stolen between staging and splitting."""
    from assay.warehouse.quarantine import keep as quarantine

    def steal(session, *arguments, **options):
        session.connection.execute(f"DELETE FROM w.{a.stage}.__staging_a WHERE k = 1")
        begin(session, *arguments, **options)

    begin = quarantine.begin
    a = given("a", Pair, Given(values(COLUMNS, "1, 1", "2, 2")))
    assert check(house.build(a), "a", "reconciles").passed
    monkeypatch.setattr(quarantine, "begin", steal)
    found = check(house.build(a), "a", "reconciles")
    assert found.blocks
    assert "2 staged is not 1 published + 0 rejected" in found.summary


# --- references


@pytest.mark.parametrize("severity", ["error", "warn"])
@pytest.mark.engines
def test_references(house: House, severity) -> None:
    up = given("up", Keyed, Given(values(COLUMNS, "1, 1", "2, 2")))
    source = Given(values(COLUMNS, "7, 1", "8, NULL"))
    # The column v of `a` names a key of `up`.
    a = given("a", Pair, source, references=[Reference(("v",), "up", ("k",), severity=severity)])
    result = house.build(up, a)
    assert check(result, "a", "v_in_up").passed
    source.sql = values(COLUMNS, "7, 1", "9, 5", "10, 5", "11, 6")
    result = house.build(up, a)
    found = check(result, "a", "v_in_up")
    assert (found.passed, found.blocks, found.failing) == (False, severity == "error", 3)
    assert found.summary == "3 rows, 2 vs, have no match in up"
    assert [row["v"] for row in found.sample] == [5, 6]
    assert len(house.table(a)) == (2 if severity == "error" else 4)
    assert found.sample_sql is not None
    assert ("__refused_a" in found.sample_sql) is (severity == "error")
    assert "__staging" not in found.sample_sql
    assert sorted(house.ask(found.sample_sql)) == [(5,), (6,)]


def test_references_of_two_columns_and_of_a_table_to_itself(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1", "2, 2")))
    source = Given(values(COLUMNS, "1, 1", "2, 1"))
    a = given("a", Pair, source, references=[Reference(("k", "v"), "up"), Reference(("v",), "a", ("k",))])
    result = house.build(up, a)
    assert not check(result, "a", "k_and_v_in_up").passed
    assert check(result, "a", "v_in_a").passed
    source.sql = values(COLUMNS, "1, 2", "1, 1")
    assert not check(house.build(up, a), "a", "v_in_a").passed


# --- rules about the table, and invariants


def test_table_rules(house: House) -> None:
    source = Given(values(COLUMNS, "1, 60"))
    a = given("a", Few, source)
    assert check(house.build(a), "a", "v_sums_below_100").passed
    source.sql = values(COLUMNS, "1, 60", "2, 60")
    assert check(house.build(a), "a", "v_sums_below_100").blocks
    assert house.table(a) == [(1, 60)]


@pytest.mark.engines
def test_table_rules_see_what_stays(house: House) -> None:
    source = Given(values(COLUMNS, "1, 60"), offsets={0: 1}, incremental=True)
    a = given("a", Few, source)
    assert house.build(a).ok
    source.sql = values(COLUMNS, "2, 60")
    assert check(house.build(a), "a", "v_sums_below_100").blocks


@pytest.mark.parametrize("severity", ["error", "warn"])
def test_invariants(house: House, severity) -> None:
    up = given("up", Keyed, Given(values(COLUMNS, "1, 1")))
    source = Given(values(COLUMNS, "1, 5"))
    a = given("a", Pair, source)
    holds = stated("known", {"a": Pair, "up": Keyed}, lambda a, up: a.anti_join(up, "k"), severity=severity)
    assert check(house.build(up, a, holds), "a", "known").passed
    source.sql = values(COLUMNS, "1, 5", "2, 6")
    result = house.build(up, a, holds)
    found = check(result, "a", "known")
    assert (found.passed, found.blocks, found.failing) == (False, severity == "error", 1)
    assert found.sample == ({"k": 2, "v": 6},)
    assert len(house.table(a)) == (1 if severity == "error" else 2)
    assert found.sample_sql is not None
    assert ("__refused_a" in found.sample_sql) is (severity == "error")
    assert not any(internal in found.sample_sql for internal in ("__whole", "__staging"))
    assert house.ask(found.sample_sql) == [(2, 6)]


def test_invariants_see_the_whole_table_and_mask_what_comes_from_classified_columns(house: House) -> None:
    class Named(pa.DataFrameModel):
        d: dt.Date = pa.Field(metadata=public)
        name: dt.String = pa.Field(metadata=personal)

    source = Given(values("d DATE, name VARCHAR", "'2026-01-01', 'ann'"))
    a = given("a", Named, source, partitions=DAYS)
    twice = stated(
        "once",
        {"a": Named},
        lambda a: a.group_by(shouted=a.name.upper()).agg(n=a.count()).filter(lambda t: t.n > 1),
        across_partitions=True,
    )
    assert house.build(a, twice).ok
    source.sql = values("d DATE, name VARCHAR", "'2026-01-02', 'ann'")
    found = check(house.build(a, twice, partition="2026-01-02"), "a", "once")
    assert found.blocks
    assert found.sample == ({"shouted": "***", "n": 2},)


def test_an_invariant_names_what_is_wrong_unless_that_is_masked(house: House) -> None:
    class Named(pa.DataFrameModel):
        name: dt.String = pa.Field(metadata=personal)
        kind: dt.String = pa.Field(metadata=public)

    a = given("a", Named, Given(values("name VARCHAR, kind VARCHAR", "'ann', 'x'", "'bob', 'y'", "'cid', 'x'")))

    def said(names: str) -> str:
        found = stated("holds", {"a": Named}, lambda a: a.filter(a.name != ""), severity="warn", names=names)
        return check(house.build(a, found), "a", "holds").summary

    assert said("kind").startswith("3 rows contradict it (x, y): ")
    assert said("name").startswith("3 rows contradict it: ")
    missing = stated("holds", {"a": Named}, lambda a: a.filter(a.name != ""), names="sort")
    assert "'holds' returns no column 'sort'" in str(house.build(a, missing).errors["a"])


# --- what is published


@pytest.mark.engines
def test_a_partition_replaces_exactly_its_rows(house: House) -> None:
    source = Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'", "3, '2026-01-03'"))
    a = given("a", Dated, source, partitions=DAYS)
    assert publication(house.build(a), "a").action == "replace"
    source.sql = values("k BIGINT, d DATE", "10, '2026-01-01'", "20, '2026-01-02'", "30, '2026-01-03'")
    result = house.build(a, partition="2026-01-02")
    found = publication(result, "a")
    assert (found.action, found.partition, found.staged, found.rows) == ("partition", "2026-01-02", 1, 3)
    assert [k for k, _ in house.table(a)] == [1, 3, 20]
    source.sql = values("k BIGINT, d DATE")
    emptied = given("a", Dated, source, partitions=DAYS, may_be_empty=True)
    assert house.build(emptied, partition="2026-01-01..2026-01-02").ok
    assert [k for k, _ in house.table(a)] == [3]


def test_a_row_without_a_day_is_judged_in_every_partition(house: House) -> None:
    source = Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, NULL", "3, '2026-01-03'"))
    a = given("a", Dated, source, partitions=DAYS, max_rejects=RejectBudget(rows=1))
    for day in ("2026-01-01", "2026-01-03"):
        assert check(house.build(a, partition=day), "a", "rows_valid").reasons == {"d.not_null": 1}
    assert [k for k, _ in house.table(a)] == [1, 3]
    assert house.rejects("payload, partition") == [('{"k":"2","d":null}', "2026-01-03")]


def test_a_failed_partition_leaves_the_others_and_itself(house: House) -> None:
    source = Given(values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'"))
    a = given("a", Dated, source, partitions=DAYS)
    assert house.build(a).ok
    source.sql = values("k BIGINT, d DATE", "5, '2026-01-02'", "5, '2026-01-02'")
    assert not house.build(a, partition="2026-01-02").ok
    assert [k for k, _ in house.table(a)] == [1, 2]


def test_a_changed_contract_needs_more_than_a_partition(house: House) -> None:
    source = Given(values("k BIGINT, d DATE", "1, '2026-01-01'"))
    assert house.build(given("a", Dated, source, partitions=DAYS)).ok

    class Wider(Dated):
        x: dt.Int64 = pa.Field(nullable=True, metadata=public)

        class Config:
            unique = ["k"]

    source.sql = values("k BIGINT, d DATE, x BIGINT", "1, '2026-01-01', 6", "2, '2026-01-02', 7")
    wider = given("a", Wider, source, partitions=DAYS)
    found = check(house.build(wider, partition="2026-01-02"), "a", "schema")
    assert found.blocks
    assert "the published table has other columns (x); build all of it: pipeline run a" in found.summary
    assert house.build(wider).ok


def test_events_and_their_offsets_are_published_together(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1"), offsets={0: 1, 3: 7}, incremental=True)
    a = given("a", Pair, source)
    result = house.build(a)
    assert publication(result, "a").action == "append"
    assert house.rows("SELECT partition, next_offset FROM ops.offsets ORDER BY 1") == [(0, 1), (3, 7)]
    source.sql, source.offsets = values(COLUMNS, "2, 2"), {0: 2, 3: 7}
    assert house.build(a).ok
    assert house.table(a) == [(1, 1), (2, 2)]
    assert house.rows("SELECT partition, next_offset FROM ops.offsets ORDER BY 1") == [(0, 2), (3, 7)]
    source.sql, source.offsets = values(COLUMNS, "3, -1"), {0: 3, 3: 7}
    assert not house.build(a).ok
    assert house.rows("SELECT partition, next_offset FROM ops.offsets ORDER BY 1") == [(0, 2), (3, 7)]


def test_the_previous_version_stays_and_a_retry_in_the_same_run_succeeds(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Keyed, source)
    assert house.build(a).ok
    run = Run.start()
    source.sql = values(COLUMNS, "2, 2", "2, 2")
    assert not house.build(a, run=run).ok
    assert house.table(a) == [(1, 1)]
    source.sql = values(COLUMNS, "2, 2")
    assert house.build(a, run=run).ok
    assert house.table(a) == [(2, 2)]
    assert [each.action for each in run.publications] == ["failed", "replace"]


def test_nothing_of_a_build_is_left_behind(house: House) -> None:
    """No staging table, no temporary table, no folder; after success, a failed audit and an error."""
    source = Given(values(COLUMNS, "1, 1", "1, 2", "2, -1"), malformed=None)
    good = given("a", Keyed, source, keep=KeepFirst(("v",)), max_rejects=RejectBudget(rows=9))
    bad = given("b", Few, Given(values(COLUMNS, "1, 1000", "2, -1")), max_rejects=RejectBudget(rows=9))
    wrong = given("c", Pair, Given("SELECT 1::BIGINT AS k, CAST(t AS BIGINT) AS v FROM (SELECT 'x' AS t)"))
    late = given("late", Pair, Given(values(COLUMNS, "1, 1", "2, -1")), max_rejects=RejectBudget(rows=9))
    raises = stated("raises", {"late": Pair}, lambda late: late.mutate(x=(late.k.cast("string") + "x").cast("int64")))
    result = house.build(good, bad, wrong, late, raises)
    tables = house.rows("SELECT table_name, database_name FROM duckdb_tables()")
    views = house.rows("SELECT view_name FROM duckdb_views() WHERE NOT internal")
    assert sorted(result.errors) == ["b", "c", "late"]
    assert sorted(tables) == [
        ("a", "w"),
        ("builds", "w"),
        ("code", "w"),
        ("code_sources", "w"),
        ("metrics", "w"),
        ("offsets", "w"),
        ("partitions", "w"),
        ("publications", "w"),
        ("rejected", "w"),
        ("watermarks", "w"),
    ]
    assert views == [("rejects",)]
    assert house.rows("SELECT count(*) FROM quarantine.rejected") == house.rows(
        "SELECT count(*) FROM quarantine.rejects"
    )
    assert not list((house.folder / "scratch").glob("landing_*"))


def test_a_value_that_cannot_be_computed_is_one_line_naming_the_table(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    a = made("a", Pair, {"up": Pair}, lambda up: up.select("k", v=(up.v.cast("string") + "x").cast("int64")))
    result = house.build(up, a)
    error = result.errors["a"]
    assert isinstance(error, SourceError)
    assert f"{a.stage}.a" in str(error)
    assert "Could not convert string '***' to INT64" in str(error)  # the value may be anybody's
    assert "\n" not in str(error)
    assert house.table(a) == []


def test_a_table_that_was_never_published_is_named(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    a = made("a", Pair, {"up": Pair}, lambda up: up)
    result = house.build(up, a, names=["a"])
    assert isinstance(result.errors["a"], WarehouseError)
    assert "pipeline run up" in str(result.errors["a"])


def test_downstream_of_a_failure_is_skipped_and_the_rest_is_built(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, -1")))
    a = made("a", Pair, {"up": Pair}, lambda up: up)
    b = made("b", Pair, {"a": Pair}, lambda a: a)
    other = given("other", Pair, Given(values(COLUMNS, "1, 1")))
    result = house.build(up, a, b, other)
    assert list(result.errors) == ["up"]
    assert result.skipped == {"a": "up", "b": "up"}
    assert publication(result, "other").action == "replace"


def test_odd_names_are_quoted(house: House) -> None:
    class Odd(pa.DataFrameModel):
        a: dt.Int64 = pa.Field(alias='k "1', metadata=public)
        b: dt.Int64 = pa.Field(alias="it's; DROP", metadata=public, ge=0)
        c: dt.Date = pa.Field(alias="Sold On", metadata=public)

        class Config:
            unique = ['k "1']

    source = Given(
        """SELECT * FROM (VALUES (1::BIGINT, 1::BIGINT, DATE '2026-01-01'), (1, 2, '2026-01-01'), (2, -1, '2026-01-02'))
           AS t("k ""1", "it's; DROP", "Sold On")"""
    )
    a = given(
        "Select",
        Odd,
        source,
        keep=KeepFirst(("-it's; DROP",)),
        max_rejects=RejectBudget(rows=5),
        partitions=daily("Sold On", start="2026-01-01"),
        references=[Reference(('k "1',), "Select")],
    )
    for partition in (None, "2026-01-01", None):
        assert house.build(a, partition=partition).ok
    assert [row[:2] for row in house.table(a)] == [(1, 2)]
    assert [row[2] for row in house.rejects()] == ["open", "open"]


def test_a_warehouse_may_be_named_like_one_of_its_schemas(house: House) -> None:
    for name in ("ops", "warehouse", "temp", 'my "db'):
        house.leave()
        house.warehouse.path = house.folder / f"{name}.duckdb"
        a = given(
            "a", Keyed, Given(values(COLUMNS, "1, 1", "1, 2")), keep=KeepFirst(("v",)), max_rejects=RejectBudget(1)
        )
        assert house.build(a).ok
        assert house.build(a).ok
        assert house.table(a) == [(1, 1)]


def test_a_function_that_returns_no_table_is_a_wiring_error(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    result = house.build(up, made("a", Pair, {"up": Pair}, lambda up: 5))
    assert isinstance(result.errors["a"], WiringError)
    assert "returned int" in str(result.errors["a"])


@pytest.mark.parametrize("appends", [True, False])
def test_rows_published_before_a_contract_was_tightened_are_told_by_the_next_run(
    house: House, monkeypatch: pytest.MonkeyPatch, appends: bool
) -> None:
    class Loose(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        d: dt.Date = pa.Field(metadata=public)

    class Strict(Loose):
        k: dt.Int64 = pa.Field(ge=0, le=5, metadata=public)

    columns, day = "k BIGINT, d DATE", None if appends else "2026-01-02"
    source = Given(values(columns, "-1, '2026-01-01'", "-2, '2026-01-01'", "7, '2026-01-01'"), incremental=appends)
    options: dict[str, Any] = {"partitions": None if appends else DAYS}
    assert house.build(given("a", Loose, source, **options)).ok
    source.sql = values(columns, "1, '2026-01-02'")
    monkeypatch.setattr("assay.build.code_version", lambda *_, **__: "another")
    result = house.build(given("a", Strict, source, **options), partition=day)
    found = check(result, "a", "rows_valid")
    assert (result.ok, found.passed, found.severity) == (True, False, "warn")
    assert found.summary == (
        "the row keeps the contract; rows published before break the contract as it is now: k.ge_0 2, k.le_5 1"
    )
    source.sql = values(columns, "2, '2026-01-02'")
    assert check(house.build(given("a", Strict, source, **options), partition=day), "a", "rows_valid").passed
