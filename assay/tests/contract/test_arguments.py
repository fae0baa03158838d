"""What a rule compares with, in the column's own type: judged by exact arithmetic, for random types, rules and bounds."""

from __future__ import annotations

import datetime as dtm
import math
import operator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.contract.contract import Contract
from assay.errors import ContractError
from tests.contract.support import label, verdicts
from tests.memory import connected

OPERATORS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
BIG = [2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30, Decimal("1E+20"), Decimal("1E+400"), 1e300]
BOUNDS = (
    st.integers(-5, 5)
    | st.decimals(-5, 5, places=7)
    | st.floats(-5, 5)
    | st.sampled_from([*BIG, math.inf, -math.inf, Decimal("0.0004"), 0.1])
)
COLUMNS: dict[str, tuple[Any, list[Any]]] = {
    "tiny": (dt.Int8, [-128, -1, 0, 1, 127]),
    "integer": (dt.Int64, [-(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1]),
    "cents": (
        dt.Decimal(12, 2),
        [Decimal("-9999999999.99"), Decimal("0.10"), Decimal("0.00"), Decimal("9999999999.99")],
    ),
    "millionths": (dt.Decimal(18, 6), [Decimal("0.000001"), Decimal("0.000400"), Decimal("0.000401"), Decimal("-1")]),
    "wide": (dt.Decimal(38, 0), [Decimal(10**37), Decimal(10**20), Decimal(0), Decimal(2**63)]),
    "double": (dt.Float64, [-1.5, 0.0, 0.1, 2.0**53, 2.0**53 + 2, 1e300]),
}


def contract(dtype: Any, **rule: Any) -> Contract:
    return Contract.of(
        type("Model", (pa.DataFrameModel,), {"__annotations__": {"x": dtype}, "x": pa.Field(nullable=True, **rule)})
    )


def exact(value: Any) -> Any:
    """A number as it is written; infinities stay what they are."""
    if isinstance(value, float):
        return value if math.isinf(value) else Fraction(Decimal(repr(value)))
    return Fraction(value) if abs(value) < Decimal("1E+300") else math.inf if value > 0 else -math.inf


def held(contract: Contract, rows: list[Any]) -> list[bool]:
    with connected() as connection:
        return [not codes for codes in verdicts(connection, contract, [(row,) for row in rows])]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(COLUMNS)), st.sampled_from(sorted(OPERATORS)), BOUNDS)
def test_a_bound_decides_as_exact_numbers_do(column: str, rule: str, bound: Any) -> None:
    dtype, rows = COLUMNS[column]
    if column == "double" and isinstance(bound, Decimal):
        bound = float(bound)  # written with a point, it means the nearest double
    expected = [OPERATORS[rule](exact(row), exact(bound)) for row in rows]
    assert held(contract(dtype, **{rule: bound}), rows) == expected, (column, rule, bound)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(set(COLUMNS) - {"double"})), st.lists(BOUNDS, max_size=4), st.booleans())
def test_lists_decide_as_exact_numbers_do(column: str, bounds: list[Any], wanted: bool) -> None:
    dtype, rows = COLUMNS[column]
    expected = [(exact(row) in [exact(bound) for bound in bounds]) is wanted for row in rows]
    assert held(contract(dtype, **{"isin" if wanted else "notin": bounds}), rows) == expected, (column, bounds)


def test_a_decimal_bound_is_not_rounded() -> None:
    found = held(contract(dt.Decimal(18, 6), gt=Decimal("0.0004")), [Decimal("0.000001"), Decimal("0.000401")])
    assert found == [False, True]


def test_single_precision_is_compared_as_such() -> None:
    assert held(contract(dt.Float32, eq=0.1), [0.1, 0.2]) == [True, False]
    assert held(contract(dt.Float32, le=1e300), [3e38, math.inf]) == [True, False]


NOON = dtm.datetime(2026, 3, 1, 12, tzinfo=dtm.UTC)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"gt": NOON.replace(tzinfo=None)}, [False, True]),
        ({"le": NOON.replace(tzinfo=None)}, [True, False]),
        ({"ge": NOON.replace(tzinfo=None)}, [False, True]),
        ({"isin": [NOON.replace(tzinfo=None)]}, [False, False]),
        ({"ge": "2026-03-02"}, [False, True]),
    ],
)
def test_dates_beside_moments(rule: Any, expected: list[bool]) -> None:
    assert held(contract(dt.Date, **rule), [dtm.date(2026, 3, 1), dtm.date(2026, 3, 2)]) == expected


