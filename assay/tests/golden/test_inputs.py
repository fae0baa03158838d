"""A case's inputs become what the sources would have served; a file that nothing reads is an error."""

from __future__ import annotations

import json
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pandera.typing.ibis import Table

from assay import public, table
from assay.golden.result import GoldenResult
from assay.sources import Csv, EventLog, HtmlTable, PagedJson, Parquet
from assay.tables.graph import Graph
from tests.golden.tree import FIVE_ORDERS, Tree, with_graph


class Sale(pa.DataFrameModel):
    id: dt.Int64 = pa.Field(metadata=public, description="Number")
    price: dt.Float64 = pa.Field(nullable=True, metadata=public, description="Euros")
    note: dt.String = pa.Field(nullable=True, metadata=public, description="Words")

    class Config:
        strict = True


class Event(pa.DataFrameModel):
    event_partition: dt.Int32 = pa.Field(metadata=public, description="Partition")
    event_offset: dt.Int64 = pa.Field(metadata=public, description="Place")
    id: dt.Int64 = pa.Field(metadata=public, description="Number")

    class Config:
        strict = True
        unique = ["event_partition", "event_offset"]


@table(source=Parquet("files", "2017/sales.parquet"))
def parquet_sales(source: ibis.Table) -> Table[Sale]:
    return source


@table(source=Csv("bank", "rates.zip", member="rates.csv"))
def zipped_sales(source: ibis.Table) -> Table[Sale]:
    return source


@table(source=PagedJson("api", "v1/sales", size=2))
def api_sales(source: ibis.Table) -> Table[Sale]:
    return source


@table(source=HtmlTable("site", "sales.html", table="table"))
def page_sales(source: ibis.Table) -> Table[Sale]:
    return source


@table(source=EventLog("events", "sold"))
def events(source: ibis.Table) -> Table[Event]:
    return source


@pytest.fixture
def sales(tree: Tree) -> Tree:
    return Tree(with_graph(tree.project, Graph.of([parquet_sales, zipped_sales, api_sales, page_sales, events])))


def given(tree: Tree, name: str, files: dict[str, str | bytes]) -> list[dict[str, str | None]]:
    """The rows that table `name` gets from a case's inputs."""
    yml = f"description: x\ntables: [{name}]\n"
    folder = tree.accepted(name, {"case.yml": yml, **{f"inputs/{path}": text for path, text in files.items()}})
    return [json.loads(line) for line in (folder / f"expected/{name}.ndjson").read_text().splitlines()]


def failed(tree: Tree, files: dict[str, str | bytes]) -> str:
    tree.case("wrong", files)
    result: GoldenResult = tree.run("wrong")
    assert result.exit_code == 2
    (case,) = result.cases
    error = case.error or "; ".join(problem for found in case.tables for problem in found.problems)
    assert "\n" not in error
    return error


def test_csv_becomes_parquet_with_the_sources_types(sales: Tree) -> None:
    rows = given(
        sales, "parquet_sales", {"files/2017/sales.parquet.csv": 'id,price,note\n1,0.1,\n2,\\N,"a,""b"""\n3,nan,\\N\n'}
    )
    assert rows == [
        {"id": "1", "price": "0.1", "note": ""},
        {"id": "2", "price": None, "note": 'a,"b"'},
        {"id": "3", "price": "nan", "note": None},
    ]


def test_a_header_may_give_a_column_another_type(sales: Tree) -> None:
    yml = 'description: x\nexpects_error:\n  parquet_sales: "is VARCHAR"\n'
    error_case = {"case.yml": yml, "inputs/files/2017/sales.parquet.csv": "id,price:VARCHAR,note\n1,ten,x\n"}
    sales.case("retyped", error_case)
    (found,) = sales.run("retyped").tables
    assert "price" in (found.expected_error or str(found.problems))


def test_a_folder_becomes_a_zip_archive(sales: Tree) -> None:
    rows = given(sales, "zipped_sales", {"bank/rates.zip/rates.csv": "id,price,note\n1,2.5,x\n"})
    assert rows == [{"id": "1", "price": "2.5", "note": "x"}]


def test_pages_of_an_api(sales: Tree) -> None:
    page = '{"data": [{"id": %d, "price": 1.5, "note": null}], "next": %s}'
    files = {"api/v1/sales/page=1.json": page % (1, "2"), "api/v1/sales/page=2.json": page % (2, "null")}
    assert [row["id"] for row in given(sales, "api_sales", files)] == ["1", "2"]


def test_a_web_page(sales: Tree) -> None:
    html = "<table><tr><th>Id<th>Price<th>Note<tr><td>1<td>2.5<td>x</table>"
    assert given(sales, "page_sales", {"site/sales.html": html}) == [{"id": "1", "price": "2.5", "note": "x"}]


def test_lines_become_an_event_log(sales: Tree) -> None:
    rows = given(sales, "events", {"events/sold.ndjson": '{"id": 7}\n\n{"id": 8}\n'})
    assert [(row["event_partition"], row["event_offset"], row["id"]) for row in rows] == [
        ("0", "0", "7"),
        ("0", "2", "8"),
    ]


def test_partitions_of_an_event_log(sales: Tree) -> None:
    rows = given(sales, "events", {"events/sold/0.ndjson": '{"id": 7}\n', "events/sold/1.ndjson": '{"id": 8}\n'})
    assert [(row["event_partition"], row["id"]) for row in rows] == [("0", "7"), ("1", "8")]


def test_an_empty_event_log(sales: Tree) -> None:
    assert given(sales, "events", {"events/sold.ndjson": ""}) == []


