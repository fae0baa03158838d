"""What a table declares as known of its warnings is told apart from news, up to its bound; one row more is news."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay import Known, Reference, RejectBudget, public
from assay.errors import WiringError
from assay.orchestration.metadata import check_results
from assay.plan.effects import check_shifts
from assay.plan.published import read_books
from assay.tables.results import CheckResult, joined
from tests.warehouse.house import Given, House, given, publication, stated, values

COLUMNS = "k BIGINT, v BIGINT"


class Keyed(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(nullable=True, ge=0, metadata=public)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.leave()


UP = given("up", Keyed, Given(values(COLUMNS, "1, 1", "2, 2")))


def referring(source: Given, **options: Any) -> Any:
    return given("a", Keyed, source, references=[Reference(("v",), "up", ("k",), severity="warn")], **options)


def check(result: Any, name: str) -> CheckResult:
    return next(each for each in publication(result, "a").checks if each.name == name)


def test_a_known_warning_is_none_until_it_grows_past_its_bound(house: House) -> None:
    source = Given(values(COLUMNS, "7, 5", "8, 6"))
    a = referring(source, known=[Known("v_in_up", 2, "Two are lost.")])
    found = check(house.build(UP, a), "v_in_up")
    assert (found.passed, found.verdict, found.warns) == (False, "known", False)
    assert found.summary == "2 rows, 2 vs, have no match in up; known up to 2 rows: Two are lost"
    source.sql = values(COLUMNS, "7, 5", "8, 6", "9, 7")
    found = check(house.build(UP, a), "v_in_up")
    assert (found.verdict, found.warns) == ("failed", True)
    assert found.summary == "3 rows, 3 vs, have no match in up; more than is known up to 2 rows: Two are lost"
    source.sql = values(COLUMNS, "7, 1")
    assert check(house.build(UP, a), "v_in_up").verdict == "passed"


def test_rejected_rows_are_known_inside_the_budget_and_above_it_nothing_is_published(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1", "2, -2"))
    a = given("a", Keyed, source, max_rejects=RejectBudget(rows=1), known=[Known("rows_valid", 9, "Returns.")])
    assert check(house.build(a), "rows_valid").verdict == "known"
    source.sql = values(COLUMNS, "1, 1", "2, -2", "3, -3")
    found = check(house.build(a), "rows_valid")
    assert (found.verdict, found.blocks) == ("failed", True)


def test_what_cannot_be_judged_is_never_what_is_known(house: House) -> None:
    a = given("a", Keyed, Given(values(COLUMNS, "1, NULL")), known=[Known("small", 5, "Some are large.")])
    small = stated("small", {"a": Keyed}, lambda a: a.filter(a.v > 10), severity="warn")
    found = check(house.build(a, small), "small")
    assert found.untold
    assert (found.verdict, found.warns) == ("failed", True)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ([Known("unique_key", 1, "r")], "names 'unique_key', which is none of its checks that only warn"),
        ([Known("v_in_upp", 1, "r")], "They are: rows_valid, v_in_up."),
        ([Known("v_in_up", 1, "r"), Known("v_in_up", 2, "r")], "names 'v_in_up' twice"),
    ],
)
def test_only_a_check_that_only_warns_can_be_known(house: House, known: list[Known], message: str) -> None:
    with pytest.raises(WiringError, match="known=") as raised:
        house.build(UP, referring(Given(values(COLUMNS)), known=known))
    assert message in str(raised.value)


@pytest.mark.parametrize(("rows", "reason"), [(0, "r"), (-1, "r"), (3, " ")])
def test_what_is_known_has_a_reason_and_a_bound(rows: int, reason: str) -> None:
    with pytest.raises(WiringError, match="says nothing"):
        Known("rows_valid", rows, reason)


def test_dagster_shows_what_is_known_as_passed_with_its_reason_and_news_as_a_warning(house: House) -> None:
    source = Given(values(COLUMNS, "7, 5"))
    a = referring(source, known=[Known("v_in_up", 1, "One is lost.")])
    known = {each.check_name: each for each in check_results(a, publication(house.build(UP, a), "a").checks)}
    assert known["v_in_up"].passed
    assert known["v_in_up"].metadata["known"].value == "One is lost."
    assert "known up to 1 row" in (known["v_in_up"].description or "")
    source.sql = values(COLUMNS, "7, 5", "8, 6")
    news = {each.check_name: each for each in check_results(a, publication(house.build(UP, a), "a").checks)}
    assert not news["v_in_up"].passed
    assert news["v_in_up"].severity is dg.AssetCheckSeverity.WARN


def test_a_plan_tells_a_warning_that_outgrows_what_is_known(house: House) -> None:
    source = Given(values(COLUMNS, "7, 5"))
    a = referring(source, known=[Known("v_in_up", 1, "One is lost.")])
    first = publication(house.build(UP, a), "a")
    assert [shift.name for shift in check_shifts(None, first)] == []
    books = read_books(house.session.connection, house.session.catalog)
    assert check_shifts(books.published["a"], first) == ()
    source.sql = values(COLUMNS, "7, 5", "8, 6")
    (shift,) = check_shifts(books.published["a"], publication(house.build(UP, a), "a"))
    assert (shift.name, shift.before, shift.after) == ("v_in_up", "known", "failed")


def test_of_builds_of_several_ranges_news_is_told_before_what_is_known(house: House) -> None:
    found = publication(house.build(UP, referring(Given(values(COLUMNS, "7, 1")))), "a")
    verdicts = [("passed", None), ("failed", "known"), ("failed", None)]
    ranges = [
        dataclasses.replace(
            found, checks=(CheckResult("c", verdict == "passed", "warn", str(known), failing=1, known=known),)
        )
        for verdict, known in verdicts
    ]
    assert joined(ranges).checks[0].verdict == "failed"
    assert joined(ranges[:2]).checks[0].verdict == "known"
    assert joined(ranges[1::-1]).checks[0].verdict == "known"
