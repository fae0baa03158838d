"""What is inferred from a sample holds for all of its rows, loses nothing, and takes the sample: or nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assay.build import build
from assay.commands.new_commands import new_source
from assay.contract.contract import Contract
from assay.errors import PipelineError
from assay.sources.base import Sources
from assay.tables.run import Run
from assay.warehouse.connection import Options
from assay.warehouse.warehouse import DryRunWarehouse
from tests.scaffold.started import Loaded, call, contents, table

ENDINGS = {"csv": "csv", "ndjson": "ndjson", "events": "ndjson"}


def started(load: Loaded, tmp_path: Path, sample: str | bytes, kind: str = "csv", *more: str) -> list[tuple[Any, ...]]:
    """Start `raw_teas` from a sample; returns the rows that then come from the same file, all as text."""
    folder = tmp_path / "served"
    folder.mkdir()
    file = folder / f"teas.{ENDINGS[kind]}"
    file.write_bytes(sample if isinstance(sample, bytes) else sample.encode())
    path = "teas" if kind == "events" else file.name
    arguments = ("--kind", kind, "--location", "shop_files", "--path", path, "--sample", str(file), *more)
    done = call(load(), new_source, "raw_teas", *arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    project = load()
    options = Options(threads=1, time_zone="UTC")
    with DryRunWarehouse(None, scratch=tmp_path, options=options, in_memory=True).session() as session:
        sources = Sources({"shop_files": str(folder)})
        built = build(project.graph, ["raw_teas"], session, Run.start(), sources)
        assert built.ok, built.errors
        assert built.publications["raw_teas"].rejected == 0
        relation = session.relation(table(project, "raw_teas"))
        return session.connection.execute(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM {relation} ORDER BY ALL").fetchall()


def types(load: Loaded) -> dict[str, str]:
    return dict(Contract.of(table(load(), "raw_teas").model).duckdb_columns)


LATE = 21_000
"""More rows than a sniffer looks at."""


JUDGED = [
    ("12345", "02134", "VARCHAR"),
    ("12345", "00", "VARCHAR"),
    ("1", "+49301234", "VARCHAR"),
    ("1", "n/a", "VARCHAR"),
    ("1", "1.5", "DOUBLE"),
    ("1", "12345678901234567890", "VARCHAR"),
    ("1", "1234567890123456789", "VARCHAR"),
    ("1", "123456789012345678", "BIGINT"),
    ("1.5", "0.12345678901234567", "VARCHAR"),
    ("1.5", "0.30000000000000004", "DOUBLE"),
    ("1.5", "007.5", "VARCHAR"),
    ("1", "12e4", "VARCHAR"),
    ("1.5", "1.5e-7", "DOUBLE"),
    ("1.5", "1e999", "VARCHAR"),
    ("1.1", "1.10", "VARCHAR"),
    ("true", "FALSE", "BOOLEAN"),
    ("true", "yes", "VARCHAR"),
    ("yes", "no", "VARCHAR"),
    ("2026-01-31", "2026-02-28", "DATE"),
    ("2026-01-31", "2026-02-29", "VARCHAR"),
    ("2026-01-31", "0000-00-00", "VARCHAR"),
    ("01/02/2026", "12/31/2026", "VARCHAR"),
    ("31.01.2026", "01.02.2026", "VARCHAR"),
    ("2026-01-31 10:00:00", "2026-01-31T11:00:00.123456", "TIMESTAMP"),
    ("2026-01-31 10:00:00", "2026-01-31 11:00:00.123456789", "VARCHAR"),
    ("2026-01-31T10:00:00+02:00", "2026-07-31T10:00:00Z", "TIMESTAMP WITH TIME ZONE"),
    ("2026-01-31T10:00:00+02:00", "2026-01-31T10:00:00", "VARCHAR"),
    ("10:00", "11:00", "VARCHAR"),
]
"""What all rows of a column have but the last, what that has, and the type that loses nothing of either."""


def test_a_type_is_judged_on_the_last_row_as_on_the_first(load: Loaded, tmp_path: Path) -> None:
    names = [f"v{place}" for place in range(len(JUDGED))]
    early, late, kinds = zip(*JUDGED, strict=True)
    lines = [("name", *names), *[("tea", *early)] * LATE, ("milk", *late)]
    rows = started(load, tmp_path, "\n".join(map(",".join, lines)) + "\n")
    found = types(load)
    assert list(zip(early, late, (found[name] for name in names), strict=True)) == JUDGED
    assert len(rows) == LATE + 1
    for place, kind in enumerate(kinds):
        if kind == "VARCHAR":
            assert {row[1 + place] for row in rows} == {early[place], late[place]}


def test_numbers_that_would_become_one_stay_apart(load: Loaded, tmp_path: Path) -> None:
    rows = started(load, tmp_path, "id,name\n12345678901234567890,a\n12345678901234567891,b\n")
    assert [row[0] for row in rows] == ["12345678901234567890", "12345678901234567891"]


def test_a_time_with_an_offset_lands_as_the_moment_it_names(load: Loaded, tmp_path: Path) -> None:
    rows = started(load, tmp_path, "id,at\n1,2026-01-31T10:00:00+02:00\n")
    assert rows == [("1", "2026-01-31 08:00:00+00")]


@pytest.mark.parametrize(("mark", "name"), [(";", "';'"), ("\t", "tab"), ("|", "bar"), (",", "comma")])
def test_the_delimiter_is_what_cuts_every_line_alike(load: Loaded, tmp_path: Path, mark: str, name: str) -> None:
    lines = [("id", "name", "price"), ("1", "assam", "2.5"), ("2", '"a, b; c | d"', "3.5")]
    rows = started(load, tmp_path, "".join(mark.join(line) + "\n" for line in lines))
    assert list(types(load)) == ["id", "name", "price"]
    assert rows[1][1] == "a, b; c | d", name


def test_a_decimal_comma_is_no_delimiter(load: Loaded, tmp_path: Path) -> None:
    assert started(load, tmp_path, "id;price\n1;2,50\n2;3,75\n") == [("1", "2,50"), ("2", "3,75")]
    assert types(load) == {"id": "BIGINT", "price": "VARCHAR"}


def test_a_file_of_one_column(load: Loaded, tmp_path: Path) -> None:
    assert started(load, tmp_path, "zip\n02134\n10115\n") == [("02134",), ("10115",)]


def test_without_a_header_the_first_line_is_a_row(load: Loaded, tmp_path: Path) -> None:
    assert started(load, tmp_path, "1,assam,2.5\n2,earl grey,3.5\n") == [
        ("1", "assam", "2.5"),
        ("2", "earl grey", "3.5"),
    ]
    assert list(types(load)) == ["column_1", "column_2", "column_3"]
    package = load().package
    assert "which has no header" in (tmp_path / package / "extract" / "raw_teas.py").read_text()
    assert (tmp_path / "golden" / "raw_teas" / "inputs" / "shop_files" / "teas.csv").read_text() == ""


def test_years_above_text_are_names(load: Loaded, tmp_path: Path) -> None:
    started(load, tmp_path, "id,2016,2017\n1,x,2\n2,y,3\n")
    assert list(types(load)) == ["id", "column_2016", "column_2017"]


@pytest.mark.parametrize(
    "header",
    [
        "class,def",
        '"a""b",c\'d',
        '"say ""x"", y",z',
        '"{0}",\\N',
        "Straße,日本",
        "a b,a-b",
        "x'); import os #,b",
        "self,cls",
    ],
)
def test_a_header_may_be_called_as_it_likes(load: Loaded, tmp_path: Path, header: str) -> None:
    assert started(load, tmp_path, f"{header}\n1,x\n") == [("1", "x")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_an_encoding_is_seen(load: Loaded, tmp_path: Path, encoding: str) -> None:
    text = "name,price\nMüller,1\n" + "x,2\n" * 9
    assert ("Müller", "1") in started(load, tmp_path, text.encode(encoding))


def test_a_pattern_as_path_starts_a_case_with_a_file_of_an_ordinary_name(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("id,name\n1,tea\n")
    arguments = ("--kind", "csv", "--location", "shop_files", "--path", "2026/*/teas-?.csv", "--sample", str(sample))
    done = call(load(), new_source, "raw_teas", *arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    inputs = list((tmp_path / "golden").rglob("*.csv"))
    assert [path.relative_to(tmp_path / "golden/raw_teas/inputs/shop_files").as_posix() for path in inputs] == [
        "2026/1/teas-1.csv"
    ]


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("kind", ["ndjson", "events"])
def test_a_field_that_is_not_always_there_is_optional(load: Loaded, tmp_path: Path, kind: str) -> None:
    sample = lines({"id": 1}, {"id": 2, "note": "x"}, {"id": 3, "note": None, "more": True})
    rows = started(load, tmp_path, sample, kind)
    assert rows == [("1", None, None), ("2", "x", None), ("3", None, "true")]


@pytest.mark.parametrize(
    ("values", "kind", "landed"),
    [
        ((1, 2), "BIGINT", ["1", "2"]),
        (("1", "2"), "VARCHAR", ["1", "2"]),
        ((1, 2.5), "DOUBLE", ["1.0", "2.5"]),
        (
            (12345678901234567890, 12345678901234567891),
            "DECIMAL(38,0)",
            ["12345678901234567890", "12345678901234567891"],
        ),
        ((True, None), "BOOLEAN", ["true", None]),
        ((None, None), "VARCHAR", [None, None]),
        (("2026-01-31", "2026-02-28"), "DATE", ["2026-01-31", "2026-02-28"]),
        (({"a b": 1}, {"class": [1, "x"]}), "JSON", ['{"a b": 1}', '{"class": [1, "x"]}']),
        ((1, "1"), "JSON", ["1", '"1"']),
        (([], 1), "JSON", ["[]", "1"]),
        ((1e22, 10**60), "JSON", None),
    ],
)
def test_what_json_serves_keeps_its_kind(
    load: Loaded, tmp_path: Path, values: tuple[Any, ...], kind: str, landed: list[str | None] | None
) -> None:
    rows = started(
        load, tmp_path, lines(*({"id": number, "value": value} for number, value in enumerate(values))), "ndjson"
    )
    assert types(load)["value"] == kind
    assert landed is None or [row[1] for row in rows] == landed


def test_structs_of_parquet_with_blanks_in_their_fields(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.parquet"
    sql = """SELECT 1 AS id, {'a b': 1, 'c"d': [{'class': DATE '2026-01-01'}]} AS nested, MAP {'k': 1.50::DECIMAL(9,2)} AS m,
             TIMESTAMPTZ '2026-01-01 00:00:00+00' AS at, 'x'::BLOB AS raw, uuid() AS u"""
    duckdb.sql(sql).write_parquet(str(sample))
    arguments = ("--kind", "parquet", "--location", "shop_files", "--path", "t.parquet", "--sample", str(sample))
    done = call(load(), new_source, "raw_teas", *arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert types(load)["nested"] == 'STRUCT("a b" INTEGER, "c""d" STRUCT("class" DATE)[])'


@pytest.mark.parametrize(
    ("kind", "sample", "message"),
    [
        ("csv", "Id,id\n1,2\n", "'id' and 'Id' differ in case alone"),
        ("csv", "id,id\nx,y\n", "'id' appear twice in the header"),
        ("csv", ",name\n0,tea\n1,milk\n", "column 1 has no name in the header"),
        (
            "csv",
            "id,name\n1,tea\n2,milk,oat\n",
            "above the budget of 0 rows: csv.columns 1; the first at t:3 (line 3: expected 2 fields, found 3)",
        ),
        ("csv", 'id,name\n1,tea\n2,"milk\n', "(line 3: the quote that is open at its end never ends)"),
        ("ndjson", '{"id": 1}\n{"id": 1, "id": 2}\n', "line 2 has the key 'id' twice"),
        ("ndjson", '{"id": 1}\n[1]\n', "(line 2: is no JSON object)"),
        ("ndjson", '{"id": 1, "Id": 2}\n', "differ in case alone"),
        ("ndjson", "", "holds no object"),
        ("csv", "", "has no line"),
        ("csv", '"a\nb",c\n1,2\n', "sample: a quote opens in the first line and does not end in it"),
        ("csv", "id,name\r1,x\r", "sample: its lines end with a carriage return alone"),
        ("api", '{"data": [{"id": 1}], "following": 2}', "tells no end"),
        ("api", '{"rows": []}', "no object with a list 'data'"),
        ("page", "<p>nothing</p>", "expected one table 'table', found none"),
        ("page", "<table><tr><th>a</th><th>a</th></tr><tr><td>1</td><td>2</td></tr></table>", "appears more than once"),
    ],
)
def test_a_sample_that_does_not_land_leaves_nothing_and_one_line_says_why(
    load: Loaded, tmp_path: Path, kind: str, sample: str, message: str
) -> None:
    file = tmp_path / "sample"
    file.write_text(sample)
    before = contents(tmp_path)
    arguments = ("--kind", kind, "--location", "new_files", "--address", "./new", "--path", "t", "--sample", str(file))
    done = call(load(), new_source, "raw_teas", *arguments)
    assert isinstance(done.exception, PipelineError), done.output + repr(done.exception)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert contents(tmp_path) == before

    file.write_text('{"id": 1}\n')
    again = call(load(), new_source, "raw_teas", *arguments[:1], "ndjson", *arguments[2:])
    assert again.exit_code == 0, again.output + repr(again.exception)


def test_a_key_that_the_sample_breaks_is_none(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("id,name\n1,tea\n1,milk\n")
    before = contents(tmp_path)
    arguments = ("--kind", "csv", "--location", "shop_files", "--path", "t.csv", "--sample", str(sample), "--key", "id")
    assert "unique_key" in str(call(load(), new_source, "raw_teas", *arguments).exception)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("path", ["/srv/t.csv", "../t.csv", "a/../../t.csv"])
def test_a_path_stays_at_its_location(load: Loaded, tmp_path: Path, path: str) -> None:
    before = contents(tmp_path)
    arguments = ("--kind", "csv", "--location", "shop_files", "--path", path)
    assert "leads out of the location" in str(call(load(), new_source, "raw_teas", *arguments).exception)
    assert contents(tmp_path) == before
