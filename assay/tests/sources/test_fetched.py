"""Rows that a function yields: typed strictly, set aside with reasons, fetched again, none lost and none doubled."""

from __future__ import annotations

import datetime as dtm
import enum
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pydantic
import pytest

from assay.errors import SettingsError, SourceChanged, SourceError, SourceUnavailable
from assay.settings import BaseSettings
from assay.sources import FetchContext, Http, Rows

COLUMNS = {"id": "BIGINT", "at": "TIMESTAMPTZ", "sum": "DECIMAL(9,2)", "name": "VARCHAR"}
AT = dtm.datetime(2026, 3, 1, 12, tzinfo=dtm.UTC)
QUICK = Http(attempts=3, wait=0.01)


def row(id: int, minutes: int = 0, **other: object) -> dict[str, object]:
    return {"id": id, "at": AT + dtm.timedelta(minutes=minutes), "sum": Decimal("1.50"), "name": "ann"} | other


def yielding(*items: Any, cursor: str | None = None, **more: Any) -> Rows:
    return Rows(lambda _: iter(items), "shop", "orders", cursor=cursor, **more)


def test_dicts_and_lists_of_them_land_as_the_columns_types(land):
    text = {"id": "3", "at": "2026-03-01T12:00:00Z", "sum": 2, "name": None}
    found = land(yielding(row(1), [row(2), text]), "x", COLUMNS)
    assert [line[0] for line in found.rows] == [1, 2, 3]
    assert found.rows[2][2:] == (Decimal("2.00"), None)
    assert found.places == [("orders", 1), ("orders", 2), ("orders", 3)]
    assert found.malformed == []


def test_what_does_not_fit_is_set_aside_with_its_reason_and_number(land):
    found = land(
        yielding([row(1), row("1.5"), row(3, sum=1.239), row(4, name=5), row(5, more=1), "no dict", row(7, name=b"x")]),
        "x",
        COLUMNS,
    )
    assert [line[0] for line in found.rows] == [1]
    assert found.reasons == [
        ("rows.cast", 2),
        ("rows.cast", 3),
        ("rows.cast", 4),
        ("rows.fields", 5),
        ("rows.fields", 6),
        ("rows.cast", 7),
    ]
    assert "sum is no DECIMAL(9,2)" in found.malformed[1][3]
    assert "unexpected field 'more'" in found.malformed[3][3]


def test_other_columns_stop_the_landing_and_are_named(land):
    renamed = {"id": 1, "at": AT, "total": 1, "name": "ann"}
    with pytest.raises(SourceChanged, match="expected column 'sum', found 'total'"):
        land(yielding(renamed), "x", COLUMNS)
    with pytest.raises(SourceChanged, match="missing column 'name'"):
        land(yielding(pa.table({"id": [1], "at": [AT], "sum": [1]})), "x", COLUMNS)


def test_arrow_of_the_very_types_and_a_data_frame_of_others_land_together(land):
    exact = pa.table(
        {
            "name": ["ann", None],
            "id": [1, 2],
            "at": pa.array([AT, AT]),
            "sum": pa.array([Decimal("1.50")] * 2, pa.decimal128(9, 2)),
        }
    )
    frame = pd.DataFrame(
        {"id": [3, 4], "at": ["2026-03-01 12:00:00+01:00", "today"], "sum": [0.1, 2.0], "name": ["cem", None]}
    )
    found = land(yielding(exact.to_batches()[0], exact, frame, row(9)), "x", COLUMNS)
    assert sorted(line[0] for line in found.rows) == [1, 1, 2, 2, 3, 9]
    assert {line[0]: line[2] for line in found.rows}[3] == Decimal("0.10")
    assert found.reasons == [("rows.cast", 6)]
    assert "at is no TIMESTAMP WITH TIME ZONE" in found.malformed[0][3]
    assert ("orders", 7) in found.places


def test_a_number_is_never_text_not_in_arrow_either(land):
    with pytest.raises(SourceChanged, match="column 'name' is BIGINT, expected VARCHAR"):
        land(yielding(pa.table({"id": [1], "at": [AT], "sum": [1], "name": [5]})), "x", COLUMNS)


