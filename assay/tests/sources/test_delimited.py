from __future__ import annotations

import gzip
import json
import zipfile

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assay.errors import SourceError
from assay.sources import delimited
from assay.sources.delimited import Csv

COLUMNS = {"id": "INTEGER", "name": "VARCHAR", "price": "DECIMAL(10,2)"}
FAST = "1,nail,0.05\n2,hammer,12.90\n3,,\n"


@pytest.fixture
def csv(land, tmp_path):
    def run(content: str | bytes, columns=COLUMNS, name="f.csv", **dialect):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return land(Csv("shop", name, **dialect), tmp_path, columns)

    return run


@pytest.mark.usefixtures("both")
class TestSound:
    def test_rows_with_their_lines(self, csv):
        found = csv("id,name,price\n" + FAST)
        assert [(row[0], row[1], str(row[2])) for row in found.rows] == [
            (1, "nail", "0.05"),
            (2, "hammer", "12.90"),
            (3, None, "None"),
        ]
        assert found.places == [("f.csv", 2), ("f.csv", 3), ("f.csv", 4)]
        assert found.malformed == []

    def test_no_header_and_no_last_line_end(self, csv):
        found = csv(FAST.rstrip("\n"), header=False)
        assert [line for _, line in found.places] == [1, 2, 3]

    def test_windows_line_ends_and_a_byte_order_mark(self, csv):
        found = csv(b"\xef\xbb\xbf" + ("id,name,price\n" + FAST).replace("\n", "\r\n").encode())
        assert [row[1] for row in found.rows] == ["nail", "hammer", None]

    def test_quotes(self, csv):
        found = csv('"id",name,price\n1,"a ""b"", c",1\n2,"",2\n')
        assert [row[1] for row in found.rows] == ['a "b", c', ""]

    def test_values_over_several_lines(self, csv):
        found = csv('id,name,price\n1,"a\nb",1\n2,c,2\n')
        assert [row[1] for row in found.rows] == ["a\nb", "c"]
        assert found.places == [("f.csv", 2), ("f.csv", 4)]

    def test_another_dialect(self, csv):
        found = csv("1;'a;b';N/A\n2;N/A;3\n", header=False, delimiter=";", quote="'", null="N/A")
        assert [row[:2] for row in found.rows] == [(1, "a;b"), (2, None)]
        assert found.rows[0][2] is None

    def test_no_text_means_null(self, csv):
        found = csv("a,b\n,x\n", {"a": "VARCHAR", "b": "VARCHAR"}, null=None)
        assert found.rows == [("", "x")]

    def test_no_quoting(self, csv):
        found = csv('id,name,price\n1,5" nail,1\n', quote=None)
        assert found.rows[0][1] == '5" nail'

    def test_reordered_headers_are_matched_by_name(self, csv):
        found = csv("price,id,name\n0.05,1,nail\n")
        assert found.rows[0][:2] == (1, "nail")

    def test_blank_lines_hold_no_row(self, csv):
        found = csv("id,name,price\n1,a,1\n\n2,b,2\n\n")
        assert [line for _, line in found.places] == [2, 4]

    def test_a_blank_line_of_one_column_is_an_empty_value(self, csv):
        found = csv("a\nx\n\ny\n", {"a": "VARCHAR"})
        assert found.rows == [("x",), (None,), ("y",)]

    def test_latin_1_as_declared(self, csv):
        found = csv("id,name,price\n1,café,1\n".encode("latin-1"), encoding="latin-1")
        assert found.rows[0][1] == "café"

    def test_infinities_and_not_a_number_stay_values(self, csv):
        found = csv("a\nnan\ninf\n-inf\n", {"a": "DOUBLE"})
        assert [str(row[0]) for row in found.rows] == ["nan", "inf", "-inf"]

    def test_values_that_are_not_of_the_type(self, csv):
        found = csv("id,name,price\n1.5,a,1\n2,b,1.999\nx,c,y\n4,d,4\n")
        assert [row[0] for row in found.rows] == [4]
        assert found.reasons == [("csv.cast", 2), ("csv.cast", 3), ("csv.cast", 4)]
        payload = json.loads(found.malformed[2][3])
        assert payload == {
            "id": "x",
            "name": "c",
            "price": "y",
            "_error": "id is no INTEGER; price is no DECIMAL(10,2)",
        }

    def test_only_a_header(self, csv):
        found = csv("id,name,price\n")
        assert (found.rows, found.malformed) == ([], [])

    @pytest.mark.parametrize("suffix", [".gz", ".zst"])
    def test_compressed(self, csv, suffix):
        text = ("id,name,price\n" + FAST).encode()
        content = gzip.compress(text) if suffix == ".gz" else pa.compress(text, "zstd", asbytes=True)
        assert len(csv(content, name=f"f.csv{suffix}").rows) == 3

    def test_several_files(self, csv, land, tmp_path):
        csv("id,name,price\n1,a,1\n", name="1.csv")
        csv("name,id,price\nb,2,2\n", name="2.csv")
        found = land(Csv("shop", "*.csv"), tmp_path, COLUMNS)
        assert [row[:2] for row in found.rows] == [(1, "a"), (2, "b")]
        assert found.places == [("1.csv", 2), ("2.csv", 2)]


