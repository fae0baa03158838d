from __future__ import annotations

import datetime as dtm
from decimal import Decimal

import pytest

from assay.sources.casts import normal_types, strict_cast
from assay.sql import literal, quoted


def moment(clock: str) -> dtm.datetime:
    """On the day of these tests, without a time zone, as TIMESTAMP has none."""
    return dtm.datetime.fromisoformat(f"2017-02-28T{clock}")


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("INTEGER", "12", 12),
        ("INTEGER", "-0", 0),
        ("INTEGER", "1.5", None),
        ("INTEGER", "1e3", None),
        ("INTEGER", "1_000", None),
        ("INTEGER", " 5", None),
        ("INTEGER", "", None),
        ("INTEGER", "2147483648", None),
        ("UTINYINT", "-1", None),
        ("HUGEINT", "170141183460469231731687303715884105727", 170141183460469231731687303715884105727),
        ("DECIMAL(10,2)", "1.20", Decimal("1.20")),
        ("DECIMAL(10,2)", "1.2000", Decimal("1.20")),
        ("DECIMAL(10,2)", "1.239", None),
        ("DECIMAL(10,2)", "-.5", Decimal("-0.50")),
        ("DECIMAL(10,2)", ".", None),
        ("DECIMAL(10,2)", "nan", None),
        ("DECIMAL(10,2)", "100000000.00", None),
        ("DECIMAL(4,0)", "12.0", Decimal(12)),
        ("DECIMAL(4,0)", "12.5", None),
        ("DOUBLE", "1.5e3", 1500.0),
        ("DOUBLE", "-inf", float("-inf")),
        ("DOUBLE", "Infinity", float("inf")),
        ("DOUBLE", "1e400", None),
        ("DOUBLE", "1e-400", None),
        ("FLOAT", "1e-50", None),
        ("DOUBLE", "0.0e-400", 0.0),
        ("DOUBLE", "1,5", None),
        ("DATE", "2017-02-28", dtm.date(2017, 2, 28)),
        ("DATE", "2017-02-29", None),
        ("DATE", "2017-2-8", None),
        ("DATE", "2017-02-28 10:00:00", None),
        ("TIMESTAMP", "2017-02-28 10:00:00.123456", moment("10:00:00.123456")),
        ("TIMESTAMP", "2017-02-28T10:00:00", moment("10:00")),
        ("TIMESTAMP", "2017-02-28 10:00:00.1234567", None),
        ("TIMESTAMP", "2017-02-28 10:00:00+02", None),
        ("TIMESTAMP", "2017-02-28", None),
        ("TIMESTAMP WITH TIME ZONE", "2017-02-28 10:00:00", None),
        ("BOOLEAN", "True", True),
        ("BOOLEAN", "1", None),
        ("VARCHAR", " as it is ", " as it is "),
        ("INTEGER[]", "[1, 2]", [1, 2]),
        ("INTEGER[]", "[1", None),
        ("STRUCT(a INTEGER)", '{"a": 1}', {"a": 1}),
        ("DOUBLE[]", "[NaN]", None),
        ("DOUBLE[]", "[1,]", None),
        ("JSON", "42", "42"),
        ("JSON", '"42"', '"42"'),
        ("JSON", "null", "null"),
        ("JSON", "", None),
        ("JSON", "NaN", None),
        ("JSON", "-Infinity", None),
        ("JSON", '{"a": [1, nan]}', None),
        ("JSON", '{"a": 1, }', None),
        ("JSON", r'{"nan": "Infinity \" ,]"}', r'{"nan": "Infinity \" ,]"}'),
    ],
)
def test_a_text_is_a_value_only_if_nothing_is_lost(connection, kind, text, expected):
    found = connection.execute(f"SELECT {strict_cast('t', kind)} FROM (SELECT ?::VARCHAR AS t)", [text]).fetchone()
    assert found == (expected,)


def test_not_a_number_is_a_value_for_the_contract_to_judge(connection):
    found = connection.execute(f"SELECT isnan({strict_cast('t', 'DOUBLE')}) FROM (SELECT 'NaN' AS t)").fetchone()
    assert found == (True,)


@pytest.mark.parametrize("text", ["2017-02-28 10:00:00+02", "2017-02-28T08:00:00Z", "2017-02-28 03:00:00-05:00"])
def test_an_instant_is_the_same_in_every_zone(connection, text):
    cast = strict_cast("t", "TIMESTAMP WITH TIME ZONE")
    found = connection.execute(f"SELECT epoch({cast}) FROM (SELECT ?::VARCHAR AS t)", [text]).fetchone()
    assert found == (dtm.datetime(2017, 2, 28, 8, tzinfo=dtm.UTC).timestamp(),)


def test_null_stays_null(connection):
    casts = ", ".join(strict_cast("t", kind) for kind in ("INTEGER", "DECIMAL(4,2)", "DOUBLE", "DATE", "VARCHAR"))
    assert connection.execute(f"SELECT {casts} FROM (SELECT NULL::VARCHAR AS t)").fetchone() == (None,) * 5


def test_types_are_spelt_as_duckdb_spells_them(connection):
    columns = {"a": "INT8", "b": "timestamptz", "c": "decimal(4,2)", "d": "text"}
    assert list(normal_types(connection, columns).values()) == [
        "BIGINT",
        "TIMESTAMP WITH TIME ZONE",
        "DECIMAL(4,2)",
        "VARCHAR",
    ]
    assert normal_types(connection, {}) == {}


def test_names_and_texts_are_quoted(connection):
    assert connection.execute(f"SELECT {literal(chr(39) + 'x')} AS {quoted('a' + chr(34))}").fetchall() == [("'x",)]
