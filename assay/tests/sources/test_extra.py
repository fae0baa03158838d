"""Columns that nobody expects: of every source they stop the build, or are left out and told once."""

from __future__ import annotations

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
    with pytest.raises(WiringError, match=r"its source has extra='drop'\. Write stop or ignore"):
        Graph.of([given("a", Row, Csv("shop", "a.csv", extra="drop"))])
