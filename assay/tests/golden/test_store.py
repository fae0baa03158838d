"""Golden files: lossless, readable in a diff, and strict about what they hold."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compare.engine import compare
from assay.compare.model import SqlColumn, Tolerance
from assay.errors import GoldenError
from assay.golden import store
from assay.golden.rows import CaseRows, load, read_csv, read_ndjson, text_sql
from assay.golden.store import Schema

SCHEMA = Schema((SqlColumn("id", "BIGINT", nullable=False), SqlColumn("note", "VARCHAR", nullable=True)), ("id",))

TYPED = {
    "BOOLEAN": "true",
    "TINYINT": "-128",
    "HUGEINT": "-170141183460469231731687303715884105728",
    "UBIGINT": "18446744073709551615",
    "FLOAT": "0.1",
    "DOUBLE": "5e-324",
    "DECIMAL(38,10)": "1234567890123456789012345678.0123456789",
    "DATE": "0044-03-15 (BC)",
    "TIME": "24:00:00",
    "TIMESTAMP": "infinity",
    "TIMESTAMP_NS": "2017-01-01 00:00:00.123456789",
    "TIMESTAMP WITH TIME ZONE": "2017-11-05 05:30:00.000001+00",
    "TIME WITH TIME ZONE": "12:00:00.5+05:30",
    "INTERVAL": "1 year 2 months -3 days 00:00:04.5",
    "UUID": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "BLOB": "\\x00\\xFFab\\x5C",
    "BIT": "0101",
    "VARCHAR": "a\x00\r\n\t\u2028\u202e\U0001f600 'é e\u0301",
    "ENUM('a', 'b c')": "b c",
    "JSON": '{"b":[1.10,null],"a":""}',
    "VARCHAR[]": "['a, b', 'NULL', NULL, '', [x]]",
    "DOUBLE[]": "[nan, -inf, -0.0, NULL]",
    "INTEGER[3]": "[1, 2, NULL]",
    "STRUCT(a VARCHAR, b INTEGER[])": "{'a': 'x, y', 'b': [1, NULL]}",
    "MAP(VARCHAR, INTEGER)": "{a=1, 'b=c'=NULL}",
}


@pytest.mark.parametrize("type_", TYPED)
def test_every_type_survives_a_golden_file(tmp_path: Path, type_: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE t AS SELECT CAST($1 AS {type_}) AS x UNION ALL SELECT NULL", [TYPED[type_]])
        rows = connection.execute("SELECT CAST(x AS VARCHAR) FROM t ORDER BY x").fetchall()
        schema = Schema((SqlColumn("x", type_, nullable=True),))
        store.write_golden(tmp_path, "t", schema, rows)
        golden = store.read_golden(tmp_path, "t", schema)
        assert golden is not None
        assert golden.schema == schema
        again = load(connection, golden.rows, golden.schema.stored_types, "again")
        assert compare(connection, "FROM t", f"FROM {again}").equal


NAUGHTY = [
    "]",
    "}",
    "[",
    "{",
    "a]b",
    "x}y",
    '"',
    "'",
    "\\",
    ",",
    ", ",
    "=",
    "a\r\nb",
    "\n",
    "null",
    "NULL",
    "",
    " ",
    "é",
    "\u202e",
    None,
]
DEEP = {
    "VARCHAR[][]": [NAUGHTY, None, []],
    "VARCHAR[2][]": [("]", "}"), (None, "")],
    'STRUCT(a VARCHAR[], "b c" VARCHAR)': {"a": NAUGHTY, "b c": "}"},
    "STRUCT(a STRUCT(b VARCHAR))[]": [{"a": {"b": text}} for text in NAUGHTY],
    "MAP(VARCHAR, VARCHAR[])": {"]": ["}"], "=": NAUGHTY},
    "STRUCT(a DECIMAL(38,10)[], b DOUBLE[], c TIMESTAMP WITH TIME ZONE[])[]": [
        {"a": ["1234567890123456789012345678.0123456789"], "b": ["nan", "-0.0"], "c": ["2017-11-05 05:30:00.1+00"]}
    ],
}


@pytest.mark.parametrize("type_", DEEP)
def test_any_text_survives_in_lists_structs_and_maps_within_each_other(tmp_path: Path, type_: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE t AS SELECT CAST($1 AS {type_}) AS x UNION ALL SELECT NULL", [DEEP[type_]])
        rows = connection.execute(f"SELECT {text_sql('x', type_)} FROM t").fetchall()
        schema = Schema((SqlColumn("x", type_, nullable=True),))
        store.write_golden(tmp_path, "t", schema, rows)
        golden = store.read_golden(tmp_path, "t", schema)
        assert golden is not None
        assert list(golden.rows.rows) == rows
        again = load(connection, golden.rows, golden.schema.stored_types, "again")
        assert compare(connection, "FROM t", f"FROM {again}").equal


def test_deep_values_as_duckdb_writes_them_are_read_as_before(tmp_path: Path) -> None:
    written = {
        "INTEGER[][]": "[[1, 2], NULL]",
        "STRUCT(a VARCHAR[])": "{'a': ['b c', 'NULL', NULL]}",
        "DOUBLE[][]": "[[1e5]]",
    }
    for type_, text in written.items():
        with duckdb.connect() as connection:
            rows = CaseRows(tmp_path / "t.csv", ("x",), ((text,),), (1,))
            again = load(connection, rows, {"x": type_}, "again")
            assert connection.execute(
                f"SELECT x IS NOT DISTINCT FROM CAST($1 AS {type_}) FROM {again}", [text]
            ).fetchall() == [(True,)]


def test_a_deep_value_of_another_shape_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_text('{"x": [["a"]]}\n{"x": {"a": "]"}}\n')
    with (
        duckdb.connect() as connection,
        pytest.raises(GoldenError, match=r"t\.ndjson:2: .* in column 'x' is no VARCHAR"),
    ):
        load(connection, read_ndjson(path), {"x": "VARCHAR[][]"}, "rows")


def test_line_breaks_within_values_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,note\r\n1,"x\r\ny"\r\n2,"a\rb\n\nc"\r\n')
    assert read_csv(path).rows == (("1", "x\r\ny"), ("2", "a\rb\n\nc"))


TEXT = st.characters(exclude_categories=["Cs"])
"""All that UTF-8 has; Hypothesis would find that out by encoding each."""


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(st.integers().map(str), st.none() | st.text(TEXT)), max_size=5))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str | None]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    store.write_golden(folder, "t", SCHEMA, rows)
    golden = store.read_golden(folder, "t", SCHEMA)
    assert golden is not None
    assert list(golden.rows.rows) == rows


def test_what_is_invisible_is_escaped_in_the_file() -> None:
    line = store.rows_text(SCHEMA, [("1", "\u200b\u00a0e\u0301\U000e0001é")])
    assert "\\u200b\\u00a0e\\u0301\\udb40\\udc01é" in line
    assert json.loads(line)["note"] == "\u200b\u00a0e\u0301\U000e0001é"


def test_the_schema_file_says_everything_but_the_rows(tmp_path: Path) -> None:
    schema = Schema(
        (
            SqlColumn("id", "BIGINT", nullable=False),
            SqlColumn("score", "DOUBLE", nullable=True),
            SqlColumn("run", "VARCHAR", True),
        ),
        ("id",),
        {"score": Tolerance(abs=1e-9)},
        ("run",),
    )
    store.write_golden(tmp_path, "t", schema, [("1", "0.5", "a")])
    assert (tmp_path / "t.schema.yml").read_text() == (
        "# Written by `pipeline golden accept`; tolerance and volatile are yours to edit.\n"
        "columns:\n  id: BIGINT NOT NULL\n  score: DOUBLE\n  run: VARCHAR\n"
        "key: [id]\ntolerance:\n  score: {abs: 1.0e-09}\nvolatile: [run]\nrows: 1\n"
        f"content_hash: {store.content_hash([('1', '0.5', 'a')])}\n"
    )
    golden = store.read_golden(tmp_path, "t", SCHEMA)
    assert golden is not None
    assert golden.schema == schema


def test_the_content_hash_does_not_depend_on_order() -> None:
    assert store.content_hash([("1", None), ("2", "a")]) == store.content_hash([("2", "a"), ("1", None)])
    assert store.content_hash([("1", None)]) != store.content_hash([("1", "")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "1", "note": "a"}\n{"id": "2"\n', "t.ndjson:2: ends in the middle"),
        ('{"id": "1", "note": "a"} x\n', "t.ndjson:1: has trailing garbage"),
        ('{"id": "1", "id": "2", "note": null}\n', "t.ndjson:1: has the key 'id' twice"),
        ('{"id": "1", "note": "a"}\n\n["1"]\n', "t.ndjson:3: is no JSON object"),
        ('{"id": "1"}\n', "t.ndjson:1: column 'note' is missing. Columns: id, note."),
        ('{"id": "1", "note": "a", "x": "b"}\n', "t.ndjson:1: column 'x' is unknown"),
        ('{"id": "1", "note": "a}\n', "t.ndjson:1: ends in the middle"),
        (b'{"id": "1", "note": "\xff"}\n', "t.ndjson:1: is no UTF-8 text"),
        ("<<<<<<< HEAD\n", "t.ndjson:1: is no JSON"),
        ('{"id": "1", "note": "a"}\n' * 501, "t.ndjson: has 501 rows; a golden holds at most 500 rows and 256 KB"),
        ('{"id": "1", "note": "' + "a" * 300_000 + '"}\n', "bytes; a golden holds at most 500 rows and 256 KB"),
    ],
)
def test_malformed_rows_name_file_and_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    (tmp_path / "t.ndjson").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GoldenError) as caught:
        store.read_golden(tmp_path, "t", SCHEMA)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("colums: {}\n", "t.schema.yml:1: unknown key 'colums'. Did you mean 'columns'?"),
        ("key: [id]\n", "t.schema.yml: 'columns' is missing"),
        ("columns: {id: 1}\n", "t.schema.yml:1: column 'id' has no type"),
        ("columns: {id: BIGINT}\nkey: [di]\n", "t.schema.yml:2: no column 'di'. Columns: id."),
        ("columns: {id: BIGINT}\nvolatile: [x]\n", "t.schema.yml:2: no column 'x'"),
        (
            "columns: {id: BIGINT}\ntolerance: {id: {abs: 1}}\n",
            "t.schema.yml:2: no tolerance is allowed on id (BIGINT)",
        ),
        ('columns: {id: "DECIMAL(4,2)"}\ntolerance: {id: {abs: 1}}\n', "no tolerance is allowed on id (DECIMAL(4,2))"),
        ("columns: {id: DOUBLE}\nkey: [id]\ntolerance: {id: {abs: 1}}\n", "no tolerance is allowed on id"),
        (
            "columns: {id: DOUBLE}\ntolerance: {id: {abs: -1}}\n",
            "t.schema.yml:2: tolerance abs=-1.0 is not a number of 0",
        ),
        ("columns: {id: DOUBLE}\ntolerance: {id: {abs: much}}\n", "the tolerance of 'id' is no number"),
        ("columns: {id: DOUBLE}\ntolerance: {id: 1}\n", "the tolerance of 'id' is no {abs: ..., rel: ...}"),
        ("columns: {id: DOUBLE}\ntolerance: {id: {absolute: 1}}\n", "the tolerance of 'id' is no {abs: ..., rel: ...}"),
        ("columns: {id: BIGINT, note: VARCHAR}\nrows: 2\n", "t.schema.yml:2: says 2 rows, t.ndjson has 1"),
        ("columns: {id: BIGINT, note: VARCHAR}\ncontent_hash: abc\n", "t.schema.yml:2: t.ndjson was changed since"),
    ],
)
def test_malformed_schemas_name_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.ndjson").write_text('{"id": "1", "note": "a"}\n')
    (tmp_path / "t.schema.yml").write_text(content)
    with pytest.raises(GoldenError) as caught:
        store.read_golden(tmp_path, "t", SCHEMA)
    assert message in str(caught.value)


def test_a_schema_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.schema.yml").write_text("columns: {id: BIGINT}\n")
    with pytest.raises(GoldenError, match="has no rows beside it"):
        store.read_golden(tmp_path, "t", SCHEMA)


def test_hand_written_rows_need_no_schema_file(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_text('{"note": null, "id": 1}\n')
    golden = store.read_golden(tmp_path, "t", SCHEMA)
    assert golden is not None
    assert (golden.pinned, golden.rows.rows) == (False, (("1", None),))


def test_a_value_of_the_wrong_type_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_text('{"id": "1", "note": "a"}\n\n{"id": "1.5x", "note": "b"}\n')
    with (
        duckdb.connect() as connection,
        pytest.raises(GoldenError, match=r"t\.ndjson:3: '1\.5x' in column 'id' is no BIGINT"),
    ):
        load(connection, read_ndjson(path), SCHEMA.stored_types, "rows")


def test_loading_nothing_makes_an_empty_typed_table() -> None:
    with duckdb.connect() as connection:
        table = load(connection, CaseRows(Path("none"), (), (), ()), {"id": "BIGINT"}, "none")
        assert connection.execute(f"DESCRIBE {table}").fetchall()[0][:2] == ("id", "BIGINT")