def test_lists_structs_and_json_keep_their_values(land):
    columns = {"tags": "VARCHAR[]", "who": "STRUCT(a BIGINT)", "raw": "JSON"}
    item = {"tags": ["a", "b"], "who": {"a": 1}, "raw": {"x": [1, None]}}
    found = land(yielding(item), "x", columns)
    assert found.rows == [(["a", "b"], {"a": 1}, '{"x": [1, null]}')]
    arrow = pa.table({"tags": [["a"]], "who": [{"a": 2}], "raw": ["text"]})
    assert land(yielding(arrow), "x", columns).rows == [(["a"], {"a": 2}, '"text"')]
    strings = Rows(lambda _: [arrow.append_column("n", [[None]])], "shop", "orders", json_in_strings=("raw",))
    arrow = arrow.set_column(2, "raw", [['{"a": 1.0}']])
    assert land(strings, "x", columns | {"n": "JSON"}).rows == [(["a"], {"a": 2}, '{"a": 1.0}', None)]


def test_a_page_without_rows_is_no_row_in_whatever_form(land):
    columns = {"id": "BIGINT", "size": "VARCHAR"}
    source = yielding([], pd.DataFrame([]), pd.DataFrame({"id": [1], "size": ["s"]}), pd.DataFrame([]))
    assert land(source, "x", columns).rows == [(1, "s")]
    with pytest.raises(SourceChanged, match="missing column 'size'"):
        land(yielding(pd.DataFrame({"id": [1]})), "x", columns)


def test_a_member_of_an_enumeration_is_its_value(land):
    class Size(str, enum.Enum):  # noqa: UP042  as many libraries have them
        SMALL = "s"

    found = land(yielding({"id": 1, "size": Size.SMALL}), "x", {"id": "BIGINT", "size": "VARCHAR"})
    assert found.rows == [(1, "s")]


@pytest.mark.parametrize("made", [None, 5, "text", {"id": 1}])
def test_a_function_that_yields_nothing_of_the_kind_is_told(land, made):
    with pytest.raises(SourceError, match=r"the function returned \w+. Yield dicts"):
        land(Rows(lambda _: made, "shop", "orders"), "x", COLUMNS)
    with pytest.raises(SourceError, match="the function yielded int"):
        land(yielding(5), "x", COLUMNS)


def test_the_watermark_is_the_greatest_landed_value_and_given_as_python_has_it(land):
    found = land(yielding(row(1, 5), row(2, 9), row(3, 7), row(4, 99, sum="x"), cursor="at"), "x", COLUMNS)
    asked = []

    def nothing(context: FetchContext) -> list[Any]:
        asked.append(context.since)
        return []

    again = land(Rows(nothing, "shop", "orders", cursor="at"), "x", COLUMNS, offsets=found.landed.offsets)
    assert asked == [AT + dtm.timedelta(minutes=9)], "a row that was set aside does not move it"
    assert again.rows == []
    assert again.landed.offsets == found.landed.offsets
    assert again.landed.offsets[0].place == found.landed.offsets[0].place
    assert again.landed.fingerprint == found.landed.fingerprint, "nothing new: no plan calls for a build"


@pytest.mark.parametrize(
    ("kind", "values", "since"),
    [
        ("BIGINT", [1, 10, 9], 10),
        ("DECIMAL(9,2)", ["1.5", "10.25"], Decimal("10.25")),
        ("DATE", ["2026-01-01", "2026-02-01"], dtm.date(2026, 2, 1)),
        ("TIMESTAMP", ["2026-01-01 00:00:00", "2026-01-01 00:00:00.5"], dtm.datetime(2026, 1, 1, 0, 0, 0, 500000)),
        ("VARCHAR", ["a'b", "B"], "a'b"),
    ],
)
def test_any_ordered_type_is_a_cursor(land, kind, values, since):
    asked: list[Any] = []

    def fetch(context: FetchContext) -> Any:
        asked.append(context.since)
        return [{"c": value} for value in values]

    source = Rows(fetch, "shop", "orders", cursor="c")
    found = land(source, "x", {"c": kind})
    values[:] = [values[max(range(len(found.rows)), key=lambda n: found.rows[n])]]
    assert land(source, "x", {"c": kind}, offsets=found.landed.offsets).rows == []
    assert asked == [None, since]


