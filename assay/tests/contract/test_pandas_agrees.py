"""Row by row and rule by rule, our verdict is that of Pandera's pandas backend, for random models and frames.

Left out is only what the pandas backend itself does not decide soundly, or decides by another language:

- `ignore_na=False` on nullable integers and strings (`NA > 0` is NA there, and NA counts as passed or raises),
  and with `ne` and `notin` (`NaN != 0` is true in floating-point arithmetic, so a missing value would pass);
- what Python's `re` and RE2 read differently: `$` at a line break.
"""

from __future__ import annotations

import datetime as dtm
import math
import re
from decimal import Decimal
from typing import Any

import ibis.expr.datatypes as dt
import pandas as pd
import pandera.ibis as pai
import pandera.pandas as pap
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from assay.contract.contract import Contract
from tests.contract.support import verdicts
from tests.memory import connected

INTS = st.integers(-4, 4) | st.sampled_from([2**62, -(2**62)])
FLOATS = st.sampled_from([-2.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, math.inf, -math.inf, math.nan, 1e300])
TEXTS = st.text(alphabet="abAB1é\U0001f926 ", max_size=4)
DECIMALS = st.decimals(min_value=-3, max_value=3, places=2, allow_nan=False)
MOMENTS = st.datetimes(dtm.datetime(2016, 12, 30), dtm.datetime(2017, 1, 3)) | st.just(dtm.datetime(2017, 1, 1))
PATTERNS: list[Any] = ["a", "a|b", "^a", "^a|b", "[ab]+$", "(?i)A", "", "b$|^1", re.compile("A", re.IGNORECASE), "é"]


