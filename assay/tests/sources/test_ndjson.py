from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pytest

from assay.errors import SourceError
from assay.sources import text
from assay.sources.ndjson import Ndjson

COLUMNS = {"id": "INTEGER", "name": "VARCHAR", "price": "DECIMAL(38,10)", "tags": "VARCHAR[]"}
ROW = '{"id": 1, "name": "nail", "price": 12345678901234567890.1234567890, "tags": ["a", "b"]}'


@pytest.fixture
def ndjson(land, tmp_path):
    def run(content: str | bytes, name="f.ndjson"):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return land(Ndjson("shop", name), tmp_path, COLUMNS)

    return run


def test_values_are_kept_as_they_were_written(ndjson):
    found = ndjson(ROW + "\n\n" + '{"price": "1e2", "id": null, "tags": null, "name": "1.0"}\n')
    assert found.rows[0] == (1, "nail", Decimal("12345678901234567890.1234567890"), ["a", "b"])
    assert [line for _, line in found.places] == [1]
    assert found.reasons == [("ndjson.cast", 3)]  # a text with an exponent is no decimal; the number 1e2 is


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_compressed(ndjson, compress):
    name = "f.ndjson.gz" if compress is gzip.compress else "f.ndjson.zst"
    content = compress((ROW + "\n").encode() * 100)
    assert len(ndjson(content, name).rows) == 100
    with pytest.raises(SourceError, match="truncated or damaged"):
        ndjson(content[:-6], name)


@pytest.mark.parametrize(
    ("line", "reason", "error"),
    [
        ('{"id": 1', "json", "ends in the middle"),
        (ROW + "}", "json", "has trailing garbage after the document"),
        ('{"id": 1, "id": 2}', "json", "has the key 'id' twice in one object"),
        ('{"id": 1, "name": "a", "tags": []}', "fields", "missing field 'price'"),
        (ROW[:-1] + ', "colour": 1}', "fields", "unexpected field 'colour'"),
        ("[1]", "fields", "is no JSON object"),
        (ROW.replace('"nail"', "5"), "cast", "name is no VARCHAR"),
        (ROW.replace('"id": 1', '"id": [1]'), "cast", "id is no INTEGER"),
        (ROW.replace('"id": 1', '"id": 1.0'), "cast", "id is no INTEGER"),
        (ROW.replace('"id": 1', '"id": true'), "cast", "id is no INTEGER"),
        (ROW.replace('["a", "b"]', '"a"'), "cast", "tags is no VARCHAR[]"),
    ],
)
def test_a_malformed_line_is_kept_with_its_reason(ndjson, line, reason, error):
    found = ndjson(f"{ROW}\n{line}\n{ROW}\n")
    assert len(found.rows) == 2
    assert found.reasons == [(f"ndjson.{reason}", 2)]
    assert error in json.loads(found.malformed[0][3])["_error"]


def test_latin_1_bytes(ndjson):
    found = ndjson(f"{ROW}\n".encode() + ROW.replace("nail", "café").encode("latin-1"))
    assert found.reasons == [("ndjson.encoding", 2)]
    assert "caf\\xe9" in json.loads(found.malformed[0][3])["_line"]


def test_changed_columns_are_refused_at_the_first_object(ndjson):
    with pytest.raises(SourceError, match=r"f\.ndjson, line 2: expected column 'name', found 'title' \(renamed\?\)"):
        ndjson("nonsense\n" + ROW.replace("name", "title"))


def test_a_line_without_an_end(ndjson, monkeypatch):
    monkeypatch.setattr(text, "LONGEST", 100)
    with pytest.raises(SourceError, match="line 2 is longer than 100 bytes"):
        ndjson(f"{ROW}\n{ROW * 2}\n")


def test_a_field_may_be_optional(land, tmp_path):
    (tmp_path / "f.ndjson").write_text('{"id": 1}\n{"id": 2, "name": null}\n{"name": "x"}\n{"id": 3, "colour": 1}\n')
    found = land(Ndjson("shop", "f.ndjson", optional=("name",)), tmp_path, {"id": "INTEGER", "name": "VARCHAR"})
    assert found.rows == [(1, None), (2, None)]
    assert found.reasons == [("ndjson.fields", 3), ("ndjson.fields", 4)]


VALUES = ['"42"', "42", "true", '"{}"', '{"a": [1.50, "x"]}', "[]", '"a b"', '""', "1e999", '"2026-01-01"']


def test_a_json_column_keeps_the_value_as_it_is(land, tmp_path):
    lines = [f'{{"value": {value}}}' for value in [*VALUES, "null"]]
    (tmp_path / "f.ndjson").write_text("\n".join(lines))
    found = land(Ndjson("shop", "f.ndjson"), tmp_path, {"value": "JSON"})
    assert [value for (value,) in found.rows] == [*VALUES, None]
    assert not found.malformed


def test_json_within_strings_is_asked_for(land, tmp_path):
    texts = [json.dumps(value) for value in ["42", '{"a": 1}', "x", "NaN"]]
    (tmp_path / "f.ndjson").write_text("".join(f'{{"value": {text}}}\n' for text in [*texts, "7"]))
    found = land(Ndjson("shop", "f.ndjson", json_in_strings=("value",)), tmp_path, {"value": "JSON"})
    assert found.rows == [("42",), ('{"a": 1}',), ("7",)]
    assert found.reasons == [("ndjson.cast", 3), ("ndjson.cast", 4)]