def test_rows_equal_at_the_watermark_are_neither_lost_nor_doubled(land):
    first = land(yielding(row(1, 0), row(2, 5), row(3, 5), row(3, 5), cursor="at"), "x", COLUMNS)
    assert len(first.rows) == 4
    # The two of before and their like come again, with a third of it, another one of that very minute, and a later one.
    second = land(
        yielding(row(3, 5), row(2, 5), row(3, 5), row(4, 5), row(3, 5), row(5, 6), cursor="at"),
        "x",
        COLUMNS,
        offsets=first.landed.offsets,
    )
    assert sorted(line[0] for line in second.rows) == [3, 4, 5]
    # A function that yields what is greater only brings none of them again; they stay known.
    third = land(yielding(row(6, 6), cursor="at"), "x", COLUMNS, offsets=second.landed.offsets)
    fourth = land(yielding(row(5, 6), row(6, 6), row(7, 6), cursor="at"), "x", COLUMNS, offsets=third.landed.offsets)
    assert [line[0] for line in third.rows + fourth.rows] == [6, 7]
    assert int(fourth.landed.offsets[0]) == 4 + 3 + 1 + 1


def test_rows_at_the_watermark_stay_known_when_the_contract_gets_a_column(land):
    """As an `ALTER TABLE` by hand and the contract after it: the digests in the books are of the columns of before."""
    first = land(yielding(row(1, 4), row(2, 5), cursor="at"), "x", COLUMNS)
    wider, more = {**COLUMNS, "note": "VARCHAR"}, {"note": "new"}
    again = yielding(row(2, 5, **more), row(3, 5, **more), cursor="at")
    second = land(again, "x", wider, offsets=first.landed.offsets)
    assert [line[0] for line in second.rows] == [3]
    third = land(again, "x", wider, offsets=second.landed.offsets)
    assert third.rows == [], "those of both kinds are known"
    assert third.landed.fingerprint == second.landed.fingerprint
    later = land(yielding(row(4, 6, **more), cursor="at"), "x", wider, offsets=third.landed.offsets)
    with pytest.raises(SourceError, match=r"known by columns that are gone: note. Keep them"):
        land(yielding(row(4, 6), cursor="at"), "x", COLUMNS, offsets=later.landed.offsets)


def test_a_cursor_that_goes_backwards_is_told(land):
    first = land(yielding(row(1, 5), cursor="at"), "x", COLUMNS)
    with pytest.raises(
        SourceError, match=r"the cursor went backwards: 2 rows with 'at' before 2026-03-01 12:05:00\+00"
    ):
        land(yielding(row(2, 4), row(3, 3), row(4, 9), cursor="at"), "x", COLUMNS, offsets=first.landed.offsets)
    ahead = land(yielding(row(1, 60 * 24 * 9000), cursor="at"), "x", COLUMNS)
    with pytest.raises(SourceError, match=r"before 2050-10-21.*whose clock was ahead needs load=Incremental"):
        land(yielding(row(2, 4), cursor="at"), "x", COLUMNS, offsets=ahead.landed.offsets)


def test_a_row_without_a_cursor_is_set_aside(land):
    found = land(yielding(row(1), row(2, at=None), cursor="at"), "x", COLUMNS)
    assert [line[0] for line in found.rows] == [1]
    assert found.reasons == [("rows.cursor", 2)]


def test_a_cursor_that_cannot_be_is_refused(land):
    with pytest.raises(SourceError, match="the cursor 'when' is no column"):
        land(yielding(row(1), cursor="when"), "x", COLUMNS)
    with pytest.raises(SourceError, match="the cursor 'b' is BOOLEAN"):
        land(yielding(cursor="b"), "x", {"b": "BOOLEAN"})
    first = land(yielding(row(1), cursor="at"), "x", COLUMNS)
    with pytest.raises(SourceError, match="was read by the cursor at TIMESTAMP WITH TIME ZONE, and is now"):
        land(yielding(row(1), cursor="id"), "x", COLUMNS, offsets=first.landed.offsets)


def test_who_does_not_answer_is_asked_again_from_the_start(land):
    calls = []

    def fetch(_: FetchContext) -> Iterator[Any]:
        calls.append(1)
        yield row(1)
        if len(calls) < 3:
            try:
                raise ConnectionResetError
            except OSError as error:
                raise RuntimeError("the library's own") from error
        yield row(2)

    found = land(Rows(fetch, "shop", "orders", limits=QUICK), "x", COLUMNS)
    assert len(calls) == 3
    assert [line[0] for line in found.rows] == [1, 2]


def test_who_never_answers_is_told_and_another_mistake_is_not_tried_again(land):
    calls = []

    def away(_: FetchContext) -> Iterator[Any]:
        calls.append(1)
        yield from ()
        raise TimeoutError

    def wrong(_: FetchContext) -> Iterator[Any]:
        calls.append(1)
        yield row(1)
        raise KeyError("orders")

    with pytest.raises(SourceUnavailable, match=r"sold: orders of x: does not answer \(TimeoutError; 3 attempts\)"):
        land(Rows(away, "shop", "orders", limits=QUICK), "x", COLUMNS)
    assert len(calls) == 3
    with pytest.raises(KeyError):
        land(Rows(wrong, "shop", "orders", limits=QUICK), "x", COLUMNS)
    assert len(calls) == 4


