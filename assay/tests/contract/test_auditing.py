"""Counts per rule, and no classified value in what is reported."""

from __future__ import annotations

from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import internal, personal, public, secret
from assay.contract.contract import Contract
from tests.contract.support import label, load

CANARY = "canary@example.org"


class Customers(pa.DataFrameModel):
    id: dt.Int64 = pa.Field(gt=0, metadata=public)
    email: dt.String = pa.Field(str_length={"max_value": 5}, nullable=True, metadata=personal)
    token: dt.String = pa.Field(nullable=True, metadata=secret)
    note: dt.String = pa.Field(nullable=True)
    age: dt.Int64 = pa.Field(le=120, nullable=True, metadata=internal)


ROWS = [
    (1, None, CANARY, CANARY, 20),
    (0, "a@b", None, None, 130),
    (-1, CANARY, None, CANARY, 10),
    (-1, CANARY, None, CANARY, 10),
    (None, None, None, None, None),
]


@pytest.fixture
def contract(connection):
    found = Contract.of(Customers)
    load(connection, found, ROWS)
    label(connection, found)
    return found


def test_each_rule_counts_its_rows_and_each_row_once_in_rejected(connection, contract):
    found = contract.broken(connection, "labelled")
    assert found.rows == 5
    assert found.rejected == 4
    assert found.counts == {"id.not_null": 1, "id.gt_0": 3, "email.str_length_max_5": 2, "age.le_120": 1}
    assert sum(found.masks.values()) == 5
    assert found.masks[(0,)] == 1


def test_a_duplicate_of_a_good_row_stays_good(connection, contract):
    """Pandera's pandas backend drops valid rows whose index repeats a broken one's."""
    load(connection, contract, [(1, None, None, None, 1)] * 3 + [(0, None, None, None, 1)] * 2)
    label(connection, contract)
    assert contract.broken(connection, "labelled").rejected == 2


def test_a_broken_table_rule_rejects_no_row(connection):
    """In Pandera's polars backend one failed aggregate check drops every row."""

    class Model(pa.DataFrameModel):
        amount: dt.Int64

        @pa.dataframe_check()
        def is_never_true(cls, data: Any) -> Any:
            return data.table.count() < 0

    found = Contract.of(Model)
    load(connection, found, [(1,), (2,)])
    label(connection, found)
    assert found.broken(connection, "labelled").rejected == 0


def test_the_profile_is_of_all_rows_or_of_the_valid_ones(connection, contract):
    everything = contract.profile(connection, "labelled")
    valid = contract.profile(connection, f"(FROM labelled WHERE NOT {contract.broken_sql()})")
    assert {column.name: column.nulls for column in everything.columns}["id"] == 1
    assert {column.name: (column.minimum, column.maximum) for column in valid.columns}["id"] == ("1", "1")
    assert (everything.rows, valid.rows) == (5, 1)
    assert valid.content_hash != everything.content_hash


def test_an_empty_relation(connection, contract):
    load(connection, contract, [])
    label(connection, contract)
    found = contract.broken(connection, "labelled")
    assert (found.rows, found.rejected, dict(found.counts), dict(found.masks)) == (0, 0, {}, {})
    assert {column.distinct for column in contract.profile(connection, "labelled").columns} == {0}


def test_no_classified_value_is_in_anything_we_report(connection, contract):
    assert CANARY not in repr(contract.broken(connection, "labelled"))
    assert CANARY not in repr(contract.profile(connection, "labelled"))
    labelled = connection.execute("FROM labelled")
    assert CANARY not in repr(contract.masked([each[0] for each in labelled.description], labelled.fetchall()))
    assert CANARY not in repr(contract.key_problems(connection, "labelled", key=("email",)))
    assert CANARY in repr(connection.execute("SELECT * FROM labelled").fetchall())