def test_lines_that_do_not_fit_are_told_by_reason_line_and_content(csv):
    found = csv(
        b"id,name,price\n1,a,1\n2,short\n3,a,b,long\n4,caf\xe9,4\n5,b,5\n"
        b'6,"q"x,6\n7,un"quoted,7\n8,"a\nb",8\n9,"two\nlines"\n10,c,10\n'
    )
    assert [row[0] for row in found.rows] == [1, 5, 8, 10]
    assert [line for _, line in found.places] == [2, 6, 9, 13]
    assert found.reasons == [
        ("csv.columns", 3),
        ("csv.columns", 4),
        ("csv.encoding", 5),
        ("csv.quote", 7),
        ("csv.quote", 8),
        ("csv.columns", 11),
    ]
    payloads = [json.loads(payload) for *_, payload in found.malformed]
    assert payloads[0] == {"_line": "2,short", "_error": "expected 3 fields, found 2"}
    assert payloads[1] == {"_line": "3,a,b,long", "_error": "expected 3 fields, found 4"}
    assert payloads[2] == {"_line": "4,caf\\xe9,4", "_error": "is not utf-8"}
    assert payloads[5]["_line"] == '9,"two\nlines"'


def test_a_quote_that_never_ends_costs_one_line(csv):
    lines = "".join(f"{number},x,1\n" for number in range(2, 2000))
    found = csv('id,name,price\n1,"open,1\n' + lines)
    assert found.reasons == [("csv.quote", 2)]
    assert len(found.rows) == 1998


def test_a_trailing_delimiter(csv):
    found = csv("id,name,price,\n1,a,1,\n2,b,2\n3,c,3,4\n", trailing_delimiter=True)
    assert [row[0] for row in found.rows] == [1, 2]
    assert found.reasons == [("csv.columns", 4)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,name\n1,a\n", "missing column 'price'"),
        ("id,name,price,colour\n", "unexpected column 'colour'"),
        ("id,title,price\n1,a,1\n", "expected column 'name', found 'title' (renamed?)"),
        ("id,name,price,price\n", "column 'price' appears more than once"),
        ("1,ann@example.org,0.05\n", "its first line names none of the columns id, name, price"),
        ("id,name,price\r\r\n", "expected column 'price', found 'price\\u000d' (renamed?)"),
        ("id,name," + "x" * 5000, f"found '{'x' * 80}' (renamed?)"),
        ("id,name," + ",".join(f"c{number}" for number in range(100_000)), "and 99992 more"),
        ('id,"name,price\n', "a quote opens in the first line and does not end in it"),
        ('id,"na"me,price\n', "the quotes of the first line do not fit"),
        ("id,name,pricé\n".encode("latin-1"), "the first line is not utf-8. Declare its `encoding`"),
        ("id;name;price\n1;a;1\n", "the first line is one field; its delimiter seems to be ';'"),
        ("id\tname\tprice\n", "its delimiter seems to be '\\t'"),
        ("id,name,price\r1,a,1\r2,b,2\r", "its lines end with a carriage return alone"),
        (b"id,name,price\0\n", "holds a NUL byte"),
        (b"x" * 17_000_000, "line 1 is longer than 16777216 bytes"),
    ],
)
def test_a_changed_header_is_refused(csv, content, message):
    with pytest.raises(SourceError) as error:
        csv(content)
    assert message in str(error.value)
    assert str(error.value).startswith("sold: ")
    assert "f.csv" in str(error.value)


