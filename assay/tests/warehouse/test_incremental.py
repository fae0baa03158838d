"""Incremental tables: by watermark, merged or appended, deleted, audited as a whole, and never half."""

from __future__ import annotations

import datetime as dtm
import tempfile
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.contract.classification import public
from assay.contract.contract import Contract
from assay.errors import WiringError
from assay.sources import FetchContext, Rows
from assay.tables.graph import Graph
from assay.tables.loads import Incremental
from assay.tables.nodes import KeepFirst, Reference, RejectBudget
from assay.tables.partitions import daily
from assay.tables.results import Publication
from assay.tables.run import Run
from assay.warehouse import carried
from tests.warehouse import house as houses
from tests.warehouse.house import Given, House, made, stated, values

COLUMNS = "k BIGINT, v BIGINT, u BIGINT"
MARKED = f"{COLUMNS}, gone BOOLEAN"


class Kept(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)
    u: dt.Int64 = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["k"]


class Logged(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(nullable=True, metadata=public)
    u: dt.Int64 = pa.Field(metadata=public)


class Timed(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    at: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)

    class Config:
        unique = ["k"]


class Dated(pa.DataFrameModel):
    d: dt.Date = pa.Field(metadata=public)

    class Config:
        unique = ["d"]


class Keys(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)

    class Config:
        unique = ["k"]


def table(
    source: Given, model: Any = Kept, cursor: str = "u", load: dict[str, Any] | None = None, **options: Any
) -> Any:
    return houses.given("t", model, source, load=Incremental(cursor, **(load or {})), **options)


def rows(house: House, name: str = "t") -> list[tuple[Any, ...]]:
    return house.session.connection.execute(f"FROM warehouse.{name} ORDER BY ALL").fetchall()


def watermark(house: House, name: str = "t") -> str | None:
    found = house.session.connection.execute("SELECT watermark FROM ops.watermarks WHERE table_name = ?", [name])
    row = found.fetchone()
    return row[0] if row else None


def built(house: House, *nodes: Any, run: Run | None = None, name: str = "t") -> Publication:
    result = house.build(*nodes, run=run)
    assert result.ok, result.errors
    return result.publications[name]


def refused(house: House, *nodes: Any, name: str = "t") -> str:
    result = house.build(*nodes)
    return str(result.errors[name])


def said(publication: Publication, check: str = "reconciles") -> str:
    return next(each.summary for each in publication.checks if each.name == check)


def test_rows_at_the_watermark_are_neither_lost_nor_doubled(house: House):
    source = Given(values(COLUMNS, "1, 1, 10", "2, 2, 20"))
    first = built(house, table(source))
    assert (first.action, first.changes, watermark(house)) == ("replace", {}, "20")

    # A second row of the same moment appears, and one below the watermark, which nobody looks at any more.
    source.sql = values(COLUMNS, "1, 100, 10", "2, 2, 20", "3, 3, 20", "4, 4, 30")
    second = built(house, table(source))
    assert second.action == "merge"
    assert second.changes == {"inserted": 2, "updated": 0, "deleted": 0, "unchanged": 1}
    assert said(second) == "3 staged since u 20: 2 inserted, 0 updated, 0 deleted, 1 unchanged"
    assert rows(house) == [(1, 1, 10), (2, 2, 20), (3, 3, 20), (4, 4, 30)]
    assert watermark(house) == "30"

    again = built(house, table(source))
    assert again.changes == {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 1}
    assert again.data_version == second.data_version


def test_a_lookback_reads_rows_that_come_late(house: House):
    source = Given(values(COLUMNS, "1, 1, 10", "2, 2, 20"))
    built(house, table(source, load={"lookback": 5}))
    source.sql = values(COLUMNS, "1, 1, 10", "2, 2, 20", "3, 3, 15", "4, 4, 14")
    late = built(house, table(source, load={"lookback": 5}))
    assert late.changes["inserted"] == 1
    assert rows(house) == [(1, 1, 10), (2, 2, 20), (3, 3, 15)]
    assert watermark(house) == "20"


def test_a_lookback_below_the_least_of_the_type_takes_all_rows(house: House):
    class Short(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(unique=True, metadata=public)
        u: dt.Int16 = pa.Field(metadata=public)

    source = Given(values("k BIGINT, u SMALLINT", "1, 7"))
    node = table(source, Short, load={"lookback": 40_000})
    built(house, node)
    source.sql = values("k BIGINT, u SMALLINT", "1, 7", "2, -32768")
    assert built(house, node).changes["inserted"] == 1


def test_times_look_back_by_a_timedelta_and_a_clock_that_is_ahead_does_not_move_the_watermark(house: House):
    columns, now = "k BIGINT, at TIMESTAMPTZ", dtm.datetime(2026, 3, 1, tzinfo=dtm.UTC)
    load = {"cursor": "at", "load": {"lookback": dtm.timedelta(hours=1)}}
    source = Given(values(columns, "1, '2026-02-28 23:30:00+00'", "2, '2026-03-02 00:00:00+00'"))
    first = built(house, table(source, Timed, **load), run=Run("1", now))
    assert "1 row ahead of this clock, which does not move the watermark" in said(first)
    assert watermark(house) == "2026-02-28 23:30:00+00"

    source.sql += " UNION ALL " + values(columns, "3, '2026-02-28 22:30:00+00'", "4, '2026-02-28 22:29:59+00'")
    second = built(house, table(source, Timed, **load), run=Run("2", now))
    assert second.changes == {"inserted": 1, "updated": 0, "deleted": 0, "unchanged": 2}
    assert [k for k, _ in rows(house)] == [1, 2, 3]


def test_no_row_at_all_is_no_row_ahead_of_the_clock(house: House):
    source = Given(values("k BIGINT, at TIMESTAMPTZ"))
    assert built(house, table(source, Timed, "at", may_be_empty=True)).rows == 0
    assert watermark(house) is None


def test_a_merge_replaces_by_key_and_keeps_what_is_newer(house: House):
    source = Given(values(COLUMNS, "1, 1, 10", "2, 2, 20"))
    load = {"lookback": 100}
    built(house, table(source, load=load))
    source.sql = values(COLUMNS, "1, 5, 30", "2, 7, 19")
    merged = built(house, table(source, load=load))
    assert merged.changes == {"inserted": 0, "updated": 1, "deleted": 0, "unchanged": 0}
    assert "1 row older than what is published, which stays" in said(merged)
    assert rows(house) == [(1, 5, 30), (2, 2, 20)]


def test_a_row_whose_time_somebody_took_out_by_hand_is_replaced_as_any_other(house: House):
    """Rows that go are looked for by their time as well, where that is quicker; none is left for having none."""
    source = Given(values(COLUMNS, "1, 1, 10", "2, 2, 20"))
    built(house, table(source))
    house.session.connection.execute("UPDATE warehouse.t SET u = NULL WHERE k = 1")
    source.sql = values(COLUMNS, "1, 5, 30", "2, 6, 30")
    assert built(house, table(source)).changes["updated"] == 2
    assert rows(house) == [(1, 5, 30), (2, 6, 30)]


def test_appended_rows_never_change_and_equal_ones_are_counted_one_by_one(house: House):
    load = {"merge": False}
    source = Given(values(COLUMNS, "1, NULL, 10", "1, NULL, 10"))
    built(house, table(source, Logged, load=load))
    source.sql = values(COLUMNS, "1, NULL, 10", "1, NULL, 10", "1, NULL, 10", "1, 2, 10", "9, 9, 9")
    added = built(house, table(source, Logged, load=load))
    assert (added.action, added.changes["inserted"], added.changes["unchanged"]) == ("append", 2, 2)
    assert rows(house) == [(1, 2, 10), (1, None, 10), (1, None, 10), (1, None, 10)]
    # The source keeps no more than its newest rows; the table has them all.
    source.sql = values(COLUMNS, "2, 2, 11")
    assert built(house, table(source, Logged, load=load)).rows == 5


def test_appending_a_key_that_is_published_fails(house: House):
    source = Given(values(COLUMNS, "1, 1, 10"))
    built(house, table(source, load={"merge": False}))
    source.sql = values(COLUMNS, "1, 2, 20")
    assert "unique_key: 1 row repeats (k)" in refused(house, table(source, load={"merge": False}))
    assert (rows(house), watermark(house)) == ([(1, 1, 10)], "10")


def test_a_source_that_repeats_a_key_publishes_nothing_unless_the_table_says_which_row_stays(house: House):
    source = Given(values(COLUMNS, "1, 1, 10"))
    built(house, table(source))
    source.sql = values(COLUMNS, "1, 2, 20", "1, 3, 30", "2, 2, 20")
    error = refused(house, table(source))
    assert "unique_key: 1 row repeats (k)" in error
    assert (rows(house), watermark(house)) == ([(1, 1, 10)], "10")
    shown = house.session.connection.execute("FROM warehouse.__refused_t ORDER BY ALL").fetchall()
    assert shown == [(1, 2, 20), (1, 3, 30), (2, 2, 20)]

    chosen = table(source, keep=KeepFirst(("-u",)), max_rejects=RejectBudget(rows=1))
    merged = built(house, chosen)
    assert (merged.changes["updated"], merged.changes["inserted"], merged.rejected) == (1, 1, 1)
    assert rows(house) == [(1, 3, 30), (2, 2, 20)]


def test_broken_rows_are_set_aside_and_do_not_move_the_watermark(house: House):
    source = Given(values(COLUMNS, "1, 1, 10"))
    budget = {"max_rejects": RejectBudget(rows=1)}
    built(house, table(source, **budget))
    source.sql = values(COLUMNS, "1, 1, 10", "2, -1, 99999", "3, 3, 20")
    merged = built(house, table(source, **budget))
    assert (merged.rejected, watermark(house)) == (1, "20")
    assert "1 rejected" in said(merged)
    # It is mended at the source: read again, published, and no longer open.
    source.sql = values(COLUMNS, "2, 2, 99999")
    built(house, table(source, **budget))
    statuses = house.session.connection.execute("SELECT status FROM quarantine.rejects").fetchall()
    assert (rows(house)[1], statuses) == ((2, 2, 99999), [("resolved",)])


def test_a_row_without_a_cursor_is_judged_and_not_passed_over(house: House):
    source = Given(values(COLUMNS, "1, 1, 10"))
    built(house, table(source))
    source.sql = values(COLUMNS, "1, 1, 10", "2, 2, NULL")
    assert "rows_valid: 1 of 2 rows rejected" in refused(house, table(source))


def test_a_marker_deletes_and_needs_no_more_than_the_key(house: House):
    load = {"deleted": "gone"}
    source = Given(values(MARKED, "1, 1, 10, false", "2, 2, 20, NULL", "3, NULL, 20, true"))
    first = built(house, table(source, load=load))
    assert (first.rows, watermark(house)) == (2, "20")
    assert "1 row of keys that are gone" in said(first)

    source.sql = values(MARKED, "1, NULL, 30, true", "2, 2, 20, false", "7, NULL, 40, true")
    second = built(house, table(source, load={**load}, may_shrink=1.0))
    assert second.changes == {"inserted": 0, "updated": 0, "deleted": 1, "unchanged": 1}
    assert (rows(house), watermark(house)) == ([(2, 2, 20)], "40")
    # The same news again change nothing.
    assert built(house, table(source, load={**load}, may_shrink=1.0)).changes["deleted"] == 0


def test_a_reject_whose_key_is_gone_by_now_is_not_replayed(house: House):
    options = {"load": {"deleted": "gone"}, "max_rejects": RejectBudget(rows=2)}
    source = Given(values(MARKED, "1, 1, 10, false"))
    built(house, table(source, **options))
    source.sql = values(MARKED, "2, -2, 15, false", "3, -3, 15, false", "1, 1, 20, false")
    built(house, table(source, **options))
    source.sql = values(MARKED, "2, NULL, 30, true", "1, 1, 20, false")
    built(house, table(source, **options))
    statuses = house.rows("SELECT payload->>'k', status FROM quarantine.rejects ORDER BY ALL")
    assert statuses == [("2", "resolved"), ("3", "open")]


def test_a_marker_that_is_missing_or_no_boolean_is_told(house: House):
    source = Given(values(COLUMNS, "1, 1, 10"))
    assert "'gone', which says what is deleted, is missing" in refused(house, table(source, load={"deleted": "gone"}))
    source.sql = values(f"{COLUMNS}, gone VARCHAR", "1, 1, 10, 'yes'")
    assert "is string, not boolean" in refused(house, table(source, load={"deleted": "gone"}))


def test_a_key_and_its_deletion_in_one_load_repeat_the_key(house: House):
    source = Given(values(MARKED, "1, 1, 10, false"))
    load = {"deleted": "gone"}
    built(house, table(source, load=load))
    source.sql = values(MARKED, "1, 2, 20, false", "1, NULL, 20, true")
    assert "unique_key: 1 row repeats (k)" in refused(house, table(source, load=load))


def test_a_full_list_of_keys_deletes_what_is_not_in_it(house: House):
    source, keys = Given(values(COLUMNS, *(f"{k}, {k}, {k}" for k in range(1, 21)))), Given(values("k BIGINT", "1"))

    def tables() -> list[Any]:
        listed = houses.given("listed", Keys, keys, may_shrink=1.0)
        whole = houses.given("whole", Kept, source, may_shrink=1.0)
        both = made(
            "t",
            Kept,
            {"whole": Kept, "listed": Keys},
            lambda whole, listed: whole,
            load=Incremental("u", keys="listed"),
        )
        return [listed, whole, both]

    keys.sql = values("k BIGINT", *map(str, range(1, 21)))
    assert built(house, *tables()).rows == 20
    keys.sql = values("k BIGINT", *map(str, range(2, 21)))
    source.sql = values(COLUMNS, "20, 20, 20", "21, 21, 21")
    merged = built(house, *tables())
    assert merged.changes == {"inserted": 0, "updated": 0, "deleted": 1, "unchanged": 1}
    assert "1 row of keys that are gone" in said(merged)
    assert merged.rows == 19

    keys.sql = values("k BIGINT", "2")
    assert "18 of 19 published rows would go" in refused(house, *tables())
    keys.sql = values("k BIGINT")
    assert house.build(*tables()).errors


def test_what_must_hold_is_judged_over_the_table_as_it_would_be(house: House):
    source = Given(values(COLUMNS, "1, 1, 10", "2, 1, 10"))

    def tables() -> list[Any]:
        merged = table(source, load={"deleted": "gone"}, may_shrink=1.0)
        total = stated("total_is_small", {"t": Kept}, lambda t: t.aggregate(s=t.v.sum()).filter(lambda r: r.s > 9))
        return [merged, total]

    source.sql = values(MARKED, "1, 1, 10, false", "2, 1, 10, false")
    built(house, *tables())
    source.sql = values(MARKED, "3, 8, 20, false")
    assert "total_is_small" in refused(house, *tables())
    source.sql = values(MARKED, "3, 8, 20, false", "1, NULL, 20, true")
    assert built(house, *tables()).rows == 2


def test_a_reference_to_itself_sees_what_is_deleted(house: House):
    load, itself = {"deleted": "gone"}, {"references": [Reference(("v",), "t", ("k",))], "may_shrink": 1.0}
    source = Given(values(MARKED, "1, 1, 10, false", "2, 1, 10, false"))
    built(house, table(source, load=load, **itself))
    source.sql = values(MARKED, "1, NULL, 20, true")
    assert "v_in_t" in refused(house, table(source, load=load, **itself))


def test_a_full_run_and_changed_code_take_all_rows(house: House):
    source = Given(values(COLUMNS, "1, 1, 10", "2, 2, 20"))
    built(house, table(source))
    source.sql = values(COLUMNS, "1, 5, 10", "2, 2, 20")
    assert rows(house) == [(1, 1, 10), (2, 2, 20)]
    full = built(house, table(source), run=Run.start(full=True))
    assert (full.action, rows(house)) == ("replace", [(1, 5, 10), (2, 2, 20)])

    source.sql = values(COLUMNS, "1, 6, 10", "2, 2, 20")
    house.session.connection.execute("UPDATE ops.watermarks SET code_version = 'of before'")
    assert (built(house, table(source)).action, rows(house)[0]) == ("replace", (1, 6, 10))


def test_a_warehouse_of_an_older_version_begins_with_all_rows(house: House):
    source = Given(values(COLUMNS, "1, 1, 10"))
    built(house, table(source))
    house.session.connection.execute("DROP TABLE ops.watermarks")
    house.leave()
    assert built(house, table(source)).action == "replace"
    assert watermark(house) == "10"


def test_a_source_that_went_back_changes_nothing_and_is_told(house: House):
    source = Given(values(COLUMNS, "1, 1, 10", "2, 2, 20"))
    built(house, table(source))
    source.sql = values(COLUMNS, "1, 1, 10")
    back = built(house, table(source))
    assert "no row at the watermark or above it, where the last build saw some" in said(back)
    assert (rows(house), watermark(house)) == ([(1, 1, 10), (2, 2, 20)], "20")


def test_rows_of_the_input_that_a_table_preserves_are_all_counted(house: House):
    source = Given(values(COLUMNS, "1, 1, 10", "2, 2, 20"))

    def tables(lost: bool) -> list[Any]:
        def function(whole: Any) -> Any:
            return whole.filter(whole.k != 3) if lost else whole

        return [
            houses.given("whole", Kept, source),
            made("t", Kept, {"whole": Kept}, function, load=Incremental("u"), preserves="whole"),
        ]

    built(house, *tables(lost=False))
    source.sql = values(COLUMNS, "1, 1, 10", "2, 2, 20", "3, 3, 30")
    assert "3 of whole = 3 published or rejected here, compared by (k)" in said(built(house, *tables(lost=False)))
    source.sql = values(COLUMNS, "1, 1, 10", "2, 2, 20", "3, 3, 30", "4, 4, 30")
    assert "whole has 4 rows, 3 arrived: 1 lost" in refused(house, *tables(lost=True))


def test_the_profile_and_version_of_a_large_table_are_carried_on_exactly(house: House, monkeypatch: Any):
    monkeypatch.setattr(carried, "LARGE", 1)

    class Wide(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)
        t: dt.String = pa.Field(nullable=True, metadata=public)
        f: dt.Float64 = pa.Field(nullable=True, metadata=public)
        u: dt.Int64 = pa.Field(metadata=public)

        class Config:
            unique = ["k"]

    columns = "k BIGINT, t VARCHAR, f DOUBLE, u BIGINT, gone BOOLEAN"
    source = Given(
        values(columns, "1, 'a', 0.5, 1, false", "2, NULL, 1.5, 2, false", "3, 'z', 'NaN'::DOUBLE, 3, false")
    )
    load = {"lookback": 100, "deleted": "gone"}
    assert built(house, table(source, Wide, load=load)).profile[1].distinct == 2
    # The smallest text goes, the largest comes and goes, a null and a NaN go.
    for change in (["1, NULL, 7, 4, false"], ["3, 'm', 2, 5, false", "9, 'zz', 3, 9, false"], ["9, NULL, 3, 10, true"]):
        source.sql = values(columns, *change)
        merged = built(house, table(source, Wide, load=load, may_shrink=1.0))
        whole = Contract.of(Wide).profile(house.session.connection, "warehouse.t")
        assert (merged.data_version, merged.rows) == (whole.content_hash, whole.rows)
        assert [_numbers(each) for each in merged.profile] == [_numbers(each) for each in whole.columns]
        assert all(column.distinct is None for column in merged.profile)
    assert merged.action == "merge"


def _numbers(column: Any) -> tuple[Any, ...]:
    return column.nulls, column.minimum, column.maximum, None if column.mean is None else pytest.approx(column.mean)


Step = list[tuple[int, int, int, bool]]
STEPS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=6), max_size=5
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, lookback=st.integers(0, 2))
def test_any_sequence_of_loads_is_what_a_model_in_python_says(steps: list[Step], lookback: int):
    with tempfile.TemporaryDirectory() as folder:
        house, source = House(Path(folder)), Given()
        published: dict[int, tuple[int, int]] = {}
        mark: int | None = None
        for clock, step in enumerate(steps):
            # Each key once, cursors about the clock, which goes on.
            arriving = {k: (v, clock + u, gone) for k, v, u, gone in step}
            source.sql = values(MARKED, *(f"{k}, {v}, {u}, {gone}" for k, (v, u, gone) in arriving.items()))
            load = {"lookback": lookback, "deleted": "gone"}
            result = house.build(table(source, load=load, may_be_empty=True))
            assert result.ok, result.errors
            published, mark = _modelled(published, mark, arriving, lookback)
            assert rows(house) == sorted((k, v, u) for k, (v, u) in published.items())
            assert watermark(house) == (None if mark is None else str(mark))
        house.leave()


