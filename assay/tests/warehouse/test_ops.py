"""The warehouse's own books: what was published, in which order, from what; readable by any JSON parser."""

from __future__ import annotations

import datetime as dtm
import json

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import public
from assay.tables.nodes import RejectBudget
from assay.tables.run import Run
from assay.warehouse import ops
from tests.warehouse.house import Given, House, given, made, publication, values

COLUMNS = "k BIGINT, v BIGINT"
NOON = dtm.datetime(2026, 3, 2, 12, tzinfo=dtm.UTC)


class Pair(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)


def test_a_publication_is_recorded_as_it_was_reported(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1", "2, -2")), max_rejects=RejectBudget(rows=1))
    a = made("a", Pair, {"up": Pair}, lambda up: up)
    result = house.build(up, a, run=Run("run-1", NOON))
    first, second = (house.session.last_publication(name) for name in ("up", "a"))
    assert first is not None
    assert second is not None
    assert (first.run_id, first.rows, first.rejected, first.partition) == ("run-1", 1, 1, None)
    assert first.data_version == publication(result, "up").data_version
    assert first.source_version == up.source.fingerprint("") if up.source else None
    assert second.upstream_versions == {"up": first.data_version}
    assert [check["name"] for check in first.checks] == [check.name for check in publication(result, "up").checks]
    assert [column["name"] for column in first.profile] == ["k", "v"]
    assert house.rows("SELECT table_name, staged, published_at FROM ops.publications ORDER BY id") == [
        ("up", 2, NOON),
        ("a", 1, NOON),
    ]


def test_a_failure_is_recorded_and_is_not_the_last_publication(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Pair, source)
    house.build(a)
    before = house.session.last_publication("a")
    source.sql = values(COLUMNS, "1, -1")
    assert not house.build(a).ok
    assert house.session.last_publication("a") == before
    assert before is not None
    assert house.session.data_version("a") == before.data_version
    assert house.rows("SELECT action, row_count, staged, rejected FROM ops.publications ORDER BY id") == [
        ("replace", 1, 1, 0),
        ("failed", 1, 1, 1),
    ]


def test_the_newest_is_the_last_published_also_when_the_clock_stands_still_or_goes_back(house: House) -> None:
    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Pair, source)
    versions = []
    for number, now in enumerate([NOON, NOON, NOON - dtm.timedelta(days=1), NOON]):
        source.sql = values(COLUMNS, f"{number}, 1")
        house.build(a, run=Run(f"run-{number}", now))
        last = house.session.last_publication("a")
        assert last is not None
        assert last.run_id == f"run-{number}"
        versions.append(last.data_version)
    assert len(set(versions)) == 4


def test_what_was_never_published_has_no_record(house: House) -> None:
    assert house.session.data_version("a") is None
    assert house.session.last_publication("a") is None


def test_json_has_no_nan_no_bytes_and_text_as_keys() -> None:
    value = {"x": float("nan"), "y": [float("inf"), 1.5, None], 3: (b"\x00", dtm.date(2026, 1, 1)), (1, 2): True}
    text = ops.as_json(value)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "x": "nan",
        "y": ["inf", 1.5, None],
        "3": ["b'\\x00'", "2026-01-01"],
        "(1, 2)": True,
    }


def test_samples_with_nan_can_be_read_by_the_database(house: House) -> None:
    class Odd(pa.DataFrameModel):
        k: dt.Float64 = pa.Field(nullable=True, metadata=public, unique=True)

    result = house.build(given("a", Odd, Given(values("k DOUBLE", "'inf'", "'inf'", "'nan'"))))
    assert not result.ok
    [(count,)] = house.rows("SELECT json_array_length(checks) FROM ops.publications")
    assert count == len(publication(result, "a").checks)


def test_exports_are_recorded_too(house: House) -> None:
    from pandera.typing.ibis import Table

    from assay.tables.declare import export

    def letter(a):
        return f"{a.count().execute()} rows"

    letter.__annotations__ = {"a": Table[Pair]}
    a = given("a", Pair, Given(values(COLUMNS, "1, 1")))
    node = export("sub/letter.txt")(letter)
    result = house.build(a, node)
    assert (house.folder / "out" / "sub" / "letter.txt").read_text() == "1 rows"
    last = house.session.last_publication("letter")
    assert last is not None
    assert last.data_version == publication(result, "letter").data_version
    assert last.upstream_versions == {"a": publication(result, "a").data_version}
    assert publication(house.build(a, node), "letter").data_version == last.data_version
