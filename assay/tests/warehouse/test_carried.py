"""The profile and content hash of a large table, carried on by builds of some of its rows, are those of a whole reading."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from assay.contract.classification import personal, public
from assay.contract.contract import Contract
from assay.contract.profile import Profile
from assay.tables.graph import Graph
from assay.tables.nodes import RejectBudget, TableDef
from assay.tables.partitions import daily
from assay.tables.run import Run
from assay.warehouse import carried, ops
from assay.warehouse.quarantine.replay import replay
from assay.warehouse.warehouse import DryRunWarehouse
from tests.warehouse.house import Given, House, given, publication, values

COLUMNS = "d DATE, n BIGINT, t VARCHAR, f DOUBLE, e DECIMAL(18,2), who VARCHAR"
DAYS = daily("d", start="2026-01-01", end="2026-01-04")
HUGE = 9_000_000_000_000_000


class Line(pa.DataFrameModel):
    d: dt.Date = pa.Field(metadata=public)
    n: dt.Int64 = pa.Field(ge=0, nullable=True, metadata=public)
    t: dt.String = pa.Field(nullable=True, metadata=public)
    f: dt.Float64 = pa.Field(nullable=True, metadata=public)
    e: dt.Decimal(18, 2) = pa.Field(nullable=True, metadata=public)
    who: dt.String = pa.Field(nullable=True, metadata=personal)


class Hidden(Line):
    n: dt.Int64 = pa.Field(ge=0, nullable=True, metadata=personal)


def table(source: Given, model: Any = Line, **options: Any) -> TableDef:
    return given("t", model, source, partitions=DAYS, may_be_empty=True, may_shrink=1.0, **options)


def whole(house: House, model: Any = Line) -> Profile:
    return Contract.of(model).profile(house.session.connection, "warehouse.t")


def is_that_of(profile: Profile, rows: int, version: str, columns: list[Any]) -> None:
    assert (rows, version) == (profile.rows, profile.content_hash)
    for ours, theirs in zip(columns, profile.columns, strict=True):
        assert (ours["name"], ours["nulls"]) == (theirs.name, theirs.nulls)
        assert (ours["minimum"], ours["maximum"]) == (theirs.minimum, theirs.maximum)
        assert ours["mean"] == (None if theirs.mean is None else pytest.approx(theirs.mean, rel=1e-9))
        assert ours["distinct"] in (None, theirs.distinct)


def in_books(house: House) -> ops.Record:
    found = house.session.last_publication("t")
    assert found is not None
    return found


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Counter[bool]:
    """Every table counts as large; how often a profile was carried on, and how often it was not."""
    seen: Counter[bool] = Counter()
    begin = carried.begin

    def counted(*arguments: Any) -> Any:
        found = begin(*arguments)
        seen[found is not None] += 1
        return found

    monkeypatch.setattr(carried, "LARGE", 1)
    monkeypatch.setattr(carried, "begin", counted)
    return seen


@pytest.fixture
def house(tmp_path: Path) -> Any:
    made = House(tmp_path)
    yield made
    made.leave()


FOUR = [f"2026-01-0{day}, 1, 'a', 1, 1, 'x'" for day in range(1, 5)]


def lines(*rows: str) -> str:
    return values(COLUMNS, *("'" + row.replace(",", "',", 1) for row in rows))


def built(house: House, node: TableDef, partition: str | None = "2026-01-02") -> Any:
    result = house.build(node, partition=partition)
    assert result.ok, result.errors
    return publication(result, "t")


ROW = st.tuples(
    st.sampled_from(["NULL", "0", "1", "2", str(HUGE)]),
    st.sampled_from(["NULL", "''", "'a'", "'z'"]),
    st.sampled_from(["NULL", "0.5::DOUBLE", "-1e300", "'NaN'::DOUBLE", "'inf'::DOUBLE"]),
    st.sampled_from(["NULL", "0.01", "-0.01", "9999999999999999.99"]),
    st.sampled_from(["NULL", "'p'", "'q'"]),
)
STEP = st.tuples(
    st.integers(1, 4),
    st.integers(0, 1),
    st.lists(ROW, max_size=4),
    st.sampled_from(["built", "built", "built", "refused", "ended"]),
)
ENDS_WITHIN = "the process ends here"


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck)
)
@forall(steps=st.lists(STEP, min_size=2, max_size=6))
def test_any_sequence_of_days_leaves_the_version_of_its_rows(
    steps: list[Any], large: Counter[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nulls, rows twice, empty days, days refused, and builds that end before the commit, which the next finds as before."""
    days: dict[int, list[Any]] = {day: [("1", "'a'", "1", "1", "'x'")] * 3 for day in range(1, 5)}

    def ends(*_: Any) -> None:
        raise RuntimeError(ENDS_WITHIN)

    with tempfile.TemporaryDirectory() as folder:
        house, source = House(Path(folder)), Given()
        for number, (day, more, rows, how) in enumerate([(1, 3, days[1], "built"), *steps]):
            built_days = range(day, min(day + more, 4) + 1)
            broken = [("-1", *row[1:]) for row in rows[:1] if how == "refused"]
            arriving = days | {each: [*rows, *broken] for each in built_days}
            listed = [f"'2026-01-0{at}', {', '.join(row)}" for at, found in arriving.items() for row in found]
            source.sql = values(COLUMNS, *listed)
            partition = f"2026-01-0{built_days[0]}..2026-01-0{built_days[-1]}" if number else None
            with monkeypatch.context() as patched:
                if how == "ended":
                    patched.setattr(ops, "record", ends)
                result = house.build(table(source), partition=partition)
            assert result.ok == (how == "built" or (how == "refused" and not broken)), result.errors
            days = arriving if result.ok else days
            if how == "ended":
                assert ENDS_WITHIN in str(result.errors["t"])
                house.leave()  # and another process opens the file
            assert whole(house).rows == sum(map(len, days.values()))
            last = in_books(house)
            is_that_of(whole(house), last.rows, last.data_version, list(last.profile))
        house.leave()


