"""Bad input from end to end: the published tables stay whole, rejects are kept, the error is one line that helps."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import httpx
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.build import BuildResult, build
from assay.contract.classification import public
from assay.errors import PipelineError, SourceError
from assay.sources import Csv, EventLog, HtmlTable, Http, Ndjson, PagedJson, Parquet
from assay.sources.base import Source, Sources
from assay.tables.graph import Graph
from assay.tables.nodes import RejectBudget
from assay.tables.results import AuditFailed
from assay.tables.run import Run
from tests.sources.log import append
from tests.warehouse.house import House, given

ONCE = Http(attempts=1)


class Price(pa.DataFrameModel):
    product: dt.String = pa.Field(metadata=public)
    price: dt.Float64 = pa.Field(ge=0, lt=1_000_000, metadata=public)

    class Config:
        strict = True
        unique = ["product"]


CSV = "product,price\napple,1.5\npear,2\n"
PAGE = "<table><tr><th>product</th><th>price</th></tr>{rows}</table>"
ROWS = "<tr><td>apple</td><td>1.5</td></tr><tr><td>pear</td><td>2</td></tr>"
GOOD = [("apple", 1.5), ("pear", 2.0)]


class Shop:
    """One table, `prices`, of a source whose content tests replace."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.folder = folder
        self.answers: dict[str, httpx.Response] = {}

    def build(self, source: Source, budget: int = 0) -> BuildResult:
        table = given("prices", Price, source, max_rejects=RejectBudget(rows=budget))  # type: ignore[arg-type]
        graph = Graph.of([table])
        transport = httpx.MockTransport(lambda request: self.answers[request.url.raw_path.decode()])
        locations = {"files": str(self.folder), "web": "http://shop.example", "log": str(self.folder)}
        with Sources(locations, transport) as sources:
            return build(graph, graph.nodes, self.house.session, Run.start(), sources)

    def published(self) -> list[tuple[object, ...]]:
        return self.house.rows("SELECT product, price FROM w.warehouse.prices ORDER BY ALL")

    def refused(self, source: Source, budget: int = 0) -> str:
        """Build from a bad source over what is published; returns the error's line."""
        before = self.published()
        result = self.build(source, budget)
        error = result.errors["prices"]
        assert isinstance(error, PipelineError)
        assert error.exit_code in (1, 2)
        text = str(error)
        assert "\n" not in text
        assert "prices" in text
        assert self.published() == before == GOOD
        return text


@pytest.fixture
def shop(house: House, tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "prices.csv").write_text(CSV)
    shop = Shop(house, folder)
    assert shop.build(Csv("files", "prices.csv")).ok
    yield shop
    assert house.rows("SELECT count(*) FROM duckdb_tables() WHERE database_name = 'temp'") == [(0,)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "house")
    yield house
    house.leave()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["the file is empty", "prices.csv"]),
        ("product\napple\n", ["price", "prices.csv"]),
        ("product,price,colour\napple,1,red\n", ["colour", "prices.csv"]),
        ("product,cost\napple,1\n", ["price", "cost"]),
    ],
    ids=["empty", "column missing", "column added", "column renamed"],
)
def test_a_csv_file_whose_header_does_not_fit(shop: Shop, content: str, parts: list[str]) -> None:
    (shop.folder / "prices.csv").write_text(content)
    text = shop.refused(Csv("files", "prices.csv"))
    assert all(part in text for part in parts), text