class Settings(BaseSettings):
    shop_token: pydantic.SecretStr | None = pydantic.Field(None, description="The shop's token.")


def test_a_function_fetches_with_the_settings_secret(land, server, tmp_path):
    server.serve(
        "/v1/orders?since=", '{"orders": [{"id": 1, "at": "2026-03-01T12:00:00Z", "sum": 1.10, "name": "ann"}]}'
    )
    settings = Settings.read({"PIPELINE_SHOP_TOKEN": "s3cret"}, root=tmp_path)
    seen = []

    def fetch(context: FetchContext) -> Any:
        seen.append((context.secret("shop_token"), context.address))
        orders = context.http.get(f"orders?since={context.since or ''}").json()["orders"]
        assert orders[0]["sum"] == Decimal("1.10")
        return orders

    found = land(Rows(fetch, "shop", "orders"), f"{server.url}/v1", COLUMNS, settings=settings)
    assert len(found.rows) == 1
    assert found.landed.bytes
    assert seen == [("s3cret", f"{server.url}/v1")]
    with pytest.raises(SettingsError, match=r"PIPELINE_SHOP_TOKEN: is not set, and a source needs it"):
        land(Rows(fetch, "shop", "orders"), server.url, COLUMNS, settings=Settings.read({}, root=tmp_path))
    with pytest.raises(SettingsError, match=r"is no secret of the settings.* Declare it"):
        land(Rows(fetch, "shop", "orders"), server.url, COLUMNS, settings=BaseSettings.read({}, root=tmp_path))


def test_a_golden_case_gives_what_the_function_would_yield_from_the_watermark_on(land, tmp_path):
    def never(_: FetchContext) -> Any:
        raise AssertionError("a golden case asks nobody")

    file = tmp_path / "shop" / "orders.ndjson"
    file.parent.mkdir()
    file.write_text(
        '{"id": 1, "at": "2026-03-01T12:00:00Z", "sum": 1, "name": "a"}\n\n'
        '{"id": 2, "at": "2026-03-01T12:05:00Z", "sum": "x", "name": "b"}\n'
        '{"id": 3, "at": "2026-03-01T12:05:00Z", "sum": 1, "name": "c"}\n'
    )
    source = Rows(never, "shop", "orders", cursor="at")
    found = land(source, "x", COLUMNS, given=tmp_path)
    assert [line[0] for line in found.rows] == [1, 3]
    assert found.reasons == [("rows.cast", 2)]
    assert land(source, "x", COLUMNS, given=tmp_path, offsets=found.landed.offsets).rows == []
    file.write_text("{")
    with pytest.raises(SourceError, match=r"orders.ndjson, line 1: ends in the middle"):
        land(source, "x", COLUMNS, given=tmp_path)


def test_pages_that_repeat_for_ever_end(land, server, monkeypatch):
    """As a server gives them that does not know the parameter."""
    monkeypatch.setattr("assay.sources.web.MOST_EQUAL", 5)

    class Ignoring(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            return [json.dumps([{"id": 1}] if path.startswith("/o") else [])]

    def pages(context: FetchContext) -> Iterator[Any]:
        for customer in range(9):  # of which none has an order
            yield context.http.get("none", {"customer": customer}).json()
        page = 0
        while found := context.http.get("orders", {"page": page}).json():
            yield from found
            page += 1

    server.answers = Ignoring()
    with pytest.raises(SourceError, match=r"sold: http\S+/orders: 5 addresses gave the same rows. Ask its owner"):
        land(Rows(pages, "api", "orders"), server.url, {"id": "BIGINT"})


def test_a_column_that_a_row_leaves_out_is_null_where_it_may(land):
    arrow = pa.table({"id": [3], "at": [AT], "sum": [Decimal("1.50")]})
    source = yielding({"id": 1, "at": AT, "sum": 1}, row(2), arrow, optional=("name",))
    found = land(source, "x", COLUMNS)
    assert sorted((line[0], line[3]) for line in found.rows) == [(1, None), (2, "ann"), (3, None)]
    with pytest.raises(SourceChanged, match="name"):
        land(yielding({"id": 1, "at": AT, "sum": 1}), "x", COLUMNS)