def test_a_day_is_carried_on_and_equal_rows_keep_all_that_was_known(house: House, large: Counter[bool]) -> None:
    source = Given(lines(*FOUR))
    first = built(house, table(source), None)
    again = built(house, table(source))
    assert (again.data_version, again.profile) == (first.data_version, first.profile)
    assert large == {False: 1, True: 1}
    source.sql = lines(*FOUR[:1], "2026-01-02, 7, NULL, 2, 2, 'y'", *FOUR[2:])
    changed = built(house, table(source))
    assert {each.distinct for each in changed.profile} == {None}
    assert [changed.profile[1].maximum, changed.profile[1].mean, changed.profile[2].nulls] == ["7", 2.5, 1]
    assert (changed.rows, changed.data_version) == (4, whole(house).content_hash)
    assert large[True] == 2


def test_a_mean_that_a_huge_value_leaves_is_computed_anew(house: House, large: Counter[bool]) -> None:
    source = Given(lines(*FOUR, f"2026-01-02, {HUGE}, 'a', 1, 9999999999999999.99, 'x'"))
    built(house, table(source), None)
    source.sql = lines(*FOUR)
    left = built(house, table(source))
    assert large[True] == 1
    assert (left.profile[1].mean, left.profile[4].mean) == (1.0, 1.0)


@pytest.mark.parametrize("what", ["code", "row", "books", "duckdb", "engine", "most"])
def test_what_cannot_be_told_is_read_anew(
    house: House, large: Counter[bool], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    source, model = Given(lines(*FOUR)), Line
    built(house, table(source, Hidden if what == "code" else Line), None)
    source.sql = lines(*FOUR[:1], "2026-01-02, 5, 'b', 2, 2, 'y'", *FOUR[2:])
    if what == "code":
        house.session.connection.execute("UPDATE ops.publications SET code_version = 'of before'")
    if what == "row":
        house.session.connection.execute(f"INSERT INTO warehouse.t {lines(FOUR[0])}")
    if what == "books":  # an older version of this framework wrote no sum of a partitioned table
        house.session.connection.execute("DELETE FROM ops.watermarks")
    if what == "duckdb":
        monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    if what == "engine":  # the books were in use with another one meanwhile, whose hashes are its own
        house.session.connection.execute("UPDATE ops.watermarks SET content = replace(content, 'duckdb', 'spark')")
    found = built(house, table(source, model), "2026-01-02..2026-01-04" if what == "most" else "2026-01-02")
    assert large == {False: 2}
    everything = whole(house)
    assert (found.data_version, found.profile) == (everything.content_hash, everything.columns)
    if what != "most":
        again = built(house, table(source, model))
        assert large[True] == 1
        assert again.data_version == everything.content_hash


def test_after_a_replay_the_next_day_is_read_anew(house: House, large: Counter[bool]) -> None:
    class Looser(Line):
        n: dt.Int64 = pa.Field(nullable=True, metadata=public)

    source = Given(lines(*FOUR, "2026-01-03, -1, 'b', 1, 1, 'x'"))
    some = RejectBudget(rows=9)
    built(house, table(source, max_rejects=some), None)
    looser = table(source, Looser, max_rejects=some)
    built(house, looser, "2026-01-01")
    assert replay(house.session, Graph.of([looser]), looser, Run.start()).action == "replay"
    for day, read_anew in (("2026-01-01", 2), ("2026-01-02", 2)):
        found = built(house, looser, day)
        assert large[False] == read_anew
        assert found.data_version == whole(house).content_hash
    assert large[True] == 2


def test_a_plan_goes_on_from_the_real_books_and_leaves_them(house: House, tmp_path: Path, large: Counter[bool]) -> None:
    source = Given(lines(*FOUR))
    built(house, table(source), None)
    before = house.rows("FROM ops.watermarks")
    source.sql = lines(*FOUR[:1], "2026-01-02, 5, 'b', 2, 2, 'y'", *FOUR[2:])
    house.leave()
    with DryRunWarehouse(house.file, scratch=tmp_path / "dry").session() as dry:
        planned = House(tmp_path)
        planned._session = dry
        found = built(planned, table(source))
    assert large[True] == 1
    assert house.rows("FROM ops.watermarks") == before
    assert found.data_version != whole(house).content_hash
    assert found.data_version == built(house, table(source)).data_version == whole(house).content_hash