@pytest.mark.parametrize(
    ("dtype", "rule", "told"),
    [
        (
            dt.Int64,
            {"isin": ["1"]},
            "the rule 'in 1' compares with '1', which is no number, and the column holds numbers",
        ),
        (dt.Int64, {"isin": [True]}, "compares with True, which is no number"),
        (dt.Float64, {"gt": math.nan}, "compares with NaN, which is no number"),
        (dt.Decimal(9, 2), {"notin": [Decimal("NaN"), "x"]}, "compares with 'x', which is no number"),
        (dt.Boolean, {"isin": [1]}, "compares with 1, which is neither true nor false"),
        (dt.String, {"isin": ["a", 1]}, "compares with 1, which is no text"),
        (dt.String, {"notin": ["a\0b"]}, "NUL"),
        (dt.String, {"str_startswith": "\ud800"}, "half a surrogate pair"),
        (dt.String, {"str_endswith": 5}, "str_endswith"),
        (dt.Int64, {"str_length": {"min_value": 1, "max_value": 2}}, "needs text"),
        (dt.Date, {"ge": NOON}, "an instant, whose day"),
        (dt.Date, {"ge": "soon"}, "'soon', which is no date"),
        (dt.Timestamp(scale=6), {"ge": NOON}, "which has a zone"),
        (dt.Timestamp(timezone="UTC", scale=6), {"ge": NOON.replace(tzinfo=None)}, "which has no zone"),
        (dt.Timestamp(scale=6), {"in_range": {"min_value": dtm.date(2026, 1, 1), "max_value": NOON.date()}}, None),
    ],
)
def test_what_no_value_can_be_compared_with_is_refused_at_load(dtype: Any, rule: Any, told: str | None) -> None:
    if told is None:
        contract(dtype, **rule)
        return
    with pytest.raises(ContractError) as raised:
        contract(dtype, **rule)
    line = str(raised.value)
    assert "Model.x, check '" in line
    assert told in line.replace("endswith", "str_endswith")
    assert "\n" not in line


INSTANTS = {
    0: ["1969-12-31 23:59:59", "1970-01-01 00:00:00", "9999-12-31 23:59:59", "0001-01-01 00:00:00"],
    3: ["1969-12-31 23:59:59.999", "2020-01-01 00:00:00", "2020-01-01 00:00:00.001"],
    6: ["2020-01-01 00:00:00", "2020-01-01 00:00:00.000001"],
    9: ["1677-09-22 00:00:00", "2020-01-01 00:00:00.000000001", "2262-04-11 23:47:16.8547758"],
}
WHEN = [
    dtm.datetime(1, 1, 1),
    dtm.datetime(1600, 1, 1),
    dtm.datetime(1969, 12, 31, 23, 59, 59, 999_500),
    dtm.datetime(2020, 1, 1),
    dtm.datetime(2020, 1, 1, 0, 0, 0, 1),
    dtm.datetime(2262, 4, 11, 23, 47, 16, 854_775),
    dtm.datetime(9999, 12, 31, 23, 59, 59, 999_999),
]


def nanoseconds(text: str) -> int:
    whole, _, rest = text.partition(".")
    since = dtm.datetime.fromisoformat(whole) - dtm.datetime(1970, 1, 1)
    return (since.days * 86_400 + since.seconds) * 10**9 + int(rest.ljust(9, "0") or 0)


@pytest.mark.slow
@pytest.mark.parametrize("scale", INSTANTS)
@pytest.mark.parametrize("bound", WHEN, ids=str)
def test_timestamps_of_every_precision_are_compared_without_loss(scale: int, bound: dtm.datetime) -> None:
    """A bound before or after the type's range holds or does not; the engine itself would refuse to compare."""
    at = nanoseconds(bound.isoformat(" "))
    for name, compare in OPERATORS.items():
        found = contract(dt.Timestamp(scale=scale), **{name: bound})
        kind = found.duckdb_columns["x"]
        with connected() as connection:
            connection.execute(f"CREATE TABLE rows (x {kind}, _row BIGINT)")
            for number, text in enumerate(INSTANTS[scale]):
                connection.execute(f"INSERT INTO rows VALUES ('{text}'::{kind}, {number})")
            label(connection, found)
            masks = connection.execute(f"SELECT {', '.join(found.mask_columns)} FROM labelled ORDER BY _row").fetchall()
        held = [not found.codes(mask) for mask in masks]
        assert held == [compare(nanoseconds(text), at) for text in INSTANTS[scale]], name


@pytest.mark.parametrize(
    ("dtype", "rule", "message"),
    [
        (dt.String, {"str_contains": b"x"}, "its pattern is one of bytes"),
        (dt.Decimal(99, 2), {"ge": 1}, "DuckDB has no type decimal"),
        (dt.Interval("s"), {"gt": 1}, "needs numbers"),
        (dt.Int64, {"alias": ""}, "is no name for a column"),
        (dt.Int64, {"alias": "a\0b"}, "is no name for a column"),
    ],
)
def test_what_cannot_be_in_the_database_is_refused_when_the_code_loads(
    dtype: Any, rule: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        contract(dtype, **rule)
