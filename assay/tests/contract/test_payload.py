"""A row as text and back, without losing anything."""

from __future__ import annotations

import datetime as dtm
import json
import math
import struct
import uuid
from decimal import Decimal
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.contract import types
from assay.contract.contract import Contract
from tests.contract.support import load
from tests.memory import connected

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TEXT |= st.sampled_from(["", "NULL", "null", "[a, b]", "'", '"', "\\", "\n", " ", "{'a': 1}", "\\x00"])
DECIMAL = st.decimals(-(10**27), 10**27, places=10, allow_nan=False)
FLOAT = st.floats() | st.sampled_from([-0.0, math.nan, math.inf, -math.inf, 5e-324, 0.1])


def as_map(values):
    """The form in which DuckDB takes a dict as a MAP parameter, not as a STRUCT."""
    return {"key": list(values), "value": list(values.values())}


KINDS = {
    "int8": (dt.Int8, st.integers(-128, 127)),
    "int64": (dt.Int64, st.integers(-(2**63), 2**63 - 1)),
    "uint64": (dt.UInt64, st.integers(0, 2**64 - 1)),
    "float": (dt.Float64, FLOAT),
    "single": (dt.Float32, st.floats(width=32)),
    "decimal": (dt.Decimal(38, 10), DECIMAL),
    "text": (dt.String, TEXT),
    "bytes": (dt.Binary, st.binary(max_size=6)),
    "flag": (dt.Boolean, st.booleans()),
    "date": (dt.Date, st.dates()),
    "time": (dt.Time, st.times()),
    "local": (dt.Timestamp(scale=6), st.datetimes()),
    "instant": (
        dt.Timestamp(timezone="UTC", scale=6),
        st.datetimes(dtm.datetime(1, 1, 2), dtm.datetime(9999, 12, 30), timezones=st.just(dtm.UTC)),
    ),
    "uuid": (types.UUID, st.uuids()),
    "json": (types.JSON, st.sampled_from(["{}", '{"a": [1, null, "x"]}', '"text"', "1.0", "null", "[]"])),
    "list": (types.Array(dt.string), st.lists(st.none() | TEXT, max_size=3)),
    "lists": (
        types.Array(dt.Array(dt.Decimal(38, 10))),
        st.lists(st.none() | st.lists(DECIMAL, max_size=2), max_size=2),
    ),
    "struct": (
        types.Struct({"a b": dt.float64, "c'd": dt.Array(dt.binary)}),
        st.fixed_dictionaries(
            {"a b": st.none() | FLOAT, "c'd": st.none() | st.lists(st.binary(max_size=3), max_size=2)}
        ),
    ),
    "map": (
        types.Map(dt.string, dt.int64),
        st.dictionaries(TEXT, st.none() | st.integers(-9, 9), max_size=2).map(as_map),
    ),
}


def all_kinds():
    namespace = {"__annotations__": {name: kind[0] for name, kind in KINDS.items()}, "__module__": __name__}
    namespace |= {name: pa.Field(nullable=True) for name in KINDS}
    return Contract.of(type("AllKinds", (pa.DataFrameModel,), namespace))


ALL_KINDS = all_kinds()


def returned(connection, contract, rows):
    """The rows, sent through their payload and back, and the payloads."""
    load(connection, contract, rows)
    connection.execute(f"CREATE OR REPLACE TABLE sent AS SELECT {contract.payload_sql()} AS payload, _row FROM rows")
    columns = ", ".join(contract.from_payload_sql("payload"))
    connection.execute(f"CREATE OR REPLACE TABLE back AS SELECT {columns}, _row FROM sent")
    return [row[0] for row in connection.execute("SELECT payload FROM sent ORDER BY _row").fetchall()]


