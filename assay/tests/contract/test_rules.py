"""Missing values follow Pandera; table rules return one value."""

from __future__ import annotations

import math
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.contract import Contract
from assay.contract.rules import RowRule
from tests.contract.support import load, verdicts


def test_null_passes_rules_but_not_a_column_that_is_not_nullable(connection):
    class Model(pa.DataFrameModel):
        may: dt.Int64 = pa.Field(gt=0, nullable=True)
        must: dt.Int64 = pa.Field(gt=0)

    assert verdicts(connection, Contract.of(Model), [(None, None)]) == [("must.not_null",)]


def test_nan_is_missing_as_in_pandera(connection):
    class Model(pa.DataFrameModel):
        may: dt.Float64 = pa.Field(le=9, nullable=True)
        must: dt.Float64 = pa.Field(le=9)

    found = verdicts(connection, Contract.of(Model), [(math.nan, math.nan), (math.inf, -math.inf)])
    assert found == [("must.not_null",), ("may.le_9",)]


def test_ignore_na_off_means_that_unknown_breaks_the_rule(connection):
    class Model(pa.DataFrameModel):
        amount: dt.Int64 = pa.Field(gt=0, nullable=True, ignore_na=False)

        @pa.check("amount", ignore_na=True)
        def is_small(cls, data: Any) -> Any:
            return data.table[data.key] < 10

    assert verdicts(connection, Contract.of(Model), [(None,), (1,), (10,)]) == [("amount.gt_0",), (), ("is_small",)]


def test_ignore_na_off_holds_for_nan_too(connection):
    class Model(pa.DataFrameModel):
        amount: dt.Float64 = pa.Field(gt=0, nullable=True, ignore_na=False)

        @pa.check("amount", ignore_na=False)
        def is_nan_or_small(cls, data: Any) -> Any:
            column = data.table[data.key]
            return column.isnan() | (column < 10)

    found = verdicts(connection, Contract.of(Model), [(math.nan,), (1.0,), (None,)])
    assert found == [("amount.gt_0",), (), ("amount.gt_0", "is_nan_or_small")]


def test_a_value_whose_verdict_is_unknown_breaks_its_rule(connection):
    class Model(pa.DataFrameModel):
        code: dt.String = pa.Field(nullable=True)

        @pa.check("code")
        def is_a_positive_number(cls, data: Any) -> Any:
            return data.table[data.key].try_cast("int64") > 0

    found = verdicts(connection, Contract.of(Model), [("1",), ("x",), (None,)])
    assert found == [(), ("is_a_positive_number",), ()]


def test_a_row_rule_on_several_columns_lets_unknown_pass_unless_told_otherwise(connection):
    class Model(pa.DataFrameModel):
        low: dt.Int64 = pa.Field(nullable=True)
        high: dt.Int64 = pa.Field(nullable=True)

        @pa.dataframe_check()
        def lenient(cls, data: Any) -> Any:
            return data.table.low <= data.table.high

        @pa.dataframe_check(ignore_na=False)
        def severe(cls, data: Any) -> Any:
            return data.table.low <= data.table.high

    found = verdicts(connection, Contract.of(Model), [(1, 2), (2, 1), (1, None)])
    assert found == [(), ("lenient", "severe"), ("severe",)]


def test_a_check_that_returns_one_value_is_a_table_rule(connection):
    class Model(pa.DataFrameModel):
        amount: dt.Int64 = pa.Field(nullable=True)

        @pa.check("amount")
        def mean_is_small(cls, data: Any) -> Any:
            return data.table[data.key].mean() < 10

        @pa.dataframe_check()
        def has_rows(cls, data: Any) -> Any:
            return data.table.count() > 1

        @pa.dataframe_check()
        def share_of_nulls(cls, data: Any) -> Any:
            return data.table.amount.isnull().mean() < 0.5

    contract = Contract.of(Model)
    assert contract.row_rules == ()
    assert [(rule.code, rule.column) for rule in contract.table_rules] == [
        ("mean_is_small", "amount"),
        ("has_rows", None),
        ("share_of_nulls", None),
    ]

    def held(rows):
        load(connection, contract, rows)
        table = ibis.duckdb.from_connection(connection).table("rows")
        return [
            connection.execute(ibis.to_sql(rule.expression(table).as_table())).fetchall()[0][0]
            for rule in contract.table_rules
        ]

    assert held([(1,), (2,)]) == [True, True, True]
    assert held([(100,)]) == [False, False, True]
    assert held([(None,), (1,)]) == [True, True, False]


@pytest.mark.parametrize("nullable", [True, False])
def test_every_verdict_is_true_or_false_and_never_null(connection, nullable):
    class Model(pa.DataFrameModel):
        number: dt.Float64 = pa.Field(gt=0, isin=[1.0, 2.0], nullable=nullable)

    contract = Contract.of(Model)
    load(connection, contract, [(None,), (math.nan,), (1.0,)])
    table = ibis.duckdb.from_connection(connection).table("rows")
    for rule in contract.row_rules:
        assert isinstance(rule, RowRule)
        verdict = rule.broken.op().replace({contract.rows.op(): table.op()}).to_expr()
        sql = ibis.to_sql(table.select(verdict=verdict), dialect="duckdb")
        assert connection.execute(f"SELECT count(*) FROM ({sql}) WHERE verdict IS NULL").fetchall() == [(0,)]
