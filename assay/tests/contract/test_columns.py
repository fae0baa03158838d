"""Names and exact types of an expression against the contract."""

from __future__ import annotations

import duckdb
import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from ibis.backends.sql.datatypes import DuckDBType

from assay.contract.columns import _PLAIN, sql_type
from assay.contract.contract import Contract
from assay.errors import ContractError


class Loose(pa.DataFrameModel):
    id: dt.Int64
    amount: dt.Decimal(12, 2)
    at: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(nullable=True)


class Strict(Loose):
    class Config:
        strict = True


class Ordered(Loose):
    class Config:
        ordered = True


GOOD = {"id": "int64", "amount": "decimal(12, 2)", "at": "timestamp('UTC', 6)"}


def problems(model, schema):
    return [str(problem) for problem in Contract.of(model).schema_problems(ibis.schema(schema))]


@pytest.mark.parametrize("model", [Loose, Strict, Ordered])
def test_the_contracts_own_columns_are_no_problem(model):
    assert problems(model, GOOD) == []


def test_nullability_is_not_part_of_a_type():
    assert problems(Strict, GOOD | {"id": "!int64"}) == []


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"id": "int64", "at": GOOD["at"]}, ["column 'amount' is missing, expected DECIMAL(12,2)"]),
        (GOOD | {"id": "int32"}, ["column 'id' is INTEGER, expected BIGINT"]),
        (GOOD | {"id": "uint64"}, ["column 'id' is UBIGINT, expected BIGINT"]),
        (GOOD | {"amount": "float64"}, ["column 'amount' is DOUBLE, expected DECIMAL(12,2)"]),
        (GOOD | {"amount": "decimal(12, 3)"}, ["column 'amount' is DECIMAL(12,3), expected DECIMAL(12,2)"]),
        (GOOD | {"at": "timestamp(6)"}, ["column 'at' is TIMESTAMP, expected TIMESTAMP WITH TIME ZONE"]),
        (GOOD | {"at": "date"}, ["column 'at' is DATE, expected TIMESTAMP WITH TIME ZONE"]),
        (
            {"ID": "int64", "amount": GOOD["amount"], "at": GOOD["at"]},
            ["column 'id' is missing, expected BIGINT", "column 'ID' (BIGINT) is not in the contract"],
        ),
        (GOOD | {"note": "string"}, ["column 'note' (VARCHAR) is not in the contract"]),
    ],
)
def test_every_difference_is_one_line(schema, expected):
    assert problems(Strict, schema) == expected


def test_extra_columns_are_a_problem_only_in_a_strict_contract():
    assert problems(Loose, GOOD | {"note": "string"}) == []


def test_order_matters_only_in_an_ordered_contract():
    moved = {"amount": GOOD["amount"], "id": "int64", "at": GOOD["at"]}
    assert problems(Strict, moved) == []
    assert problems(Ordered, moved) == [
        "column 'amount' stands where the contract has id",
        "column 'id' stands where the contract has amount",
    ]


def test_a_problem_carries_its_parts():
    (problem,) = Contract.of(Strict).schema_problems(ibis.schema(GOOD | {"id": "int32"}))
    assert (problem.kind, problem.column, problem.expected, problem.actual) == ("type", "id", "BIGINT", "INTEGER")


def test_nothing_is_labelled_that_does_not_have_the_contracts_columns():
    with pytest.raises(ContractError, match=r"Strict: column 'id' is INTEGER, expected BIGINT"):
        Contract.of(Strict).label(ibis.table(GOOD | {"id": "int32"}, name="t"))


def test_a_type_without_its_parameters_is_what_duckdb_makes_of_it(connection):
    """Pandera compares a bare `dt.Timestamp` with TIMESTAMP's precision and finds no table that has it."""

    class Bare(pa.DataFrameModel):
        moment: dt.Timestamp

    connection.execute("CREATE TABLE t (moment TIMESTAMP)")
    schema = ibis.duckdb.from_connection(connection).table("t").schema()
    assert Contract.of(Bare).schema_problems(schema) == ()
    assert Contract.of(Bare).duckdb_columns == {"moment": "TIMESTAMP"}


def test_a_type_is_called_as_duckdb_calls_it() -> None:
    others = (
        dt.decimal,
        dt.time,
        dt.timestamp,
        dt.Array(dt.int64),
        dt.Timestamp("Europe/Berlin"),
        dt.Timestamp(scale=3),
    )
    for dtype in (*_PLAIN, dt.Decimal(1, 0), dt.Decimal(12, 2), dt.Decimal(38, 38), *others):
        for kind in (dtype, dtype.copy(nullable=False)):
            assert sql_type(kind) == str(duckdb.sqltype(DuckDBType.to_string(kind)))
