"""Types that Pandera does not understand by itself."""

from __future__ import annotations

import warnings
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pandera.errors import SchemaErrors

from assay.contract import types
from assay.contract.contract import Contract
from tests.contract.support import verdicts


class Nested(pa.DataFrameModel):
    tags: types.Array(dt.string) = pa.Field(nullable=True)
    price: types.Struct({"amount": dt.Decimal(12, 2), "parts": dt.Array(dt.int64)})
    counts: types.Map(dt.string, dt.int64) = pa.Field(nullable=True)
    raw: types.JSON = pa.Field(nullable=True)
    id: types.UUID
    moment: types.exact("timestamp(9)") = pa.Field(nullable=True)

    @pa.check("tags")
    def has_few_tags(cls, data: Any) -> Any:
        return data.table[data.key].length() < 3


def test_their_sql_types():
    assert Contract.of(Nested).duckdb_columns == {
        "tags": "VARCHAR[]",
        "price": "STRUCT(amount DECIMAL(12,2), parts BIGINT[])",
        "counts": "MAP(VARCHAR, BIGINT)",
        "raw": "JSON",
        "id": "UUID",
        "moment": "TIMESTAMP_NS",
    }


def test_rows_with_them_are_judged(connection):
    good = (["a"], {"amount": 1, "parts": [1]}, {"a": 1}, "{}", "00000000-0000-0000-0000-000000000001", None)
    crowded = (["a", "b", "c"], *good[1:])
    without_price = (None, None, *good[2:])
    found = verdicts(connection, Contract.of(Nested), [good, crowded, without_price])
    assert found == [(), ("has_few_tags",), ("price.not_null",)]


def test_a_struct_with_another_field_type_is_another_type():
    schema = dict(Contract.of(Nested).schema) | {"price": dt.Struct({"amount": dt.Decimal(12, 3)})}
    assert [problem.column for problem in Contract.of(Nested).schema_problems(schema)] == ["price"]


def test_pandera_itself_knows_them_too():
    class Tagged(pa.DataFrameModel):
        tags: types.Array(dt.string)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ibis's own deprecations while Pandera runs its queries
        Tagged.validate(ibis.memtable({"tags": [["a"]]}, schema={"tags": "array<string>"}))
        with pytest.raises(SchemaErrors):
            Tagged.validate(ibis.memtable({"tags": [1]}, schema={"tags": "int64"}), lazy=True)


def test_one_type_has_one_annotation():
    assert types.Array(dt.int8) is types.Array("int8")


def test_annotations_of_python_and_of_plain_ibis_are_enough_for_the_rest():
    class Plain(pa.DataFrameModel):
        a: int
        b: str
        c: float
        d: bool
        e: bytes
        f: dt.Date
        g: dt.Time

    assert list(Contract.of(Plain).duckdb_columns.values()) == [
        "BIGINT", "VARCHAR", "DOUBLE", "BOOLEAN", "BLOB", "DATE", "TIME",
    ]  # fmt: skip
