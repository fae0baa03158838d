"""History tables: versions open, close and go on; nothing that was is changed; any moment can be read."""

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
from assay.errors import WiringError
from assay.tables.graph import Graph
from assay.tables.loads import History, Incremental, as_of
from assay.tables.nodes import Reference, RejectBudget
from assay.tables.results import Publication
from assay.tables.run import Run
from assay.warehouse.quarantine.find import Wanted, discard_all
from assay.warehouse.quarantine.replay import replay
from tests.warehouse import house as houses
from tests.warehouse.house import Given, House, made, values

COLUMNS = "k BIGINT, v BIGINT, w BIGINT"
DAY = dtm.datetime(2026, 1, 1, tzinfo=dtm.UTC)


class Versions(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)
    w: dt.Int64 = pa.Field(nullable=True, metadata=public)
    valid_from: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)
    valid_to: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(nullable=True, metadata=public)

    class Config:
        strict = True
        unique = ["k", "valid_from"]


class Now(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(metadata=public)

    class Config:
        unique = ["k"]


def table(source: Given, load: History | None = None, **options: Any) -> Any:
    return houses.given("t", Versions, source, load=load or History(), **options)


def on(day: int, **options: Any) -> Run:
    return Run(f"run-{day}", DAY + dtm.timedelta(days=day), **options)


def built(house: House, node: Any, day: int, **options: Any) -> Publication:
    result = house.build(node, run=on(day, **options))
    assert result.ok, result.errors
    return result.publications["t"]


def rows(house: House) -> list[tuple[Any, ...]]:
    """Key, value, other value, and the days from which and to which they held."""
    zero = "TIMESTAMPTZ '2026-01-01 00:00:00+00'"
    return house.rows(
        f"SELECT k, v, w, date_diff('day', {zero}, valid_from), date_diff('day', {zero}, valid_to) "
        "FROM warehouse.t ORDER BY ALL"
    )


def said(publication: Publication, check: str = "reconciles") -> str:
    return next(each.summary for each in publication.checks if each.name == check)


def test_versions_open_close_and_go_on(house: House):
    source = Given(values(COLUMNS, "1, 1, 1", "2, 2, NULL", "3, 3, 3"))
    first = built(house, table(source), 0)
    assert (first.action, rows(house)) == ("replace", [(1, 1, 1, 0, None), (2, 2, None, 0, None), (3, 3, 3, 0, None)])

    source.sql = values(COLUMNS, "1, 9, 1", "2, 2, NULL", "4, 4, 4")
    second = built(house, table(source), 1)
    assert (second.action, second.rows) == ("merge", 5)
    assert said(second) == "3 staged: 1 inserted, 1 updated, 1 deleted, 1 unchanged"
    closed = [(1, 1, 1, 0, 1), (1, 9, 1, 1, None), (2, 2, None, 0, None), (3, 3, 3, 0, 1), (4, 4, 4, 1, None)]
    assert rows(house) == closed

    again = built(house, table(source), 2)
    assert (again.changes["unchanged"], again.data_version, rows(house)) == (3, second.data_version, closed)
    # A key that comes back opens a version; what was stays as it was, and a full run does not begin anew.
    source.sql = values(COLUMNS, "1, 9, 1", "2, 2, NULL", "3, 3, 3", "4, 4, 4")
    built(house, table(source), 3, full=True)
    assert rows(house) == sorted([*closed, (3, 3, 3, 3, None)], key=str)


def test_only_compared_columns_make_a_version(house: House):
    source = Given(values(COLUMNS, "1, 1, 1"))
    load = History(compare=("v",))
    built(house, table(source, load), 0)
    source.sql = values(COLUMNS, "1, 1, 7")
    assert built(house, table(source, load), 1).changes["unchanged"] == 1
    assert rows(house) == [(1, 1, 1, 0, None)]


def test_the_rows_may_tell_since_when_they_are_and_one_that_goes_back_changes_nothing(house: House):
    columns = f"{COLUMNS}, changed TIMESTAMPTZ"
    source = Given(values(columns, "1, 1, 1, '2026-01-03 00:00:00+00'"))
    load = History(at="changed", complete=False)
    built(house, table(source, load), 9)
    source.sql = values(columns, "1, 2, 1, '2026-01-06 00:00:00+00'")
    built(house, table(source, load), 10)
    assert rows(house) == [(1, 1, 1, 2, 5), (1, 2, 1, 5, None)]
    source.sql = values(columns, "1, 3, 1, '2026-01-06 00:00:00+00'", "2, 2, 2, '2026-01-04 00:00:00+00'")
    third = built(house, table(source, load), 11)
    assert "1 row older than what is published, which stays" in said(third)
    assert rows(house) == [(1, 1, 1, 2, 5), (1, 2, 1, 5, None), (2, 2, 2, 3, None)]


def test_a_key_that_comes_back_does_not_begin_before_it_ended(house: House):
    columns = f"{COLUMNS}, changed TIMESTAMPTZ"
    source = Given(values(columns, "1, 1, 1, '2026-01-02 00:00:00+00'", "2, 2, 2, '2026-01-02 00:00:00+00'"))
    load = History(at="changed")
    built(house, table(source, load), 1)
    both, source.sql = source.sql, values(columns, "2, 2, 2, '2026-01-02 00:00:00+00'")
    built(house, table(source, load), 5)
    source.sql = both
    built(house, table(source, load), 8)
    assert rows(house) == [(1, 1, 1, 1, 5), (1, 1, 1, 5, None), (2, 2, 2, 1, None)]


def test_a_broken_row_is_not_a_key_that_is_gone(house: House):
    source = Given(values(COLUMNS, "1, 1, 1", "2, 2, 2", "3, 3, 3"))
    budget = RejectBudget(rows=2)
    built(house, table(source, max_rejects=budget), 0)
    source.sql = values(COLUMNS, "1, -1, 1", "2, 2, 2")
    second = built(house, table(source, max_rejects=budget), 1)
    assert second.changes == {"inserted": 0, "updated": 0, "deleted": 1, "unchanged": 1}
    assert rows(house) == [(1, 1, 1, 0, None), (2, 2, 2, 0, None), (3, 3, 3, 0, 1)]

    # Of a row that could not be read nobody knows whose it was: nothing is closed.
    source.sql = values(COLUMNS, "1, 1, 1")
    source.malformed = "SELECT 'csv.columns' AS reason_code, 'f' AS source_file, 1 AS source_line, '{}' AS payload"
    assert built(house, table(source, max_rejects=budget), 2).changes["deleted"] == 0


def test_a_row_rejected_by_each_build_is_one_reject_and_stays_discarded(house: House):
    source = Given(values(COLUMNS, "1, -1, 1", "2, 2, 2"))
    node = table(source, max_rejects=RejectBudget(rows=2))
    built(house, node, 0)
    assert discard_all(house.session, Wanted(table="t")) == 1
    built(house, node, 1)
    known = house.rows("SELECT status, date_diff('day', first_seen, last_seen) FROM quarantine.rejects")
    assert known == [("discarded", 1)]


def test_of_rows_that_are_not_all_a_reject_is_settled_by_a_later_version_of_its_key(house: House):
    """A build that did not see the row again says nothing about it."""
    source = Given(values(COLUMNS, "1, 1, 1", "2, 2, 2"))
    node = table(source, History(complete=False), max_rejects=RejectBudget(rows=2))
    built(house, node, 0)
    source.sql = values(COLUMNS, "1, -1, 1", "2, -2, 2")
    built(house, node, 1)
    source.sql = values(COLUMNS, "2, 3, 3")
    built(house, node, 2)
    statuses = house.rows("SELECT payload->>'k', status FROM quarantine.rejects ORDER BY ALL")
    assert statuses == [("1", "open"), ("2", "resolved")]


class Loose(Versions):
    v: dt.Int64 = pa.Field(ge=-9, metadata=public)


def test_a_replayed_version_begins_only_where_none_holds(house: House):
    source = Given(values(COLUMNS, "1, 1, 1", "3, 3, 3"))
    budget = RejectBudget(rows=9)
    built(house, table(source, max_rejects=budget), 0)
    source.sql = values(COLUMNS, "1, -1, 1", "2, -2, 2", "3, 3, 3")
    built(house, table(source, max_rejects=budget), 1)
    loose = houses.given("t", Loose, source, load=History(), max_rejects=budget)
    check = replay(house.session, Graph.of([loose]), loose, on(2)).checks[0]
    assert check.summary == "1 of 2 rows now pass; the others stay: unique_key.repeat 1"
    assert rows(house) == [(1, 1, 1, 0, None), (2, -2, 2, 1, None), (3, 3, 3, 0, None)]
    built(house, loose, 3)  # which closes what held
    assert rows(house)[:2] == [(1, -1, 1, 3, None), (1, 1, 1, 0, 3)]


def test_a_key_that_repeats_publishes_nothing(house: House):
    source = Given(values(COLUMNS, "1, 1, 1"))
    built(house, table(source), 0)
    source.sql = values(COLUMNS, "1, 2, 1", "1, 3, 1")
    result = house.build(table(source), run=on(1))
    assert "unique_key: 1 row repeats (k)" in str(result.errors["t"])
    assert rows(house) == [(1, 1, 1, 0, None)]


def test_what_was_is_not_judged_by_what_is(house: House):
    keys, source = Given(values("k BIGINT, v BIGINT", "1, 1", "2, 2")), Given(values(COLUMNS, "1, 1, 1"))

    def tables() -> list[Any]:
        others = houses.given("others", Now, keys, may_shrink=1.0)
        return [others, table(source, references=[Reference(("v",), "others", ("k",))])]

    assert house.build(*tables(), run=on(0)).ok
    keys.sql = values("k BIGINT, v BIGINT", "2, 2")
    source.sql = values(COLUMNS, "1, 2, 1")
    assert house.build(*tables(), run=on(1)).ok
    source.sql = values(COLUMNS, "1, 7, 1")
    assert "v_in_others" in str(house.build(*tables(), run=on(2)).errors["t"])


def test_another_shape_is_altered_by_hand_for_nothing_else_has_what_was(house: House):
    source = Given(values(COLUMNS, "1, 1, 1"))
    built(house, table(source), 0)
    house.session.connection.execute("ALTER TABLE warehouse.t RENAME w TO u")
    told = str(house.build(table(source), run=on(1)).errors["t"])
    assert "the published table has other columns (u, w); ALTER it by hand" in told


def test_a_table_reads_a_history_as_of_a_moment(house: House):
    source = Given(values(COLUMNS, "1, 1, 1"))
    built(house, table(source), 0)
    source.sql = values(COLUMNS, "1, 2, 1")
    built(house, table(source), 2)

    def read(day: float) -> list[tuple[Any, ...]]:
        at = DAY + dtm.timedelta(days=day)
        then = made("then", Now, {"t": Versions}, lambda t: as_of(t, at).select("k", "v"), may_be_empty=True)
        assert house.build(table(source), then, names=["then"]).ok
        return house.table(then)

    assert [read(-1), read(0), read(1.99), read(2)] == [[], [(1, 1)], [(1, 1)], [(1, 2)]]


STEPS = st.lists(st.dictionaries(st.integers(0, 4), st.integers(0, 2), max_size=5), min_size=1, max_size=6)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_any_sequence_of_states_is_kept_as_a_model_in_python_keeps_it(steps: list[dict[int, int]]):
    with tempfile.TemporaryDirectory() as folder:
        house, source = House(Path(folder)), Given()
        model: list[list[Any]] = []
        for day, state in enumerate(steps):
            source.sql = values(COLUMNS, *(f"{k}, {v}, NULL" for k, v in state.items()))
            assert house.build(table(source, may_be_empty=True), run=on(day)).ok
            open_ = {version[0]: version for version in model if version[4] is None}
            for k, version in open_.items():
                if state.get(k) != version[1]:
                    version[4] = day
            model += [[k, v, None, day, None] for k, v in state.items() if k not in open_ or open_[k][4] is not None]
            assert sorted(map(list, rows(house)), key=str) == sorted(model, key=str)
        for day, state in enumerate(steps):
            at = f"TIMESTAMPTZ '2026-01-01 00:00:00+00' + INTERVAL {day} DAY"
            held = house.rows(
                f"SELECT k, v FROM warehouse.t WHERE valid_from <= {at} AND (valid_to IS NULL OR valid_to > {at})"
            )
            assert dict(held) == state
        house.leave()


class Unfit(Versions):
    class Config:
        strict = True
        unique = ["k"]


class Untimed(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    valid_from: dt.Timestamp(timezone="UTC") = pa.Field(metadata=public)

    class Config:
        unique = ["k", "valid_from"]


@pytest.mark.parametrize(
    ("model", "load", "told"),
    [
        (Unfit, History(), "its key does not tell the versions of a row apart"),
        (Untimed, History(), "its times are 'valid_from' (TIMESTAMP WITH TIME ZONE) and 'valid_to' (missing)"),
        (Versions, History(valid_from="valid_to", valid_to="valid_from"), "a version that holds has no 'valid_from'"),
        (Versions, History(compare=("x",)), "compare= names 'x'"),
        (Versions, Incremental("valid_to"), "its cursor 'valid_to' is nullable"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_code_loads(model: Any, load: Any, told: str):
    with pytest.raises(WiringError) as caught:
        Graph.of([houses.given("t", model, Given(), load=load)])
    assert told in str(caught.value)


def test_columns_that_are_the_history_s_own_and_one_that_is_not_there(house: House):
    source = Given(values(f"{COLUMNS}, valid_to TIMESTAMPTZ", "1, 1, 1, NULL"))
    assert "gives 'valid_to' itself" in str(house.build(table(source), run=on(0)).errors["t"])
    source.sql = values(COLUMNS, "1, 1, 1")
    told = str(house.build(table(source, History(at="changed")), run=on(0)).errors["t"])
    assert "has no column 'changed', which tells since when" in told
    with pytest.raises(WiringError, match="load= is 'daily'"):
        houses.given("t", Versions, source, load="daily")
