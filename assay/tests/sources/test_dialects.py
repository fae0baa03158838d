"""CSV files as other programs write them: each difference is declared, and what stands in no row is counted by its line."""

from __future__ import annotations

import bz2
import lzma
from pathlib import Path

import pytest

from assay.errors import SourceChanged, SourceError
from assay.sources import Csv

COLUMNS = {"id": "INTEGER", "name": "VARCHAR"}


@pytest.fixture
def csv(land, tmp_path):
    def run(content: str | bytes, columns=COLUMNS, name="f.csv", **dialect):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        found = land(Csv("shop", name, **dialect), tmp_path, columns)
        return found, [line for _, line in found.places]

    return run


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    ("content", "dialect", "rows", "lines"),
    [
        ("Report\n\nid,name\n1,ann\n2,bob\n", {"skip": 2}, [(1, "ann"), (2, "bob")], [4, 5]),
        ("1,ann\n2,bob\nTotal,2\n\n", {"header": False, "skip_after": 2}, [(1, "ann"), (2, "bob")], [1, 2]),
        ("# made today\nid,name\n# half\n1,ann\n#\n2,#bob\n", {"comment": "#"}, [(1, "ann"), (2, "#bob")], [4, 6]),
        ("sep=;\nid;name\n1;ann\n", {"delimiter": ";"}, [(1, "ann")], [3]),
        ("SEP=,\r\nid,name\r\n1,ann\r\n", {}, [(1, "ann")], [3]),
        ("id,full\n,name\n1,ann\n", {"header": 2, "headers": {"full name": "name"}}, [(1, "ann")], [3]),
        ("No.,name\n1,ann\n", {"headers": {"No.": "id"}}, [(1, "ann")], [2]),
        ('id, name\n1, ann\n2,  "b, c"\n', {"blanks": True}, [(1, "ann"), (2, "b, c")], [2, 3]),
        (
            'id,name\n1,NA\nNULL,-\n3,"NA"\n',
            {"null": ("NA", "NULL", "-")},
            [(1, None), (None, None), (3, "NA")],
            [2, 3, 4],
        ),
        ('id,note,name\n1,x,ann\n2,"y,",bob\n', {"ignore": ("note",)}, [(1, "ann"), (2, "bob")], [2, 3]),
        (
            'id,name\n1,"a \\" b"\n2,"c\\\\"\n3,"d ""e"""\n',
            {"escape": "\\"},
            [(1, 'a " b'), (2, "c\\"), (3, 'd "e"')],
            [2, 3, 4],
        ),
        ('id,name\n1,"a \\"\nb"\n2,c\n', {"escape": "\\"}, [(1, 'a "\nb'), (2, "c")], [2, 4]),
        (b"id,name\r1,ann\r2,bob\r", {"line_end": "cr"}, [(1, "ann"), (2, "bob")], [2, 3]),
        ("id,name\n1,\u00e4\n".encode("utf-16"), {}, [(1, "\u00e4")], [2]),
        ("id,name\n1,\u00e4\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, [(1, "\u00e4")], [2]),
        ("id,name\r1,\u00e4\r".encode("utf-16-be"), {"encoding": "UTF_16_BE", "line_end": "cr"}, [(1, "\u00e4")], [2]),
        (bz2.compress(b"id,name\n1,ann\n"), {}, [(1, "ann")], [2]),
        (lzma.compress(b"id,name\n1,ann\n"), {}, [(1, "ann")], [2]),
    ],
)
def test_what_is_declared_is_read(csv, content, dialect, rows, lines):
    found, places = csv(content, **dialect)
    assert found.malformed == []
    assert (found.rows, places) == (rows, lines)


def test_it_is_not_read_undeclared(csv):
    for content, message in (
        ("sep=;\nid,name\n1,ann\n", "says that its delimiter is ';'"),
        (b"id,name\r1,ann\r", 'line_end="cr"'),
        ("id,name\n1,a\n".encode("utf-16-le"), "Declare its `encoding`, utf-16-le"),
    ):
        with pytest.raises(SourceError, match=message):
            csv(content)
    with pytest.raises(SourceChanged, match="unexpected column 'note'"):
        csv("id,name,note\n1,ann,x\n", ignore=("other",))
    with pytest.raises(SourceError, match="escape is one character"):
        csv("id,name\n", escape="ab")
    with pytest.raises(SourceError, match="it is declared as UTF-16-LE, which it is not"):
        csv(b"id,name\n1", encoding="utf-16-le")


def test_what_does_not_fit_keeps_its_line(csv):
    found, places = csv(
        "x\n# c\nid,skipped,name\n1,x,ann\n# c\n2,y\nz,q,bob\nend\n",
        skip=1,
        skip_after=1,
        comment="#",
        ignore=("skipped",),
    )
    assert (found.rows, places) == ([(1, "ann")], [4])
    assert found.reasons == [("csv.columns", 6), ("csv.cast", 7)]


@pytest.mark.usefixtures("both")
def test_columns_that_are_left_out_are_read_all_the_same(csv):
    """A quote that is wrong in one of them is wrong."""
    found, _ = csv('id,note,name\n1,a"b,ann\n2,c,bob\n', ignore=("note",))
    assert (found.rows, found.reasons) == ([(2, "bob")], [("csv.quote", 2)])


def test_a_name_with_the_characters_of_a_pattern(land, tmp_path: Path):
    (tmp_path / "a[1]*.csv").write_text("id,name\n1,ann\n")
    (tmp_path / "a1.csv").write_text("id,name\n2,bob\n")
    assert land(Csv("shop", "a[[]1[]][*].csv"), tmp_path, COLUMNS).rows == [(1, "ann")]