def test_a_broken_event_is_an_event(sales: Tree) -> None:
    yml = "description: x\ntables: [events]\nexpects_checks:\n  events: [rows_valid]\n"
    folder = sales.accepted("broken", {"case.yml": yml, "inputs/events/sold.ndjson": '{"id": 7\n{"id": "x"}\n'})
    rejects = (folder / "expected/events.rejects.ndjson").read_text()
    assert "event.json" in rejects
    assert "event.cast" in rejects


YML = "description: x\ntables: [parquet_sales]\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "case.yml:2: parquet_sales reads the location 'files', of which the case has nothing. Add inputs/files/"),
        ({"inputs/fils/a.parquet": ""}, "golden/wrong/inputs/fils: is no location of a source. Did you mean files?"),
        (
            {"inputs/zzz/a": ""},
            "inputs/zzz: is no location of a source. Known: api, bank, events, files, site, tables, before, returned.",
        ),
        ({"inputs/files/2016/sales.parquet": ""}, "inputs/files/2016/sales.parquet: no source reads this file"),
        ({"inputs/events/sold/x/y.csv": ""}, "inputs/events/sold/x/y.csv: no source reads this file"),
        (
            {"inputs/files/2017/sales.parquet.csv": "id,price,note\n1,2\n"},
            "sales.parquet.csv:2: has 2 values, the header",
        ),
        (
            {"inputs/files/2017/sales.parquet.csv": "id,price,note\n1,2,x\nx,2,y\n"},
            "csv:3: 'x' in column 'id' is no BIGINT",
        ),
        ({"inputs/files/2017/sales.parquet.csv": 'id,price,note\n1,2,"x\n'}, "sales.parquet.csv:2: is no CSV"),
        ({"inputs/files/2017/sales.parquet.csv": ""}, "sales.parquet.csv:1: has no header"),
        ({"inputs/files/2017/sales.parquet.csv": "id,ID\n"}, "sales.parquet.csv:1: names the column 'id' twice"),
        (
            {"inputs/files/2017/sales.parquet.csv": "id:NUMBERS\n1\n"},
            "column 'id:NUMBERS' has the unknown type NUMBERS",
        ),
        ({"inputs/files/2017/sales.parquet.csv": b"id\n1\n\xff\n"}, "sales.parquet.csv:3: is no UTF-8 text"),
        ({"inputs/files/2017/sales.parquet": "no parquet"}, "is no readable Parquet file"),
    ],
)
def test_wrong_source_files(sales: Tree, files: dict[str, str | bytes], message: str) -> None:
    assert message in failed(sales, {"case.yml": YML, **files})


GIVEN = "description: x\ntables: [daily_sales]\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"inputs/tables/order.csv": ""},
            "inputs/tables/order.csv: no table named 'order'. Did you mean orders or raw_orders?",
        ),
        ({"inputs/tables/orders.txt": ""}, "inputs/tables/orders.txt: is neither .csv nor .ndjson"),
        (
            {"inputs/tables/orders.csv": "order_id\n", "inputs/tables/orders.ndjson": "{}"},
            "orders.ndjson: 'orders' is given twice",
        ),
        ({"inputs/tables/daily_sales.csv": "a\n"}, "'daily_sales' is under test and given as input"),
        ({"inputs/tables/orders.csv": "orderid\n1\n"}, "'orders' has no column 'orderid'. Did you mean 'order_id'"),
        ({"inputs/tables/orders.csv": "order_id\n1\n"}, "orders.csv: column 'email' is missing and cannot be null"),
        (
            {"inputs/tables/orders.csv": "order_id,email,ordered_on,amount\n1,a@b,2026-02-30,1\n"},
            "orders.csv:2: '2026-02-30' in column 'ordered_on' is no DATE",
        ),
        (
            {"inputs/tables/orders.csv": "order_id,email,ordered_on,amount\n1,a@b,2026-03-01,-1\n"},
            "the given table breaks its contract: rows_valid: 1 of 1 row rejected",
        ),
        (
            {"inputs/tables/orders.csv": "order_id,email,ordered_on,amount\n" + "1,a@b,2026-03-01,1\n" * 2},
            "the given table breaks its contract: unique_key",
        ),
        ({"inputs/tables/orders.ndjson": '{"order_id": 1}\n{"order_id": }\n'}, "orders.ndjson:2: is no JSON"),
        (
            {"inputs/tables/orders.ndjson": '{"order_id": 1}\n{"email": "a"}\n'},
            "orders.ndjson:2: column 'email' is unknown",
        ),
        ({"inputs/tables/orders.ndjson": "[1]\n"}, "orders.ndjson:1: is no JSON object"),
    ],
)
def test_wrong_given_tables(tree: Tree, files: dict[str, str | bytes], message: str) -> None:
    assert message in failed(tree, {"case.yml": GIVEN, **files})


def test_given_rows_as_ndjson_keep_numbers_as_written(tree: Tree) -> None:
    line = '{"order_id": 1, "email": "a@b", "ordered_on": "2026-03-01", "amount": 1.10}\n'
    folder = tree.accepted("one", {"case.yml": GIVEN, "inputs/tables/orders.ndjson": line})
    assert '"amount": "1.10"' in (folder / "expected/daily_sales.ndjson").read_text()


def test_the_inputs_folder_is_not_changed_by_a_run(tree: Tree) -> None:
    folder = tree.accepted("five", FIVE_ORDERS)
    before = {path: path.stat().st_mtime_ns for path in Path(folder / "inputs").rglob("*")}
    tree.run()
    assert before == {path: path.stat().st_mtime_ns for path in Path(folder / "inputs").rglob("*")}
