"""What a file is, by its first bytes; whether it is whole, by its last and by what is announced of it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from assay.errors import SourceError, SourceUnavailable
from assay.sources import text
from assay.sources.delimited import Csv
from assay.sources.ndjson import Ndjson
from assay.sources.parquet import Parquet

COLUMNS = {"id": "INTEGER", "name": "VARCHAR"}
ROWS = [(1, "nail"), (2, "häm\u2028mer")]
CSV = "id,name\n" + "".join(f"{number},{name}\n" for number, name in ROWS)
NDJSON = "".join(json.dumps({"id": number, "name": name}, ensure_ascii=False) + "\n" for number, name in ROWS)


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture(params=["csv", "ndjson"])
def read(request, land, tmp_path):
    """Lands a file of the rows, in a form and under a name."""
    source, content = (Csv, CSV) if request.param == "csv" else (Ndjson, NDJSON)

    def run(form=lambda content: content, name="f.txt", encoding="utf-8"):
        (tmp_path / name).write_bytes(form(content.encode(encoding)))
        return land(source("shop", name), tmp_path, COLUMNS)

    return run


@pytest.mark.parametrize("name", ["f.txt", "f.gz", "f.zst", "f.zip", "f.csv"])
@pytest.mark.parametrize(
    "form",
    [bytes, gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True), lambda data: zipped(("in", data))],
    ids=["plain", "gzip", "zstd", "zip"],
)
def test_a_name_says_nothing(read, form, name):
    assert read(form, name).rows == ROWS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("form", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_byte_order_mark_says_the_encoding_and_costs_no_row(read, encoding, form):
    found = read(form, encoding=encoding)
    assert found.rows == ROWS
    assert found.malformed == []


def test_a_mark_is_believed_more_than_a_declaration(land, tmp_path):
    (tmp_path / "f.csv").write_text(CSV, encoding="utf-8-sig")
    assert land(Csv("shop", "f.csv", encoding="latin-1"), tmp_path, COLUMNS).rows == ROWS


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda data: bz2.compress(data)[:-5], "the compressed file is truncated or damaged"),
        (lambda data: lzma.compress(data)[:-20], "the compressed file is truncated or damaged"),
        (lambda data: bz2.compress(gzip.compress(data)), "holds gzip inside bzip2"),
        (lambda data: b"PAR1\x15\x04" + data, "is a Parquet file, no text"),
        (lambda data: gzip.compress(gzip.compress(data)), "holds gzip inside gzip"),
        (lambda data: zipped(("xl/workbook.xml", data), ("x", data)), "is an Excel workbook"),
        (lambda data: zipped(("a", data), ("b", data)), r"is a zip archive of 2 files \(a, b\)"),
        (lambda data: zipped(), "is a zip archive of 0 files"),
        (lambda data: zipped(("a", zipped(("b", data)))), "/a: is a zip archive"),
        *(
            (lambda data, wide=wide: "a,漢字\n".encode(wide), f"is {wide[:6].upper()} without a byte order mark")
            for wide in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
        ),
        (lambda data: b"\xff\xfe" + data + b"\xd8\xd8\xd8", "its byte order mark says UTF-16-LE, which it is not"),
    ],
)
def test_what_is_no_text_is_named(read, form, message):
    with pytest.raises(SourceError, match=rf"sold: .*f\.txt.*{message}"):
        read(form)


class TestLimits:
    """What comes out is counted while it comes out."""

    @pytest.mark.parametrize("form", [gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
    @pytest.mark.parametrize("content", [b"1,a\n" * 100_000, b"x" * 400_000], ids=["lines", "one line"])
    def test_a_bomb(self, read, form, content, monkeypatch):
        monkeypatch.setattr(text, "UNPACKED", 100_000)
        with pytest.raises(SourceError, match=r"unpacks to more than \d+ bytes, 200 times its size"):
            read(lambda data: form(data + content))

    @pytest.mark.parametrize("declared", [True, False])
    def test_a_member(self, read, monkeypatch, tmp_path, declared):
        monkeypatch.setattr(text, "UNPACKED", 100_000)
        packed = bytearray(zipped(("in", b"x" * 400_000)))
        if not declared:  # The archive says that the member is small.
            at = packed.index(b"PK\x01\x02")
            packed[at + 24 : at + 28] = (10).to_bytes(4, "little")
        with pytest.raises(SourceError, match=r"unpacks to more than|is no readable zip archive"):
            read(lambda _: bytes(packed))
        assert sum(file.stat().st_size for file in (tmp_path / "scratch").iterdir()) <= 200_000

    def test_one_endless_line(self, read):
        with pytest.raises(SourceError, match=r"line [234] is longer than 16777216 bytes"):
            read(lambda data: gzip.compress(data + b"x" * 40_000_000, 1))


@pytest.mark.parametrize("source", [Csv, Ndjson, Parquet])
def test_a_pipe_is_not_waited_for(land, tmp_path, source):
    os.mkfifo(tmp_path / "f")
    with pytest.raises(SourceError, match="is a pipe or a device, not a file"):
        land(source("shop", "f"), tmp_path, COLUMNS)
    with pytest.raises(SourceError, match="is a pipe or a device"):
        land(source("shop", "null"), Path("/dev"), COLUMNS)


class TestCut:
    """A last line without an end, where others end with one."""

    @pytest.fixture(params=["csv", "ndjson"])
    def kind(self, request):
        return request.param

    @pytest.fixture
    def several(self, kind, land, tmp_path):
        def run(*contents: str, **options):
            for number, content in enumerate(contents):
                (tmp_path / f"{number}.x").write_text(content)
            return land((Csv if kind == "csv" else Ndjson)("shop", "*.x", **options), tmp_path, COLUMNS)

        return run

    @pytest.fixture
    def whole(self, kind):
        return CSV if kind == "csv" else NDJSON

    def test_it_is_set_aside(self, several, whole, kind):
        found = several(whole, whole[:-1], whole)
        assert found.rows == ROWS + ROWS[:1] + ROWS
        line = 3 if kind == "csv" else 2
        assert [(reason, file, at) for reason, file, at, _ in found.malformed] == [(f"{kind}.unfinished", "1.x", line)]
        payload = json.loads(found.malformed[0][3])
        assert payload == {"id": "2", "name": ROWS[1][1], "_error": "its line has no end, so it was cut off"}

    def test_where_no_file_ends_with_one_none_is_cut(self, several, whole):
        assert several(whole[:-1], whole[:-1]).rows == ROWS * 2

    def test_of_a_single_file_only_its_source_can_tell(self, several, whole, kind):
        assert several(whole[:-1]).rows == ROWS
        assert several(whole[:-1], last_line_ended=True).reasons[0][0] == f"{kind}.unfinished"
        assert several(whole, whole[:-1], last_line_ended=False).rows == ROWS * 2

    def test_the_exact_way_tells_it_too(self, land, tmp_path):
        (tmp_path / "1.csv").write_text('id,name\n1,"a\nb"\n')
        (tmp_path / "2.csv").write_text('id,name\n1,"a\nb"\n2,"c\nUn')
        (tmp_path / "3.csv").write_text('id,name\n1,"a\nb"\n2,"c\nd"')
        found = land(Csv("shop", "*.csv"), tmp_path, COLUMNS)
        assert found.rows == [(1, "a\nb")] * 3
        assert found.reasons == [("csv.quote", 4), ("csv.columns", 5), ("csv.unfinished", 4)]


class TestAnnounced:
    @pytest.fixture
    def csv(self, land, tmp_path):
        def run(content: str, **options):
            (tmp_path / "f.csv").write_text(content)
            return land(Csv("shop", "f.csv", **options), tmp_path, COLUMNS)

        return run

    def test_a_trailer_is_no_row_and_counts_them(self, csv):
        trailer = r"T\|(?P<rows>\d+)"
        assert csv(CSV + "T|2\n\n", trailer=trailer).rows == ROWS
        assert csv(CSV + "bad\nT|003", trailer=trailer).reasons == [("csv.columns", 4)]
        with pytest.raises(SourceUnavailable, match="has 2 rows, but its trailer line says 3"):
            csv(CSV + "T|3\n", trailer=trailer)
        for cut in (CSV, CSV + "T", CSV[:-1], "id,name\n"):
            with pytest.raises(SourceUnavailable, match="ends without its trailer line"):
                csv(cut, trailer=trailer)
        assert csv(CSV + "T|2\n" + CSV + "END\n", trailer="END").reasons == [("csv.columns", 4), ("csv.header", 5)]

    @pytest.fixture(params=[Csv, Ndjson, Parquet])
    def manifest(self, request, land, tmp_path, connection):
        for name in ("1", "2"):
            file = tmp_path / f"{name}.x"
            if request.param is Parquet:
                rows = "(VALUES (1::INTEGER, 'nail'), (2, 'x')) t(id, name)"
                connection.execute(f"COPY (FROM {rows}) TO '{file}' (FORMAT parquet)")
            else:
                file.write_text(CSV if request.param is Csv else NDJSON)

        def run(content: str):
            (tmp_path / "m.x").write_text(content.format(size=(tmp_path / "1.x").stat().st_size))
            return land(request.param("shop", "*.x", manifest="m.x"), tmp_path, COLUMNS)

        return run

    def test_a_manifest_is_compared(self, manifest):
        assert len(manifest("file,rows,bytes\n1.x,2,{size}\n2.x,,{size}\nother.y,7,7\n").rows) == 4
        for content, error, message in [
            ("file,rows\n1.x,2\n2.x,3\n", SourceUnavailable, r"2\.x: has 2 rows, but 3 were announced"),
            ("file,bytes\n1.x,9\n2.x,9\n", SourceUnavailable, r"1\.x: has \d+ bytes, but 9 were announced"),
            ("file,rows\n1.x,2\n2.x,2\n3.x,2\n", SourceUnavailable, r"announces '3\.x', which is not there"),
            ("file,rows\n1.x,2\n", SourceError, r"does not announce '2\.x', which is there"),
            ("file,rows\n1.x,two\n", SourceError, "line 2 has no count"),
            (f"file,rows\n1.x,{'9' * 5000}\n", SourceError, "line 2 has no count"),
            ("name,rows\n1.x,2\n", SourceError, "is no manifest"),
            ("file\n1.x\n", SourceError, "is no manifest"),
            ('file,rows\n"1.x,2\n', SourceError, "is no CSV: unexpected end of data"),
            ("file,rows\n1.x,2\n1.x,3\n", SourceError, "announces '1.x' twice, and differently"),
        ]:
            with pytest.raises(error, match=message):
                manifest(content)

    def test_a_file_that_a_pattern_means_as_a_whole_folder_is_missed(self, land, tmp_path):
        for name in ("in/1.x", "in/deep/2.x"):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text("id,name\n1,ann\n")
        (tmp_path / "m").write_text("file,rows\nin/1.x,1\nin/deep/2.x,1\nin/gone.x,1\n")
        with pytest.raises(SourceUnavailable, match=r"announces 'gone.x', which is not there"):
            land(Csv("shop", "in/**/*.x", manifest="m"), tmp_path, {"id": "BIGINT", "name": "VARCHAR"})
        (tmp_path / "m").write_text("file,rows\nin/1.x,1\nin/deep/gone.x,1\n")  # which is another source's
        assert len(land(Csv("shop", "in/*.x", manifest="m"), tmp_path, {"id": "BIGINT", "name": "VARCHAR"}).rows) == 1

    def test_without_its_manifest_nothing_is_read(self, land, tmp_path):
        (tmp_path / "f.csv").write_text(CSV)
        with pytest.raises(SourceError, match=r"m\.csv: the file does not exist"):
            land(Csv("shop", "f.csv", manifest="m.csv"), tmp_path, COLUMNS)


class TestLineEnds:
    def test_a_line_break_in_a_value_stays_as_it_is(self, land, tmp_path):
        (tmp_path / "f.csv").write_bytes(b'id,name\r\n1,"x\r\ny"\r\n2,"x\ny"\r\n3,"\r"\r\n')
        assert land(Csv("shop", "f.csv"), tmp_path, COLUMNS).rows == [(1, "x\r\ny"), (2, "x\ny"), (3, "\r")]

    @pytest.mark.parametrize(("more", "rows"), [("", []), ('"c\nd",3\n', [("3", "c\nd")])], ids=["fast", "exact"])
    def test_the_header_again_is_no_row(self, land, tmp_path, more, rows):
        (tmp_path / "f.csv").write_text("name,id\na,1\nname,id\nb,2\n" + more)
        found = land(Csv("shop", "f.csv"), tmp_path, {"id": "VARCHAR", "name": "VARCHAR"})
        assert found.rows == [("1", "a"), ("2", "b"), *rows]
        assert found.reasons == [("csv.header", 3)]

    def test_a_stray_quote_costs_its_own_line_only(self, land, tmp_path):
        """Where it would swallow whole rows up to the next quote; looking for it takes time that grows with the file."""
        lines = [f"{number},x" for number in range(2, 60_000)]
        lines[30_000], lines[-1] = '30002,5" nail', '59999,"quoted, soundly"'
        (tmp_path / "f.csv").write_text("id,name\n1,a\n" + "\n".join(lines) + "\n")
        found = land(Csv("shop", "f.csv"), tmp_path, COLUMNS)
        assert len(found.rows) == 59_998
        assert found.reasons == [("csv.quote", 30_003)]
        error = json.loads(found.malformed[0][3])["_error"]
        assert error == "the quote that is open at its end never ends"

    def test_a_quote_that_swallows_rows_says_where_it_opened(self, land, tmp_path):
        (tmp_path / "f.csv").write_text('id,name\n1,"a\n2,b\n3,c\n4,d"\n5,e\n')
        found = land(Csv("shop", "f.csv"), tmp_path, COLUMNS)
        assert found.rows == [(1, "a\n2,b\n3,c\n4,d"), (5, "e")], "a quoted value may look like this"
        (tmp_path / "f.csv").write_text('id,name\n1,x,"a\n2,b\n3,c\n4,d"\n5,e\n')
        found = land(Csv("shop", "f.csv"), tmp_path, COLUMNS)
        assert found.rows == [(2, "b"), (3, "c"), (5, "e")]
        assert found.reasons == [("csv.quote", 2), ("csv.quote", 5)]
        error = json.loads(found.malformed[0][3])["_error"]
        assert error == "the quote that is open at its end ends in line 5, past whole rows"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_none(land, tmp_path):
    """Python would take the last one."""
    (tmp_path / "f.zip").write_bytes(zipped(("x", b"id,name,price\n"), ("x", CSV.encode())))
    with pytest.raises(SourceError, match="holds 2 files 'x'"):
        land(Csv("shop", "f.zip", member="x"), tmp_path, COLUMNS)