def comparisons(values: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    ends = st.tuples(values, values, st.booleans(), st.booleans()).map(
        lambda drawn: {
            "min_value": min(drawn[:2]),
            "max_value": max(drawn[:2]),
            "include_min": drawn[2] or drawn[0] == drawn[1],  # Pandera refuses an empty interval
            "include_max": drawn[3] or drawn[0] == drawn[1],
        }
    )
    return {
        "eq": values,
        "ne": values,
        "gt": values,
        "ge": values,
        "lt": values,
        "le": values,
        "in_range": ends,
        "isin": st.lists(values | st.none(), min_size=1, max_size=4),
        "notin": st.lists(values | st.none(), min_size=1, max_size=4),
    }


LENGTHS = st.tuples(st.integers(0, 2), st.integers(2, 4)).map(lambda ends: {"min_value": ends[0], "max_value": ends[1]})
KINDS: dict[str, tuple[Any, Any, st.SearchStrategy[Any], dict[str, st.SearchStrategy[Any]]]] = {
    "integer": (dt.Int64, "Int64", INTS, comparisons(st.integers(-3, 3))),
    "float": (dt.Float64, "float64", FLOATS, comparisons(st.sampled_from([-1.0, 0.0, 0.5, 2.0, math.inf]))),
    "decimal": (dt.Decimal(12, 2), None, DECIMALS, comparisons(DECIMALS)),
    "moment": (dt.Timestamp(scale=6), "datetime64[us]", MOMENTS, comparisons(MOMENTS)),
    "flag": (dt.Boolean, "boolean", st.booleans(), {"eq": st.booleans(), "ne": st.booleans()}),
    "text": (
        dt.String,
        None,
        TEXTS,
        {
            **comparisons(TEXTS),
            "str_matches": st.sampled_from(PATTERNS),
            "str_contains": st.sampled_from(PATTERNS),
            "str_startswith": TEXTS,
            "str_endswith": TEXTS,
            "str_length": LENGTHS | st.integers(0, 3).map(lambda length: {"exact_value": length}),
        },
    ),
}
ON_MISSING = ("gt", "ge", "lt", "le", "eq", "in_range", "isin")
"""Checks whose verdict on a missing float is sound with `ignore_na=False`."""


@st.composite
def fields(draw: st.DrawFn) -> tuple[str, bool, dict[str, Any], bool]:
    """Kind, nullable, check arguments, ignore_na."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    checks = KINDS[kind][3]
    names = draw(st.lists(st.sampled_from(sorted(checks)), unique=True, max_size=4))
    arguments = {name: draw(checks[name]) for name in names}
    ignore_na = not (kind == "float" and all(name in ON_MISSING for name in names) and draw(st.booleans()))
    return kind, draw(st.booleans()), arguments, ignore_na


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[tuple[str, bool, dict[str, Any], bool]], list[tuple[Any, ...]]]:
    drawn = draw(st.lists(fields(), min_size=1, max_size=4))
    row = st.tuples(*(st.none() | KINDS[kind][2] for kind, *_ in drawn))
    return drawn, draw(st.lists(row, max_size=8))


def ibis_model(drawn: list[tuple[str, bool, dict[str, Any], bool]]) -> type[pai.DataFrameModel]:
    namespace: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for number, (kind, nullable, arguments, ignore_na) in enumerate(drawn):
        namespace["__annotations__"][f"c{number}"] = KINDS[kind][0]
        namespace[f"c{number}"] = pai.Field(nullable=nullable, ignore_na=ignore_na, **arguments)
    return type("Drawn", (pai.DataFrameModel,), namespace)


def pandas_verdicts(
    model: type[pai.DataFrameModel],
    drawn: list[tuple[str, bool, dict[str, Any], bool]],
    rows: list[tuple[Any, ...]],
) -> list[set[tuple[str, int | None]]]:
    """Per row the pairs (column, number of the check in its column; None for not-null) that Pandera reports."""
    columns, data = {}, {}
    for number, (kind, nullable, _, _) in enumerate(drawn):
        name, dtype = f"c{number}", KINDS[kind][1]
        data[name] = pd.Series([row[number] for row in rows], dtype=dtype or object)
        columns[name] = pap.Column(None, checks=model.to_schema().columns[name].checks, nullable=nullable)
    found: list[set[tuple[str, int | None]]] = [set() for _ in rows]
    try:
        pap.DataFrameSchema(columns).validate(pd.DataFrame(data), lazy=True)
    except SchemaErrors as errors:
        for case in errors.failure_cases.to_dict("records"):
            assert case["index"] is not None, case
            check = None if case["check"] == "not_nullable" else int(case["check_number"])
            found[int(case["index"])].add((case["column"], check))
    return found


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a frame takes minutes; the case says enough
)
@given(case=cases())
def test_every_rule_decides_as_pandas_does(case):
    drawn, rows = case
    model = ibis_model(drawn)
    contract = Contract.of(model)
    numbers: dict[str, tuple[str, int | None]] = {}
    for column in model.to_schema().columns.values():
        own = [rule.code for rule in contract.row_rules if rule.column == column.name]
        offset = 0 if column.nullable else 1
        numbers |= {code: (column.name, index - offset if index >= offset else None) for index, code in enumerate(own)}
    expected = pandas_verdicts(model, drawn, rows)

    with connected() as connection:
        found = verdicts(connection, contract, rows)

    event("some row is broken" if any(expected) else "no row is broken")
    assert [{numbers[code] for code in codes} for codes in found] == expected


def test_a_row_rule_decides_as_pandas_does_where_nothing_is_missing():
    class Ours(pai.DataFrameModel):
        low: dt.Int64
        high: dt.Int64

        @pai.dataframe_check()
        def low_is_not_above_high(cls, data: Any) -> Any:
            return data.table.low <= data.table.high

    rows = [(1, 2), (2, 2), (3, 2)]
    schema = pap.DataFrameSchema(checks=pap.Check(lambda frame: frame.low <= frame.high))
    with pytest.raises(SchemaErrors) as raised:
        schema.validate(pd.DataFrame(rows, columns=["low", "high"]), lazy=True)
    assert set(raised.value.failure_cases["index"]) == {2}

    with connected() as connection:
        assert verdicts(connection, Contract.of(Ours), rows) == [(), (), ("low_is_not_above_high",)]


def test_the_comparison_can_fail():
    """The oracle sees a broken row; were it blind, agreement would mean nothing."""
    drawn: list[tuple[str, bool, dict[str, Any], bool]] = [("decimal", False, {"gt": Decimal(1)}, True)]
    model = ibis_model(drawn)
    assert pandas_verdicts(model, drawn, [(Decimal(0),), (None,), (Decimal(2),)]) == [
        {("c0", 0)},
        {("c0", None)},
        set(),
    ]