def bits(value):
    """Equal exactly where two values are the same to the last bit: NaN equals NaN, -0.0 is not 0.0."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return value


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(*(st.none() | values for _, values in KINDS.values())), min_size=1, max_size=3))
def test_every_value_comes_back_as_it_was(rows):
    with connected() as connection:
        payloads = returned(connection, ALL_KINDS, rows)
        stored = connection.execute("SELECT * FROM rows ORDER BY _row").fetchall()
        back = connection.execute("SELECT * FROM back ORDER BY _row").fetchall()
        types_before = connection.execute("DESCRIBE rows").fetchall()
        types_after = connection.execute("DESCRIBE back").fetchall()
    assert bits(back) == bits(stored)
    assert [row[:2] for row in types_after] == [row[:2] for row in types_before]
    for payload, row in zip(payloads, rows, strict=True):
        parsed = json.loads(payload)
        assert list(parsed) == list(KINDS)
        assert [value is None for value in parsed.values()] == [value is None for value in row]


def test_what_a_payload_looks_like(connection):
    row: list[Any] = [None] * len(KINDS)
    names = list(KINDS)
    values = {
        "decimal": Decimal("1.5"),
        "float": -0.0,
        "bytes": b"\x00a",
        "instant": dtm.datetime(2017, 1, 1, 5, tzinfo=dtm.UTC),
        "list": ["a", None],
        "uuid": uuid.UUID(int=1),
        "text": 'say "é"',
    }
    for name, value in values.items():
        row[names.index(name)] = value
    (payload,) = returned(connection, ALL_KINDS, [row])
    shown = {name: value for name, value in json.loads(payload).items() if value is not None}
    assert shown == {
        "decimal": "1.5000000000",
        "float": "-0.0",
        "bytes": "\\x00a",
        "instant": "2017-01-01 05:00:00+00",
        "list": ["a", None],
        "uuid": "00000000-0000-0000-0000-000000000001",
        "text": 'say "é"',
    }


def test_an_instant_survives_another_time_zone(connection):
    class Model(pa.DataFrameModel):
        moment: dt.Timestamp(timezone="UTC", scale=6)

    connection.execute("SET TimeZone = 'America/New_York'")
    contract = Contract.of(Model)
    returned(connection, contract, [(dtm.datetime(2017, 11, 5, 5, 30, tzinfo=dtm.UTC),)])
    connection.execute("SET TimeZone = 'UTC'")
    assert connection.execute("SELECT moment = TIMESTAMPTZ '2017-11-05 05:30:00+00' FROM back").fetchall() == [(True,)]


def test_an_instant_has_the_same_text_in_every_time_zone(connection):
    class Model(pa.DataFrameModel):
        moment: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(nullable=True)

    contract = Contract.of(Model)
    load(connection, contract, [])
    connection.execute(
        """INSERT INTO rows VALUES ('2017-11-05 05:30:00.000001+00', 0), ('infinity', 1), ('-infinity', 2), (NULL, 3),
                                   ('0044-03-15 (BC) 00:00:00+00', 4)"""
    )
    texts = []
    for zone in ("UTC", "America/New_York", "Asia/Kathmandu"):
        connection.execute(f"SET TimeZone = '{zone}'")
        texts.append(connection.execute(f"SELECT {contract.payload_sql()} FROM rows ORDER BY _row").fetchall())
    assert texts[0] == texts[1] == texts[2]
    assert [json.loads(row[0])["moment"] for row in texts[0]] == [
        "2017-11-05 05:30:00.000001+00", "infinity", "-infinity", None, "0044-03-15 (BC) 00:00:00+00",
    ]  # fmt: skip


def test_infinite_dates_survive(connection):
    class Model(pa.DataFrameModel):
        day: dt.Date
        moment: dt.Timestamp(scale=6)
        instant: dt.Timestamp(timezone="UTC", scale=6)

    contract = Contract.of(Model)
    load(connection, contract, [])
    connection.execute(
        """INSERT INTO rows VALUES ('infinity', '-infinity', 'infinity', 0),
                                   ('0044-03-15 (BC)', '290000-01-01', '0044-03-15 (BC) 00:00:00+00', 1)"""
    )
    sent = f"SELECT {contract.payload_sql()} AS payload, _row FROM rows"
    columns = ", ".join(contract.from_payload_sql("payload"))
    differences = f"SELECT * FROM rows EXCEPT SELECT {columns}, _row FROM ({sent})"
    assert connection.execute(f"SELECT count(*) FROM ({differences})").fetchall() == [(0,)]


@pytest.mark.parametrize("name", ["$", "$.a", "a.b", 'a"b', "a'b", "/", "*", "ключ", "select"])
def test_any_column_name(connection, name):
    class Model(pa.DataFrameModel):
        column: dt.Int64 = pa.Field(alias=name)

    contract = Contract.of(Model)
    (payload,) = returned(connection, contract, [(7,)])
    assert json.loads(payload) == {name: "7"}
    assert connection.execute("SELECT * FROM back").fetchall() == [(7, 0)]
