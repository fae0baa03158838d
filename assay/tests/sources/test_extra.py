"""Columns that nobody expects: of every source they stop the build, are left out or taken as text, and told once."""

from __future__ import annotations

import datetime as dtm
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.errors import SourceChanged, WiringError
from assay.sources import Csv, EventLog, HtmlTable, Ndjson, PagedJson, Parquet, Rows
from assay.tables.graph import Graph
from tests.sources.log import append
from tests.warehouse.house import given
from tests.warehouse.victim import Row

COLUMNS = {"n": "BIGINT", "name": "VARCHAR"}
ITEMS = [{"n": 1, "more": True, "name": "ann"}, {"n": 2, "other": [1], "name": "bob"}]
WIDE = {"more": [True, False], "n": [1, 2], "name": ["ann", "bob"], "other": ["x", "y"]}


def csv(path, server):
    for name in "ab":
        (path / f"{name}.x").write_text(
            "more,n,other,name,more\ny,1,x,ann,z\n" if name == "a" else "n,name,more\n2,bob,y\n"
        )
    return Csv, ("shop", "*.x"), path


def ndjson(path, server):
    (path / "a.x").write_text("".join(f"{json.dumps(item)}\n" for item in ITEMS))
    return Ndjson, ("shop", "a.x"), path


def parquet(path, server):
    pq.write_table(pa.table(WIDE), path / "a.x")
    return Parquet, ("shop", "a.x"), path


def rows(path, server):
    return Rows, (lambda _: ITEMS, "shop", "rows"), path


def arrow(path, server):
    return Rows, (lambda _: [pa.table(WIDE)], "shop", "rows"), path


def pages(path, server):
    server.serve("/a?page=1", json.dumps({"data": ITEMS, "pages": 1}))
    return PagedJson, ("shop", "a"), server.url


def html(path, server):
    cells = "<tr><th>n<th>more<th>name<th>other<tr><td>1<td>x<td>ann<td>y<tr><td>2<td>x<td>bob<td>y"
    server.serve("/a", (200, {"Content-Type": "text/html; charset=utf-8"}, f"<table>{cells}</table>"))
    return HtmlTable, ("shop", "a"), server.url


def events(path, server):
    append(path, "topic", *ITEMS)
    return EventLog, ("shop", "topic"), path


@pytest.fixture(params=[csv, ndjson, parquet, rows, arrow, pages, html, events])
def served(request, tmp_path, server):
    folder = tmp_path / "in"
    folder.mkdir()
    kind, arguments, base = request.param(folder, server)
    return lambda **options: (kind(*arguments, **options), base)


def test_they_are_left_out_and_told_once(land, served, capsys):
    assert land(*served(extra="ignore"), COLUMNS).rows == [(1, "ann"), (2, "bob")]
    assert capsys.readouterr().err == "sold: the source has more columns, which are left out: 'more', 'other'\n"


def test_they_are_taken_as_text_and_told_once(land, served, capsys):
    source, base = served(extra="add")
    found = land(source, base, COLUMNS)
    assert found.rows == [(1, "ann"), (2, "bob")]
    # In the CSV files 'more' stands twice in one header, so that nobody knows which is meant: it is left out.
    names = ("other",) if isinstance(source, Csv) else ("more", "other")
    assert found.landed.added == names
    texts = [place[: len(names)] for place in found.places]
    assert texts in (
        [("x",), (None,)],  # CSV: the second file has none
        [("true", "x"), ("false", "y")],  # Parquet, Arrow
        [("x", "y"), ("x", "y")],  # HTML
        [("true", None), (None, "[1]")],  # objects
    )
    told = [line for line in capsys.readouterr().err.splitlines() if "are taken" in line]
    assert told == [f"sold: the source has new columns, which are taken as text: {', '.join(map(repr, names))}"]


def test_arrow_that_is_not_of_the_contracts_types_and_a_batch_with_a_column_more(land, tmp_path):
    """Nested values are JSON, and what came before a column was new has none of it."""
    batches = [
        pa.table({"n": [1], "name": ["a"]}),
        pa.table({"n": ["2"], "name": ["b"], "tags": [[1, 2]]}),
        pa.table({"n": [3], "name": ["c"], "day": [dtm.date(2026, 1, 1)]}),
    ]
    found = land(Rows(lambda _: batches, "shop", "rows", extra="add"), tmp_path, COLUMNS)
    assert found.landed.added == ("tags", "day")
    assert sorted(row + place[:2] for row, place in zip(found.rows, found.places, strict=True)) == [
        (1, "a", None, None),
        (2, "b", "[1,2]", None),
        (3, "c", None, "2026-01-01"),
    ]


def test_a_name_that_makes_no_column_is_left_out_and_too_many_are_an_error(land, tmp_path, capsys):
    """Of the framework's names, of one that differs in case alone, and of keys that are values no column is made."""
    item = {"n": 1, "name": "ann", "Name": "x", "_source_line": 7, "rowid": 1, "": 2, "a\nb": 3, "ok é": 4}
    (tmp_path / "a.x").write_text(json.dumps(item))
    assert land(Ndjson("shop", "a.x", extra="add"), tmp_path, COLUMNS).landed.added == ("ok é",)
    assert "which are left out: '', 'Name', '_source_line', 'a" in capsys.readouterr().err
    (tmp_path / "a.x").write_text(json.dumps({**item, **{f"k{number}": 1 for number in range(200)}}))
    with pytest.raises(SourceChanged, match="more than 100 new columns"):
        land(Ndjson("shop", "a.x", extra="add"), tmp_path, COLUMNS)


def test_a_reject_shows_what_stood_in_the_new_columns(land, tmp_path):
    (tmp_path / "a.x").write_text("name,n,more\nann,one,y\n")
    ((_, _, _, payload),) = land(Csv("shop", "a.x", extra="add"), tmp_path, COLUMNS).malformed
    assert json.loads(payload)["more"] == "y"


def test_nothing_is_told_where_there_are_none(land, tmp_path, capsys):
    (tmp_path / "a.x").write_text("name,n\nann,1\n")
    assert land(Csv("shop", "a.x", extra="ignore"), tmp_path, COLUMNS).rows == [(1, "ann")]
    assert capsys.readouterr().err == ""


def test_an_expected_column_that_is_there_twice_is_an_error(land, tmp_path):
    (tmp_path / "a.x").write_text("name,n,n\nann,1,1\n")
    with pytest.raises(SourceChanged, match="column 'n' appears more than once"):
        land(Csv("shop", "a.x", extra="ignore"), tmp_path, COLUMNS)


def test_by_default_they_are_an_error(land, served):
    source, base = served()
    if isinstance(source, EventLog):
        assert [reason for reason, _ in land(source, base, COLUMNS).reasons] == ["event.fields"] * 2
        return
    with pytest.raises(SourceChanged, match=r"unexpected (column|field) 'more'|'more' appears more than once"):
        land(source, base, COLUMNS)


def test_one_that_is_missing_is_an_error_all_the_same(land, served):
    source, base = served(extra="ignore")
    columns = {**COLUMNS, "price": "BIGINT"}
    if isinstance(source, EventLog):
        assert "missing field 'price'" in land(source, base, columns).malformed[0][3]
        return
    with pytest.raises(SourceChanged, match=r"missing (column|field) 'price'|expected column 'price'"):
        land(source, base, columns)


def test_another_word_is_refused_when_the_table_is_declared():
    with pytest.raises(WiringError, match=r"its source has extra='drop'\. Write stop, ignore or add"):
        Graph.of([given("a", Row, Csv("shop", "a.csv", extra="drop"))])