def test_reordered_columns_are_matched_by_name(shop: Shop) -> None:
    (shop.folder / "prices.csv").write_text("price,product\n1.5,apple\n2,pear\n")
    assert shop.build(Csv("files", "prices.csv")).ok
    assert shop.published() == GOOD


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"product,price\napple,1.5\nplum,3,red\npear,2\n", 3, "csv.columns"),
        (b"product,price\napple,cheap\n", 2, "csv.cast"),
        (b"product,price\nk\xe4se,2\n", 2, "csv.encoding"),
        (b"product,price\napple,NaN\n", 2, "price.not_null"),
        (b"product,price\napple,Infinity\n", 2, "price.lt_1000000"),
        (b"product,price\npear,1\napple,-1\n", 3, "price.ge_0"),
        (b"product,price\npear,1\n,1\n", 3, "product.not_null"),
    ],
    ids=["shifted", "retyped", "latin-1", "NaN", "Infinity", "out of range", "null"],
)
def test_rows_that_do_not_fit_are_kept_with_their_line_and_nothing_is_published(
    shop: Shop, content: bytes, line: int, reason: str
) -> None:
    (shop.folder / "prices.csv").write_bytes(content)
    text = shop.refused(Csv("files", "prices.csv"))
    assert "rows_valid: 1 of " in text
    assert f"{reason} 1" in text
    assert f"the first at prices.csv:{line}" in text
    assert "pipeline quarantine list --table prices" in text
    assert shop.house.rejects("source_file, source_line, reason_codes, status, set_aside") == [
        ("prices.csv", line, [reason], "open", False)
    ]


def test_inside_the_budget_the_good_rows_are_published_and_the_others_kept(shop: Shop) -> None:
    (shop.folder / "prices.csv").write_text("product,price\napple,1.5\nplum,3,red\npear,2\nfig,-1\nkiwi,cheap\n")
    assert shop.build(Csv("files", "prices.csv"), budget=3).ok
    assert shop.published() == GOOD
    assert sorted(shop.house.rejects("source_line, reason_codes[1], set_aside")) == [
        (3, "csv.columns", True),
        (5, "price.ge_0", True),
        (6, "csv.cast", True),
    ]


def test_duplicate_keys(shop: Shop) -> None:
    (shop.folder / "prices.csv").write_text("product,price\napple,1\napple,2\n")
    text = shop.refused(Csv("files", "prices.csv"))
    assert "unique_key: 1 row repeats (product)" in text


def test_a_missing_file(shop: Shop) -> None:
    text = shop.refused(Csv("files", "other.csv"))
    assert "other.csv: the file does not exist" in text
    assert "Check the location in the settings" in text


def test_a_truncated_gzip(shop: Shop) -> None:
    whole = gzip.compress(("product,price\n" + "".join(f"p{n},{n}\n" for n in range(5000))).encode())
    (shop.folder / "prices.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "truncated or damaged" in shop.refused(Csv("files", "prices.csv.gz"), budget=9999)


@pytest.mark.parametrize(
    ("select", "part"),
    [
        (None, "prices.parquet"),
        ("SELECT 'apple' AS product", "price"),
        ("SELECT 'apple' AS product, 1::DOUBLE AS price, 1 AS colour", "colour"),
        ("SELECT 'apple' AS product, 1::DOUBLE AS cost", "price"),
        ("SELECT 'apple' AS product, 1::DECIMAL(9,2) AS price", "DECIMAL(9,2)"),
    ],
    ids=["no parquet", "column missing", "column added", "column renamed", "column retyped"],
)
def test_a_parquet_file_that_does_not_fit(shop: Shop, select: str | None, part: str) -> None:
    file = shop.folder / "prices.parquet"
    if select is None:
        file.write_text("not parquet at all")
    else:
        duckdb.execute(f"COPY ({select}) TO '{file}' (FORMAT parquet)")
    assert part in shop.refused(Parquet("files", "prices.parquet"))


def test_a_parquet_file_with_values_that_are_out_of_range(shop: Shop) -> None:
    file = shop.folder / "prices.parquet"
    rows = "('a', 'nan'::DOUBLE), ('b', '-inf'), ('c', 1e300), ('d', 1), (NULL, 1)"
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {rows}) AS t(product, price)) TO '{file}' (FORMAT parquet)")
    text = shop.refused(Parquet("files", "prices.parquet"), budget=3)
    assert "4 of 5 rows rejected, above the budget" in text
    assert json.loads(shop.house.rejects("payload")[0][0])["price"] == "nan"
    assert shop.build(Parquet("files", "prices.parquet"), budget=4).ok
    assert shop.published() == [("d", 1.0)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"product": "fig", "price": 1', "ndjson.json"),
        ('{"product": "fig", "price": 1} trailing', "ndjson.json"),
        ('{"product": "fig", "price": 1, "price": 2}', "ndjson.json"),
        ('{"product": "fig"}', "ndjson.fields"),
        ('{"product": "fig", "price": "cheap"}', "ndjson.cast"),
    ],
)
def test_ndjson_lines_that_do_not_fit(shop: Shop, line: str, reason: str) -> None:
    (shop.folder / "prices.ndjson").write_text('{"product": "apple", "price": 1.5}\n' + line + "\n")
    text = shop.refused(Ndjson("files", "prices.ndjson"))
    assert f"{reason} 1" in text
    assert "the first at prices.ndjson:2" in text


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (lambda: httpx.Response(200, text="<p>We moved</p>"), "expected one table"),
        (lambda: httpx.Response(200, text=PAGE.format(rows="").replace("price", "cost")), "price"),
        (lambda: httpx.Response(500, text="oops"), "500"),
        (lambda: httpx.Response(404), "404"),
    ],
    ids=["no table", "other header", "500", "404"],
)
def test_a_page_that_does_not_fit(shop: Shop, answer: Callable[[], httpx.Response], part: str) -> None:
    shop.answers["/prices.html"] = httpx.Response(200, text=PAGE.format(rows=ROWS))
    assert shop.build(HtmlTable("web", "prices.html", http=ONCE)).ok
    shop.answers["/prices.html"] = answer()
    assert part in shop.refused(HtmlTable("web", "prices.html", http=ONCE))