def test_without_a_header_columns_cannot_move_unseen(csv):
    with pytest.raises(SourceError, match="the first line is a header"):
        csv("id,name,price\n1,a,1\n", header=False)
    with pytest.raises(SourceError, match="the first line has 4 fields, expected 3: id, name, price"):
        csv("1,a,1,x\n", header=False)
    assert csv("nail,1,0.05\n", header=False).reasons == [("csv.cast", 1)]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("left", [0.5, 0.99])
def test_a_truncated_compressed_file(csv, suffix, left):
    text = ("id,name,price\n" + FAST * 5000).encode()
    content = gzip.compress(text) if suffix == ".gz" else pa.compress(text, "zstd", asbytes=True)
    with pytest.raises(SourceError, match="the compressed file is truncated or damaged"):
        csv(content[: int(len(content) * left)], name=f"f.csv{suffix}")


class TestZip:
    @pytest.fixture
    def archive(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "f.zip", "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("in/prices.csv", "id,name,price\n" + FAST * 1000)
        return tmp_path / "f.zip"

    def test_a_member(self, land, archive):
        found = land(Csv("shop", "f.zip", member="in/prices.csv"), archive.parent, COLUMNS)
        assert len(found.rows) == 3000
        assert found.places[0] == ("f.zip/in/prices.csv", 2)

    def test_no_such_member(self, land, archive):
        with pytest.raises(SourceError, match=r"no member 'x\.csv' in the archive \(it holds in/prices\.csv\)"):
            land(Csv("shop", "f.zip", member="x.csv"), archive.parent, COLUMNS)

    def test_no_archive(self, land, archive):
        archive.write_text("id,name,price\n")
        with pytest.raises(SourceError, match="is no readable zip archive"):
            land(Csv("shop", "f.zip", member="in/prices.csv"), archive.parent, COLUMNS)

    def test_damage(self, land, archive):
        content = bytearray(archive.read_bytes())
        content[80] ^= 0xFF
        archive.write_bytes(content)
        with pytest.raises(SourceError, match="is no readable zip archive"):
            land(Csv("shop", "f.zip", member="in/prices.csv"), archive.parent, COLUMNS)


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        ({"encoding": "utf-16"}, "encoding 'utf-16' is unknown or does not extend ASCII"),
        ({"encoding": "klingon"}, "encoding 'klingon' is unknown"),
        ({"delimiter": "||"}, "delimiter and quote must be one character"),
        ({"delimiter": '"'}, "two different ones"),
        ({"delimiter": "\n"}, "delimiter and quote must be one character"),
        ({"trailer": "("}, r"the trailer '\(' is no regular expression"),
        # They have a sequence of ASCII that means something else.
        *(
            ({"encoding": name}, "does not extend ASCII")
            for name in ("idna", "utf-7", "hz", "iso2022_jp", "raw_unicode_escape")
        ),
    ],
)
def test_an_impossible_dialect(csv, dialect, message):
    with pytest.raises(SourceError, match=message):
        csv("id,name,price\n", **dialect)


