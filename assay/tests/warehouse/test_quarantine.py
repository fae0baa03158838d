"""The life of a rejected row: one identity over reruns, and settled by the build that overtakes it."""

from __future__ import annotations

import datetime as dtm
import json
from pathlib import Path

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import public
from assay.errors import WarehouseError
from assay.tables.nodes import RejectBudget
from assay.tables.partitions import PartitionRange, daily
from assay.tables.run import Run
from assay.warehouse.quarantine import find as books
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.warehouse import DryRunWarehouse
from tests.warehouse.house import Given, House, check, given, made, publication, values

COLUMNS = "k BIGINT, v BIGINT"
MONDAY = dtm.datetime(2026, 3, 2, tzinfo=dtm.UTC)
TUESDAY = dtm.datetime(2026, 3, 3, tzinfo=dtm.UTC)


class Pair(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)


class Free(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(metadata=public)


class Dated(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(ge=0, metadata=public)
    d: dt.Date = pa.Field(metadata=public)


def table(source: Given, budget: int = 99):
    return given("a", Pair, source, max_rejects=RejectBudget(rows=budget))


def placed(*rows: str) -> str:
    """Rows with the place in the source, as connectors give them."""
    return values("k BIGINT, v BIGINT, _source_file VARCHAR, _source_line BIGINT", *rows)


def test_a_row_rejected_again_is_the_same_reject(house: House) -> None:
    source = Given(placed("1, -1, 'p.csv', 2"))
    a = table(source)
    house.build(a, run=Run("first", MONDAY))
    source.sql = placed("0, 0, 'p.csv', 2", "1, -1, 'p.csv', 3")
    house.build(a, run=Run("second", TUESDAY))
    assert house.rejects("run_id, first_seen, last_seen, source_line, status") == [
        ("second", MONDAY, TUESDAY, 3, "open")
    ]


def test_what_is_only_copied_is_judged_before_it_is_written_and_rejects_the_same(house: House) -> None:
    """Rows of a published table are judged where they stand, computed ones where they were written; few or many are broken."""
    rows = [f"{k}, {-1 if k < 40 else 1}" for k in (*range(100), 7)]
    up = given("up", Free, Given(values(COLUMNS, *rows)))
    budget = RejectBudget(rows=99)
    copied = made("a", Pair, {"up": Free}, lambda up: up.select("v", "k").select("k", "v"), max_rejects=budget)
    computed = made("a", Pair, {"up": Free}, lambda up: up.mutate(v=up.v + 0), max_rejects=budget)
    few = made("a", Pair, {"up": Free}, lambda up: up.filter((up.k == 3) | (up.k >= 40)), max_rejects=budget)
    told = []
    for each in (copied, computed):
        result = publication(house.build(up, each), "a")
        told.append(
            (result.staged, result.rejected, result.rows, house.table(each), house.rejects("reject_id, reason_codes"))
        )
    assert told[0] == told[1]
    assert told[0][:3] == (101, 41, 60)
    assert publication(house.build(up, few), "a").rejected == 1


def test_rejects_of_a_build_that_was_killed_are_nobodys(house: House) -> None:
    a = table(Given(values(COLUMNS, "1, -1")))
    house.build(a)
    house.rows("INSERT INTO quarantine.rejected SELECT * REPLACE (7 AS build) FROM quarantine.rejected")
    assert len(house.rejects()) == 1
    assert len(house.rows("FROM quarantine.rejected")) == 2
    house.leave()
    assert len(house.rows("FROM quarantine.rejected")) == 1
    assert house.rejects("status") == [("open",)]


def test_a_build_without_rejects_is_forgotten(house: House) -> None:
    source = Given(values(COLUMNS, "1, -1", "2, -2"))
    a = table(source)
    for _ in range(3):
        house.build(a)
    assert house.rows("SELECT count(*) FROM quarantine.builds") == [(1,)]
    assert house.rows("SELECT count(*) FROM quarantine.rejected") == [(2,)]


def older(house: House) -> None:
    """Put the quarantine as one table, as version 0.2 had it, into the place of today's."""
    house.rows("CREATE TABLE quarantine.old AS FROM quarantine.rejects ORDER BY reject_id")
    house.rows("DROP VIEW quarantine.rejects; DROP TABLE quarantine.rejected; DROP TABLE quarantine.builds")
    house.rows("ALTER TABLE quarantine.old RENAME TO rejects")
    house.leave()


def test_the_quarantine_of_an_older_warehouse_is_taken_over(house: House) -> None:
    source = Given(values(COLUMNS, "1, -1", "1, -1", "2, -2", "3, -3"))
    a = table(source)
    house.build(a, run=Run("first", MONDAY))
    books.discard(house.session, [books.find(house.session, books.Wanted())[0].id])
    before = house.rows("FROM quarantine.rejects ORDER BY ALL")
    older(house)
    assert house.rows("FROM quarantine.rejects ORDER BY ALL") == before
    assert house.rows("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'rejects'") == [(0,)]
    house.build(a, run=Run("second", TUESDAY))
    same = "reject_id, first_seen, status, set_aside"
    assert house.rows(f"SELECT {same} FROM quarantine.rejects ORDER BY ALL") == sorted(
        (row[0], row[8], row[10], row[11]) for row in before
    )


def test_a_dry_run_replays_in_front_of_an_older_warehouse(house: House) -> None:
    a = table(Given(values(COLUMNS, "1, -1", "2, -2")))
    house.build(a)
    older(house)
    with DryRunWarehouse(house.file, scratch=house.folder / "dry").session() as session:
        quarantine.adopt(session)
        quarantine.adopt(session)
        assert books.discard_all(session, books.Wanted()) == 2
        assert {each.status for each in books.find(session, books.Wanted())} == {"discarded"}
    assert house.rejects("status") == [("open",), ("open",)]


def test_the_quarantine_is_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    """DuckDB names a database by its file, and one called `quarantine` has a schema of that name."""
    house = House(tmp_path)
    for name in ("quarantine", "other"):
        file = tmp_path / f"{name}.duckdb"
        if house.file.exists():
            house.file.rename(file)
        house.warehouse.path = house.file = file
        house.build(table(Given(values(COLUMNS, "1, -1"))))
        house.leave()
        assert house.rows(f"SELECT status FROM {name}.quarantine.rejects") == [("open",)]
        house.leave()


def test_a_quarantine_of_a_shape_that_nobody_knows_is_refused(house: House) -> None:
    house.build(table(Given(values(COLUMNS, "1, -1"))))
    house.rows("DROP VIEW quarantine.rejects; CREATE TABLE quarantine.rejects (x BIGINT)")
    house.leave()
    with pytest.raises(WarehouseError, match=r"quarantine\.rejects: was written by another version of this framework"):
        house.rows("FROM quarantine.rejects")


def test_equal_rows_are_counted_and_keep_their_ids(house: House) -> None:
    source = Given(values(COLUMNS, "1, -1", "1, -1", "2, -2", "1, -1"))
    a = table(source)
    assert publication(house.build(a), "a").rejected == 4
    ids = house.rejects("reject_id")
    assert len(set(ids)) == 4
    house.build(a)
    assert house.rejects("reject_id") == ids
    source.sql = values(COLUMNS, "1, -1", "2, -2")
    house.build(a)
    assert [status for (status,) in house.rejects("status")].count("open") == 2


@pytest.mark.parametrize("broken", [2, 50])
def test_few_and_many_broken_rows_are_found_with_their_reasons_and_places(house: House, broken: int) -> None:
    """Few are looked up by where they stand, many judged again: both are those that do not keep the contract."""
    source = Given(placed(*(f"{n}, {n - broken}, 'p.csv', {n + 2}" for n in range(100))))
    a = table(source)
    assert publication(house.build(a), "a").rejected == broken
    assert [v for _, v in house.table(a)] == list(range(100 - broken))
    assert sorted(house.rejects("source_line, reason_codes, payload")) == [
        (n + 2, ["v.ge_0"], f'{{"k":"{n}","v":"{n - broken}"}}') for n in range(broken)
    ]


def test_the_same_row_of_two_tables_is_two_rejects(house: House) -> None:
    source = Given(values(COLUMNS, "1, -1"))
    house.build(table(source), given("b", Pair, source, max_rejects=RejectBudget(rows=1)))
    assert house.rejects("table_name") == [("a",), ("b",)] or house.rejects("table_name") == [("b",), ("a",)]


def test_equal_events_of_two_batches_are_two_rejects(house: House) -> None:
    source = Given(placed("1, -1, 'log/0', 0"), offsets={0: 1}, incremental=True)
    a = table(source)
    house.build(a)
    source.sql, source.offsets = placed("1, -1, 'log/0', 1"), {0: 2}
    house.build(a)
    assert house.rejects("source_line, status") in ([(0, "open"), (1, "open")], [(1, "open"), (0, "open")])


@pytest.mark.engines
def test_payloads_are_lossless(house: House) -> None:
    class Odd(pa.DataFrameModel):
        f: dt.Float64 = pa.Field(nullable=True, metadata=public)
        s: dt.String = pa.Field(nullable=True, metadata=public)
        t: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(nullable=True, metadata=public)
        bad: dt.Int64 = pa.Field(ge=0, metadata=public)

    rows = [
        "'NaN', '', '2026-03-29 01:30:00.000001+02', -1",
        "'Infinity', NULL, NULL, -1",
        "'-0.0', '\\n\"é', NULL, -1",
    ]
    columns = "f DOUBLE, s VARCHAR, t TIMESTAMPTZ, bad BIGINT"
    house.build(given("a", Odd, Given(values(columns, *rows)), max_rejects=RejectBudget(rows=9)))
    found = {json.loads(payload)["f"]: json.loads(payload) for (payload,) in house.rejects("payload")}
    assert found["nan"]["s"] == ""
    assert found["nan"]["t"] == "2026-03-28 23:30:00.000001+00"
    assert found["inf"]["s"] is None
    assert found["-0.0"]["s"] == '\\n"é'


def test_a_row_that_passes_later_is_resolved_and_open_again_when_it_breaks_again(house: House) -> None:
    source = Given(values(COLUMNS, "1, -1", "2, -2"))
    a = table(source)
    house.build(a)
    source.sql = values(COLUMNS, "1, 1", "2, -2")
    house.build(a)
    assert [row[2] for row in house.rejects()] == ["resolved", "open"]
    source.sql = values(COLUMNS, "1, -1", "2, -2")
    house.build(a)
    assert [row[2] for row in house.rejects()] == ["open", "open"]


def test_a_failed_build_keeps_its_rejects_and_settles_none(house: House) -> None:
    source = Given(values(COLUMNS, "1, -1"))
    a = table(source, budget=1)
    house.build(a)
    source.sql = values(COLUMNS, "2, -2", "3, -3")
    assert not house.build(a).ok
    assert house.rejects("payload, status, set_aside") == [
        ('{"k":"1","v":"-1"}', "open", True),
        ('{"k":"2","v":"-2"}', "open", False),
        ('{"k":"3","v":"-3"}', "open", False),
    ]
    source.sql = values(COLUMNS, "2, 2", "3, -3")
    house.build(a)
    assert house.rejects("status, set_aside") == [("resolved", True), ("resolved", False), ("open", True)]


def test_a_resolved_row_that_a_failed_build_rejects_cannot_be_replayed(house: House) -> None:
    """The published version has the row already."""
    source = Given(values(COLUMNS, "1, -1"))
    house.build(table(source, budget=1))

    class Any(Pair):
        v: dt.Int64 = pa.Field(metadata=public)

    assert house.build(given("a", Any, source)).ok
    assert house.rejects("status, set_aside") == [("resolved", True)]
    assert not house.build(table(source, budget=0)).ok
    assert house.rejects("status, set_aside") == [("open", False)]


@pytest.mark.engines
def test_events_that_a_failed_build_saw_are_settled_by_the_next(house: House) -> None:
    source = Given(placed("1, 1, 'log/0', 0", "2, -2, 'log/0', 1"), offsets={0: 2}, incremental=True)
    a = table(source, budget=1)
    assert house.build(a).ok
    source.sql, source.offsets = placed("3, -3, 'log/0', 2", "4, -4, 'log/0', 3"), {0: 4}
    assert not house.build(a).ok
    # Nobody committed the offsets, so the same events come again; the contract was loosened meanwhile.
    loosened = table(source, budget=2)
    source.sql = placed("3, 3, 'log/0', 2", "4, -4, 'log/0', 3")
    assert house.build(loosened).ok
    assert house.rejects("source_line, status, set_aside") == [
        (1, "open", True),
        (2, "resolved", False),
        (3, "open", True),
    ]


def test_a_partition_settles_its_own_days(house: House) -> None:
    source = Given(values("k BIGINT, d DATE", "-1, '2026-01-01'", "-2, '2026-01-02'", "-3, NULL"))
    a = given("a", Dated, source, partitions=daily("d", start="2026-01-01"), max_rejects=RejectBudget(rows=9))
    house.build(a)
    source.sql = values("k BIGINT, d DATE", "1, '2026-01-01'", "2, '2026-01-02'", "-3, '2026-01-03'")
    house.build(a, partition="2026-01-02")
    assert house.rejects("payload, status") == [
        ('{"k":"-1","d":"2026-01-01"}', "open"),
        ('{"k":"-2","d":"2026-01-02"}', "resolved"),
        ('{"k":"-3","d":null}', "resolved"),
    ]


def test_discarded_rows_stay_discarded(house: House) -> None:
    source = Given(values(COLUMNS, "1, -1", "2, -2"))
    a = table(source)
    house.build(a)
    first = books.find(house.session, books.Wanted(table="a"))
    assert books.discard(house.session, [reject.id for reject in first if '"1"' in reject.payload]) == 1
    house.build(a)
    assert house.rejects("status") == [("discarded",), ("open",)]
    assert books.discard_all(house.session, books.Wanted(table="a", reason="v.ge_0")) == 1
    assert books.discard_all(house.session, books.Wanted(table="a")) == 0


def test_of_a_failed_build_only_so_many_rejects_are_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "KEPT_WHEN_FAILED", 3)
    source = Given(values(COLUMNS, *(f"{number}, -1" for number in range(9))))
    result = house.build(table(source, budget=1))
    assert publication(result, "a").rejected == 9
    assert [json.loads(payload)["k"] for (payload,) in house.rejects("payload")] == ["0", "1", "2"]
    # A published build keeps all of them: the source may not have them tomorrow.
    house.build(table(source, budget=9))
    assert len(house.rejects()) == 9


def test_rejects_name_the_partition_that_was_built(house: House) -> None:
    plain = given("plain", Pair, Given(values(COLUMNS, "1, -1")), max_rejects=RejectBudget(rows=1))
    run = Run("run", MONDAY, partition=PartitionRange.parse("2026-01-01"))
    house.build(plain, run=run)
    assert house.rejects("partition, run_id") == [(None, "run")]


@pytest.mark.engines
def test_of_a_build_over_its_budget_some_of_every_reason_are_kept_and_the_rest_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what they hold alone, the hundred rows that break `v` would fill all the room."""
    monkeypatch.setattr(quarantine, "KEPT_WHEN_FAILED", 20)
    malformed = (
        "SELECT 'csv.columns' AS reason_code, 'f' AS source_file, i AS source_line, "
        "json_object('_line', repeat('z', i::INT))::VARCHAR AS payload FROM range(1, 41) AS t(i)"
    )
    rows = "SELECT i AS k, -1::BIGINT AS v FROM range(100) AS t(i) UNION ALL SELECT NULL, i FROM range(3) AS t(i)"
    a = table(Given(rows, malformed=malformed), budget=5)
    found = check(house.build(a), "a", "rows_valid")
    assert found.summary.endswith("; 20 of them are in the quarantine, some for every reason, and 123 are not")
    kept = dict(house.rows("SELECT reason_codes[1], count(*) FROM quarantine.rejects GROUP BY ALL"))
    assert kept == {"csv.columns": 9, "v.ge_0": 8, "k.not_null": 3}
    assert books.not_kept(house.session, books.Wanted()) == {"a": 123}
    assert house.build(table(Given(rows), budget=500)).ok
    assert books.not_kept(house.session, books.Wanted()) == {}


@pytest.mark.parametrize(
    ("counts", "share"), [([3], 3), ([30], 20), ([10, 10], 10), ([1, 50], 19), ([1, 2, 50, 60], 8), ([5] * 40, 1)]
)
def test_room_is_shared_among_the_reasons(monkeypatch: pytest.MonkeyPatch, counts: list[int], share: int) -> None:
    monkeypatch.setattr(quarantine, "KEPT_WHEN_FAILED", 20)
    assert f", {share})" in quarantine._some("rows", counts)