@pytest.mark.parametrize(
    ("second", "part"),
    [
        ('{"data": [{"product": "fig", "pri', "page 2"),
        ('{"data": [], "pages": 2} trailing', "page 2"),
        ('{"data": [{"product": "a", "product": "b", "price": 1}], "pages": 2}', "page 2"),
        ('{"data": [{"product": "apple", "price": 1.5}], "pages": 2}', "page 2 repeats page 1"),
    ],
    ids=["cut", "trailing", "duplicate key", "repeated page"],
)
def test_an_api_page_that_does_not_fit_publishes_none_of_the_pages(shop: Shop, second: str, part: str) -> None:
    first = '{"data": [{"product": "apple", "price": 1.5}], "pages": 2}'
    shop.answers["/prices?page=1"] = httpx.Response(200, text=first)
    shop.answers["/prices?page=2"] = httpx.Response(200, text=second)
    assert part in shop.refused(PagedJson("web", "prices", http=ONCE), budget=9)


def test_a_damaged_parquet_file_is_blamed_itself_wherever_the_damage_shows(shop: Shop) -> None:
    file = shop.folder / "prices.parquet"
    duckdb.execute(f"COPY (SELECT 'p' || i AS product, i::DOUBLE AS price FROM range(20000) t(i)) TO '{file}'")
    whole, chance, blamed = file.read_bytes(), random.Random(1), 0
    for turn in range(24):
        damaged, at = bytearray(whole), chance.randrange(4, len(whole) - 8)
        damaged[at : at + 40] = b"" if turn % 2 else chance.randbytes(40)
        file.write_bytes(damaged)
        for error in shop.build(Parquet("files", "prices.parquet")).errors.values():
            if not isinstance(error, AuditFailed):
                blamed += 1
                assert isinstance(error, SourceError)
                assert f"prices: {file}: is no readable Parquet file" in str(error)
    assert blamed > 12
    file.write_bytes(whole)
    assert shop.build(Parquet("files", "prices.parquet")).ok


def test_a_parquet_file_that_is_replaced_at_once_is_read_anew(shop: Shop) -> None:
    file = shop.folder / "prices.parquet"
    for price in range(1, 6):
        rows = ", ".join(f"('{'x' * price}{number}', {price})" for number in range(price))
        file.unlink(missing_ok=True)
        duckdb.execute(
            f"COPY (SELECT product, price::DOUBLE AS price FROM (VALUES {rows}) t(product, price)) TO '{file}'"
        )
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert shop.build(Parquet("files", "prices.parquet")).ok
        assert shop.published() == [(f"{'x' * price}{number}", float(price)) for number in range(price)]