@pytest.mark.parametrize(
    "encoding", ["shift_jis", "gb18030", "big5", "cp949", "koi8-r", "cp1252", "iso-8859-15", "ascii"]
)
def test_encodings_that_extend_ascii_are_read(csv, encoding):
    text = {"koi8-r": "ж", "cp1252": "€", "iso-8859-15": "€", "ascii": "x", "cp949": "가"}.get(encoding, "表")
    assert csv(f"id,name,price\n1,{text},1\n".encode(encoding), encoding=encoding).rows[0][1] == text


def test_a_quote_beyond_ascii(csv):
    assert csv("id,name,price\n1,äx,yä,1\n", quote="ä").rows[0][1] == "x,y"


def test_what_the_engine_finds_wrong_names_the_file(land, tmp_path):
    """Python takes zeros behind a gzip stream for padding, DuckDB for damage."""
    (tmp_path / "f.csv").write_bytes(gzip.compress(b"id,name,price\n1,a,1\n") + bytes(100))
    with pytest.raises(SourceError, match=r"f\.csv: DuckDB cannot read it: .*GZIP"):
        land(Csv("shop", "f.csv"), tmp_path, COLUMNS)


def test_a_line_without_an_end(csv, monkeypatch):
    monkeypatch.setattr("assay.sources.lines.LONGEST", 100)
    monkeypatch.setattr("assay.sources.text.LONGEST", 100)
    with pytest.raises(SourceError, match="line 2 is longer than 100 bytes"):
        csv("id,name,price\n1," + "x" * 200)


LINES = st.lists(
    st.one_of(
        st.lists(
            st.sampled_from(["1", "", "x", '"a"', '"a,b"', '"a""b"', '"', 'a"', "é", " ", "\r", "\0", "nan"]),
            max_size=4,
        )
        .map(",".join)
        .map(str.encode),
        st.binary(max_size=6).filter(lambda line: b"\n" not in line),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, ended=st.booleans())
@example(lines=[b'1,a"'], ended=True)
@example(lines=[b'1,"', b"", b'",2', b"", b"3,4"], ended=True)
@example(lines=[b"1,2", b"", b'3,"a', b'b"'], ended=False)
def test_no_line_is_lost_and_both_ways_agree(csv, monkeypatch, lines, ended):
    content = b"a,b\n" + b"\n".join(lines) + (b"\n" if ended and lines else b"")
    columns = {"a": "VARCHAR", "b": "INTEGER"}
    found = csv(content, columns)
    with monkeypatch.context() as patch:
        patch.setattr(Csv, "_fast", lambda *_: False)
        exact = csv(content, columns)
    assert (found.rows, found.places, found.malformed) == (exact.rows, exact.places, exact.malformed)
    # Every line that is not blank is a row, the inside of one, or malformed; each exactly once.
    spans = [(line, 1 + (row[0] or "").count("\n")) for row, (_, line) in zip(found.rows, found.places, strict=True)]
    for reason, _, line, payload in found.malformed:
        held = json.loads(payload)
        text = held["_line"] if "_line" in held else f"{held['a'] or ''}{held['b'] or ''}"
        spans.append((line, 1 + text.count("\n") if reason != "csv.quote" else 1))
    covered = sorted(number for line, span in spans for number in range(line, line + span))
    physical = content.split(b"\n")
    filled = [number for number, line in enumerate(physical, start=1) if line not in (b"", b"\r") and number > 1]
    assert len(covered) == len(set(covered))
    assert set(filled) <= set(covered)


def test_sound_files_take_the_fast_way(csv, monkeypatch):
    def slow(*_: object, **__: object) -> None:
        raise AssertionError("read line by line")

    monkeypatch.setattr(delimited, "read_lines", slow)
    assert len(csv('id,name,price\n1,"a,b",1\n' + FAST).rows) == 4
    with pytest.raises(AssertionError, match="read line by line"):
        csv("id,name,price\n1,a\n")