def _modelled(
    published: dict[int, tuple[int, int]], mark: int | None, arriving: dict[int, tuple[int, int, bool]], lookback: int
) -> tuple[dict[int, tuple[int, int]], int | None]:
    after = {} if mark is None else dict(published)
    seen = [] if mark is None else [mark]
    for k, (v, u, gone) in arriving.items():
        if mark is not None and u < mark - lookback:
            continue
        seen.append(u)
        if k in after and u < after[k][1]:
            continue
        if gone:
            after.pop(k, None)
        else:
            after[k] = (v, u)
    return after, max(seen, default=None)


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        (Kept, {"load": Incremental("nothing")}, "its cursor 'nothing' is no column of Kept"),
        (Logged, {"load": Incremental("v", merge=False)}, "its cursor 'v' is nullable BIGINT"),
        (Logged, {"load": Incremental("u")}, "merging needs a key, and Logged has none"),
        (Kept, {"load": Incremental("u", lookback=dtm.timedelta(days=1))}, "lookback= of the BIGINT 'u'"),
        (Timed, {"load": Incremental("at", lookback=3)}, "lookback= of the TIMESTAMP WITH TIME ZONE 'at' is 3"),
        (Kept, {"load": Incremental("u", keys="other")}, "keys='other' is none of its inputs (none)"),
        (Dated, {"load": Incremental("d"), "partitions": daily("d", start="2026-01-01")}, "do not go together"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_code_loads(model: Any, options: dict[str, Any], told: str):
    with pytest.raises(WiringError) as caught:
        Graph.of([houses.given("t", model, Given(), **options)])
    assert told in str(caught.value)


def test_an_event_log_is_incremental_already_and_only_a_merge_deletes():
    with pytest.raises(WiringError, match="its source is incremental by itself"):
        Graph.of([houses.given("t", Kept, Given(incremental=True), load=Incremental("u"))])
    with pytest.raises(WiringError, match="deletes rows, but only adds them"):
        Incremental("u", merge=False, deleted="gone")
    with pytest.raises(WiringError, match="does not look back"):
        Incremental("u", lookback=-1)


def test_a_function_with_the_tables_own_cursor_is_asked_from_the_tables_watermark(house: House):
    served, asked = [{"k": 1, "v": 1, "u": 10}, {"k": 2, "v": 2, "u": 20}], []

    def fetch(context: FetchContext) -> Any:
        asked.append(context.since)
        yield from (row for row in served if context.since is None or row["u"] >= context.since)

    node = table(Rows(fetch, "given", "t", cursor="u"), load={"lookback": 5})  # type: ignore[arg-type]
    built(house, node)
    served += [{"k": 1, "v": 9, "u": 30}, {"k": 3, "v": -1, "u": 40}]
    assert "rows_valid" in refused(house, node)
    assert (rows(house), watermark(house)) == ([(1, 1, 10), (2, 2, 20)], "20")
    served[-1]["v"] = 3
    assert built(house, node).changes == {"inserted": 1, "updated": 1, "deleted": 0, "unchanged": 1}
    assert (rows(house), watermark(house)) == ([(1, 9, 30), (2, 2, 20), (3, 3, 40)], "40")
    assert asked == [None, 15, 15]
    assert house.rows("SELECT count(*) FROM ops.offsets") == [(0,)]


def test_a_function_with_another_cursor_than_the_tables_is_refused():
    told = r"by itself, by 'seq', and the table goes on by 'u'.*or name the same column"
    with pytest.raises(WiringError, match=told):
        Graph.of([table(Rows(lambda _: [], "given", "t", cursor="seq"))])  # type: ignore[arg-type]


def test_columns_may_be_named_as_the_merge_names_nothing_of_its_own(tmp_path: Path) -> None:
    """Names that do not begin with two underscores are the contract's, whatever they are."""

    class Odd(pa.DataFrameModel):
        row_id: dt.Int64 = pa.Field(unique=True, metadata=public)
        what: dt.Int64 = pa.Field(metadata=public)
        there: dt.Int64 = pa.Field(metadata=public)

    house = House(tmp_path, threads=1)
    source = Given(values("row_id BIGINT, what BIGINT, there BIGINT", "1, 1, 1", "2, 2, 2"))
    odd = houses.given("odd", Odd, source, load=Incremental("what"))
    assert house.build(odd).ok
    source.sql = values("row_id BIGINT, what BIGINT, there BIGINT", "1, 5, 7", "3, 6, 8")
    assert house.build(odd).ok
    assert house.table(odd) == [(1, 5, 7), (2, 2, 2), (3, 6, 8)]


def test_a_reject_whose_key_came_later_is_settled_whatever_columns_are_called(house: House) -> None:
    class Sent(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(unique=True, metadata=public)
        u: dt.Int64 = pa.Field(metadata=public)
        payload: dt.String = pa.Field(ne="bad", metadata=public)

    columns, budget = "k BIGINT, u BIGINT, payload VARCHAR", {"max_rejects": RejectBudget(rows=1)}
    source = Given(values(columns, "1, 1, 'good'", "2, 5, 'good'"))
    built(house, table(source, Sent, **budget))
    source.sql = values(columns, "1, 10, 'bad'", "2, 20, 'good'")
    built(house, table(source, Sent, **budget))
    source.sql = values(columns, "1, 30, 'good'")
    built(house, table(source, Sent, **budget))
    assert house.rows("SELECT payload->>'u', status FROM quarantine.rejects") == [("10", "resolved")]
