"""What cannot be one expression in the database is refused when code loads, naming file, model and field."""

from __future__ import annotations

import datetime as dtm
import re
from typing import Any, cast

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.contract import Contract
from assay.errors import ContractError
from tests.contract.support import verdicts


@ibis.udf.scalar.python  # type: ignore[untyped-decorator]  # Ibis is not typed
def doubled(value: int) -> int:
    return value * 2


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]  # Ibis is not typed
def gcd(left: int, right: int) -> int:
    """DuckDB's own."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="random")  # type: ignore[untyped-decorator]  # Ibis is not typed
def dice() -> float:
    """DuckDB's own."""
    raise NotImplementedError


def checked(function, **options):
    """A contract whose only field `amount` has the check `function`."""

    class Model(pa.DataFrameModel):
        amount: dt.Int64 = pa.Field(nullable=True)
        other: dt.Int64 = pa.Field(nullable=True)

        @pa.check("amount", name="is_sound", **options)
        def is_sound(cls, data: Any) -> Any:
            return function(data)

    return Contract.of(Model)


def column(data):
    return data.table[data.key]


REFUSED = {
    "element-wise": (lambda data: data > 0, {"element_wise": True}, "element-wise Python check"),
    "groupby": (lambda data: True, {"groupby": "other"}, "groupby"),
    "warning only": (lambda data: column(data) > 0, {"raise_warning": True}, "raise_warning"),
    "not a boolean": (lambda data: column(data) + 1, {}, "values of type int64"),
    "a Python bool": (lambda data: True, {}, "Python bool"),
    "nothing": (lambda data: None, {}, "NoneType"),
    "no columns": (lambda data: {}, {}, "no boolean expression"),
    "executed in Python": (lambda data: bool(data.table.count().execute()), {}, "cannot be an expression"),
    "a defect of the check": (lambda data: 1 // 0, {}, "ZeroDivisionError"),
    "another column": (lambda data: data.table.other > 0, {}, "cannot be an expression"),
    "random": (lambda data: column(data) > ibis.random(), {}, "RandomScalar"),
    "the clock": (lambda data: ibis.now() > "2020-01-01", {}, "TimestampNow"),
    "a Python function": (lambda data: doubled(column(data)) > 2, {}, "user-defined function 'doubled'"),
    "a volatile function": (lambda data: column(data) > dice(), {}, "another verdict each time"),
    "other rows": (lambda data: column(data) > column(data).mean(), {}, "depends on other rows"),
    "a window": (lambda data: column(data) > column(data).lag(), {}, "depends on other rows"),
    "a row number": (lambda data: ibis.row_number() < 3, {}, "depends on other rows"),
    "another table": (lambda data: column(data).isin(ibis.table({"x": "int64"}, name="t").x), {}, "other rows"),
    "fewer rows": (lambda data: data.table.filter(column(data) > 0).count() > 1, {}, "drops some"),
    "an aggregate table": (lambda data: data.table.aggregate(a=column(data).max() > 0), {}, "no selection"),
}


@pytest.mark.parametrize(("function", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_by_name_when_code_loads(function, options, message):
    with pytest.raises(ContractError) as raised:
        checked(function, **options)
    line = str(raised.value)
    assert message in line
    assert __file__ in line
    assert "Model.amount" in line
    assert "is_sound" in line
    assert "\n" not in line


@pytest.mark.parametrize("argument", ["isin", "notin"])
def test_one_text_is_no_list_of_values(argument):
    class Model(pa.DataFrameModel):
        fruit: dt.String = pa.Field(**{argument: "apple"})

    with pytest.raises(ContractError, match=rf"Model.fruit, check '{argument}': one text is taken as its letters"):
        Contract.of(Model)


ACCEPTED = {
    "column": lambda data: column(data) > 0,
    "table": lambda data: data.table.select(good=column(data) > 0),
    "a selection of a selection": lambda data: data.table.mutate(half=column(data) / 2).select(good=ibis._.half > 0),
    "dict": lambda data: {"low": column(data) > 0, "high": column(data) < 9},
    "a function of the database": lambda data: gcd(column(data), 6) > 0,
}


@pytest.mark.parametrize("function", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted_and_decided_by_row(connection, function):
    assert verdicts(connection, checked(lambda data: function(data)), [(1, 1), (None, 1)]) == [(), ()]
    if function is not ACCEPTED["a function of the database"]:
        assert verdicts(connection, checked(function), [(0, 1)]) == [("is_sound",)]


def test_all_columns_of_a_returned_table_must_hold(connection):
    contract = checked(lambda data: data.table.select(low=column(data) > 0, high=column(data) < 9))
    assert verdicts(connection, contract, [(0, 0), (5, 0), (9, 0)]) == [("is_sound",), (), ("is_sound",)]


def test_unique_values_eq_is_refused_because_pandera_runs_it_in_python():
    class Model(pa.DataFrameModel):
        amount: dt.Int64 = pa.Field(unique_values_eq=[1, 2])

    with pytest.raises(ContractError, match=r"Model\.amount, check 'unique_values_eq'"):
        Contract.of(Model)


@pytest.mark.parametrize(
    ("dtype", "rule", "told"),
    [
        (dt.String, {"gt": 0}, "check 'greater_than': the rule '> 0' needs numbers, and the column holds text"),
        (dt.String, {"in_range": {"min_value": 0, "max_value": 9}}, "'>= 0 and <= 9' needs numbers, and the column"),
        (dt.String, {"ge": dtm.date(2026, 1, 1)}, "'>= 2026-01-01' needs dates, and the column holds text"),
        (dt.Int64, {"ge": "a"}, "the rule '>= a' needs text, and the column holds numbers"),
        (dt.Date, {"str_startswith": "a"}, "the rule 'startswith a' needs text, and the column holds dates"),
        (dt.Binary, {"lt": 1.5}, "the rule '< 1.5' needs numbers, and the column holds values of type binary"),
    ],
)
def test_a_rule_for_another_kind_of_values_is_told_in_words(dtype, rule, told):
    model = type("Model", (pa.DataFrameModel,), {"__annotations__": {"amount": dtype}, "amount": pa.Field(**rule)})
    with pytest.raises(ContractError) as raised:
        Contract.of(model)
    line = str(raised.value)
    assert "Model.amount, check '" in line
    assert told in line
    assert line.endswith("Give the column another type, or take the rule away.")
    assert "expression" not in line


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "(?<!a)b"])
def test_a_pattern_that_duckdb_cannot_compile_is_refused(pattern):
    class Model(pa.DataFrameModel):
        name: dt.String = pa.Field(str_contains=pattern)

    with pytest.raises(ContractError, match=r"Model\.name.*RE2"):
        Contract.of(Model)


def test_a_check_that_does_not_fit_the_columns_type_is_refused():
    class Model(pa.DataFrameModel):
        amount: dt.Int64 = pa.Field(str_startswith="a")

    with pytest.raises(ContractError, match=r"Model\.amount, check 'str_startswith'"):
        Contract.of(Model)


def test_alternatives_are_anchored_as_a_whole(connection):
    """Pandera's Ibis backend turns `a|b` into `^a|b`, which `xb` matches."""

    class Model(pa.DataFrameModel):
        name: dt.String = pa.Field(str_matches="a|b")

    assert verdicts(connection, Contract.of(Model), [("a",), ("b",), ("xb",)]) == [(), (), ("name.str_matches",)]


@pytest.mark.parametrize("pattern", ["", "^", "|a", "(?:)"])
def test_a_pattern_that_matches_everything_rejects_nothing(connection, pattern):
    """DuckDB 1.5 does not find `^(?:)` in any column."""

    class Model(pa.DataFrameModel):
        name: dt.String = pa.Field(str_matches=pattern)

    assert verdicts(connection, Contract.of(Model), [("a",), ("",)]) == [(), ()]


def test_the_flags_of_a_compiled_pattern_count(connection):
    """Pandera's Ibis backend drops them."""

    class Model(pa.DataFrameModel):
        name: dt.String = pa.Field(str_matches=cast("Any", re.compile("a.b", re.IGNORECASE | re.DOTALL)))

    assert verdicts(connection, Contract.of(Model), [("A\nB",), ("ab",)]) == [(), ("name.str_matches",)]


def test_a_null_among_the_allowed_values_does_not_let_everything_pass(connection):
    """In SQL `3 IN (1, NULL)` is unknown, and unknown never fails."""

    class Model(pa.DataFrameModel):
        amount: dt.Int64 = pa.Field(isin=[1, None], nullable=True)
        other: dt.Int64 = pa.Field(notin=[1, None], nullable=True)

    found = verdicts(connection, Contract.of(Model), [(1, 2), (3, 1), (None, None)])
    assert found == [(), ("amount.isin", "other.notin"), ()]


@pytest.mark.parametrize("options", [[None], ["a", None]])
def test_texts_are_looked_for_beside_a_null(connection, options):
    class Model(pa.DataFrameModel):
        kind: dt.String = pa.Field(isin=options, nullable=True)

    found = verdicts(connection, Contract.of(Model), [("a",), ("b",), (None,)])
    assert found == [() if "a" in options else ("kind.isin",), ("kind.isin",), ()]


def test_the_sql_of_a_set_of_values_is_the_same_in_every_process():
    class Model(pa.DataFrameModel):
        name: dt.String = pa.Field(isin={"d", "b", "a", "c"})

    contract = Contract.of(Model)
    sql = ibis.to_sql(contract.label(ibis.table(contract.schema, name="t")), dialect="duckdb")
    assert "IN ('a', 'b', 'c', 'd')" in sql