class TestEvents:
    """No event is lost and none is read twice, whatever stands in the log."""

    SOURCE = EventLog("log", "prices")

    @pytest.fixture
    def shop(self, house: House, tmp_path: Path) -> Shop:
        folder = tmp_path / "files"
        append(folder, "prices", {"product": "apple", "price": 1.5}, {"product": "pear", "price": 2.0})
        shop = Shop(house, folder)
        assert shop.build(self.SOURCE).ok
        return shop

    def file(self, shop: Shop) -> Path:
        return shop.folder / "prices.ndjson"

    def offsets(self, shop: Shop) -> list[tuple[object, ...]]:
        return shop.house.rows("SELECT partition, next_offset FROM ops.offsets")

    def append(self, shop: Shop, *events: dict[str, object]) -> None:
        append(shop.folder, "prices", *events)

    def test_nothing_new_changes_nothing(self, shop: Shop) -> None:
        assert shop.build(self.SOURCE).ok
        assert shop.published() == GOOD
        assert self.offsets(shop) == [(0, 2)]

    def test_an_event_that_breaks_a_rule_is_kept_and_read_once(self, shop: Shop) -> None:
        self.append(shop, {"product": "fig", "price": -1.0}, {"product": "kiwi", "price": 3.0})
        text = shop.refused(self.SOURCE)
        assert "the first at prices.ndjson:3" in text
        assert self.offsets(shop) == [(0, 2)]
        assert shop.build(self.SOURCE, budget=1).ok
        assert shop.build(self.SOURCE, budget=1).ok
        assert shop.published() == [("apple", 1.5), ("kiwi", 3.0), ("pear", 2.0)]
        assert self.offsets(shop) == [(0, 4)]
        assert shop.house.rejects("source_file, source_line, status") == [("prices.ndjson", 3, "open")]

    def test_a_line_that_is_no_json_is_set_aside_with_its_place(self, shop: Shop) -> None:
        with self.file(shop).open("ab") as log:
            log.write(b'{"product": "fi{"product": "kiwi", "price": 3.0}\n')  # a writer was killed, and went on
        assert "prices.ndjson:3" in shop.refused(self.SOURCE)
        assert shop.build(self.SOURCE, budget=1).ok
        assert shop.house.rejects("source_file, source_line, reason_codes") == [("prices.ndjson", 3, ["event.json"])]
        assert self.offsets(shop) == [(0, 3)]

    def test_a_torn_last_line_waits(self, shop: Shop) -> None:
        self.append(shop, {"product": "fig", "price": 1.0})
        whole = self.file(shop).read_bytes()
        self.file(shop).write_bytes(whole[:-5])
        assert shop.build(self.SOURCE).ok
        assert shop.published() == GOOD
        assert self.offsets(shop) == [(0, 2)]
        self.file(shop).write_bytes(whole)
        assert shop.build(self.SOURCE).ok
        assert self.offsets(shop) == [(0, 3)]
        assert len(shop.published()) == 3

    def test_an_event_delivered_twice_breaks_the_key(self, shop: Shop) -> None:
        self.append(shop, {"product": "apple", "price": 9.0})
        assert "unique_key" in shop.refused(self.SOURCE)
        assert self.offsets(shop) == [(0, 2)]

    def test_a_log_that_was_replaced(self, shop: Shop) -> None:
        whole = self.file(shop).read_bytes()
        self.file(shop).write_bytes(b"")
        assert "prices.ndjson: has 0 bytes, but" in shop.refused(self.SOURCE)
        self.file(shop).write_bytes(whole.replace(b"pear", b"plum"))
        assert "prices.ndjson: changed before line 3" in shop.refused(self.SOURCE)
        assert self.offsets(shop) == [(0, 2)]


def test_errors_are_of_the_kind_that_tells_data_from_surroundings(shop: Shop) -> None:
    (shop.folder / "prices.csv").write_text("product,price\napple,-1\n")
    error = shop.build(Csv("files", "prices.csv")).errors["prices"]
    assert isinstance(error, AuditFailed)
    assert error.exit_code == 1
    error = shop.build(Csv("files", "none.csv")).errors["prices"]
    assert isinstance(error, SourceError)
    assert error.exit_code == 2
    unknown = shop.build(Csv("nowhere", "none.csv")).errors["prices"]
    assert "PIPELINE_SOURCE_NOWHERE" in str(unknown)
