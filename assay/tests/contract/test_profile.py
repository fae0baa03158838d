"""The profile's numbers, and a hash that depends on the content and nothing else."""

from __future__ import annotations

import random

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.contract import types
from assay.contract.classification import personal, public
from assay.contract.contract import Contract
from assay.contract.profile import digest, sums
from tests.contract.support import load
from tests.memory import connected


class Model(pa.DataFrameModel):
    number: dt.Int64 = pa.Field(nullable=True, metadata=public)
    share: dt.Float64 = pa.Field(nullable=True, metadata=public)
    name: dt.String = pa.Field(nullable=True, metadata=public)


CONTRACT = Contract.of(Model)


def profiled(connection, rows, contract=CONTRACT):
    load(connection, contract, rows)
    return contract.profile(connection, "rows")


def test_the_numbers(connection):
    rows = [(1, 0.5, "b"), (3, 1.5, "a"), (None, None, None), (3, float("inf"), "a")]
    profile = profiled(connection, rows)
    number, share, name = profile.columns
    assert profile.rows == 4
    assert (number.nulls, number.distinct, number.minimum, number.maximum) == (1, 2, "1", "3")
    assert number.mean == pytest.approx(7 / 3)
    assert (share.nulls, share.distinct, share.minimum, share.maximum, share.mean) == (1, 3, "0.5", "inf", 1.0)
    assert (name.nulls, name.distinct, name.minimum, name.maximum, name.mean) == (1, 2, "a", "b", None)


def test_a_sum_beyond_128_bits_is_no_error(connection):
    class Wide(pa.DataFrameModel):
        amount: dt.Decimal(38, 0) = pa.Field(nullable=True, metadata=public)

    contract, most = Contract.of(Wide), 10**38 - 1
    connection.execute(f"CREATE OR REPLACE TABLE rows AS SELECT {most}::DECIMAL(38, 0) AS amount FROM range(4)")
    (amount,) = contract.profile(connection, "rows").columns
    assert amount.maximum == str(most)
    assert amount.mean == pytest.approx(1e38)
    assert sums(connection, "rows", contract.columns)[2][0][3] == amount.mean


class Coarse(pa.DataFrameModel):
    amount: dt.Decimal(38, 2) = pa.Field(nullable=True, metadata=public)


class Fine(pa.DataFrameModel):
    amount: dt.Decimal(38, 30) = pa.Field(nullable=True, metadata=public)


@pytest.mark.parametrize(("model", "mean"), [(Coarse, 137.74 / 3), (Fine, pytest.approx(137.74 / 3))])
def test_a_wide_type_alone_changes_no_mean(connection, model, mean):
    contract = Contract.of(model)
    rows = f"SELECT CAST(x AS {contract.columns[0].sql_type}) AS amount FROM unnest(['0.02', '-0.06', '137.78', NULL]) AS t(x)"
    connection.execute(f"CREATE OR REPLACE TABLE rows AS {rows}")
    (amount,) = contract.profile(connection, "rows").columns
    assert amount.mean == mean


def test_no_rows(connection):
    profile = profiled(connection, [])
    assert profile.rows == 0
    assert {(column.nulls, column.distinct, column.minimum, column.mean) for column in profile.columns} == {
        (0, 0, None, None)
    }


def test_values_of_a_classified_column_stay_hidden(connection):
    class Person(pa.DataFrameModel):
        age: dt.Int64 = pa.Field(nullable=True, metadata=personal)
        height: dt.Int64 = pa.Field(nullable=True)

    age, height = profiled(connection, [(41, None), (None, None)], Contract.of(Person)).columns
    assert (age.nulls, age.distinct, age.minimum, age.maximum, age.mean) == (1, 1, "***", "***", None)
    assert (height.nulls, height.distinct, height.minimum, height.mean) == (2, 0, None, None)


def test_nested_columns_have_counts_but_no_order(connection):
    class Nested(pa.DataFrameModel):
        tags: types.Array(dt.string) = pa.Field(nullable=True, metadata=public)

    (tags,) = profiled(connection, [(["a"],), (["a"],), ([],)], Contract.of(Nested)).columns
    assert (tags.nulls, tags.distinct, tags.minimum, tags.maximum) == (0, 2, None, None)


def test_few_distinct_values_are_counted_and_many_estimated(connection):
    connection.execute(
        "CREATE TABLE rows AS SELECT range % 100000 AS number, (range % 5000)::DOUBLE AS share, (range % 7)::VARCHAR AS name "
        "FROM range(200000)"
    )
    number, share, name = CONTRACT.profile(connection, "rows").columns
    assert number.distinct == pytest.approx(100_000, rel=0.1)
    assert (number.distinct or 0) % 64 == 0
    assert (share.distinct, name.distinct) == (5000, 7)


def test_the_estimate_never_exceeds_the_values_there_are(connection):
    for rows in (15_000, 17_000, 40_000):
        connection.execute(
            f"CREATE OR REPLACE TABLE rows AS SELECT range AS number, 0.0::DOUBLE AS share, '' AS name FROM range({rows})"
        )
        distinct = CONTRACT.profile(connection, "rows").columns[0].distinct
        assert distinct is not None
        assert distinct <= rows


VALUES = st.tuples(
    st.none() | st.integers(-2, 2),
    st.none() | st.sampled_from([0.0, 0.1, 0.2, float("nan"), float("inf")]),
    st.none() | st.sampled_from(["", "a", "NULL"]),
)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(VALUES, max_size=8), seed=st.integers(), position=st.integers(0, 7), other=VALUES)
def test_the_hash_is_of_the_multiset_of_rows(rows, seed, position, other):
    shuffled = random.Random(seed).sample(rows, len(rows))
    with connected() as connection:
        known = profiled(connection, rows)
        assert CONTRACT.profile(connection, "rows", rows=len(rows)) == known
        before = known.content_hash
        assert profiled(connection, shuffled).content_hash == before
        assert profiled(connection, [*rows, other]).content_hash != before
        if rows:
            changed = list(rows)
            changed[position % len(rows)] = other
            same = repr(changed) == repr(rows)
            assert (profiled(connection, changed).content_hash == before) == same


def test_rows_that_repeat_do_not_cancel_out(connection):
    ones, twos = [(1, 0.0, "a")] * 2, [(2, 0.0, "a")] * 2
    assert profiled(connection, ones).content_hash != profiled(connection, twos).content_hash


def test_the_hash_does_not_depend_on_threads(connection):
    connection.execute(
        "CREATE TABLE rows AS SELECT range AS number, range / 7 AS share, range::VARCHAR AS name FROM range(300000)"
    )
    hashes = set()
    for threads in (1, 2, 4):
        connection.execute(f"SET threads = {threads}")
        hashes.add(CONTRACT.profile(connection, "rows").content_hash)
    assert len(hashes) == 1


def test_values_that_change_columns_change_the_hash(connection):
    class Pair(pa.DataFrameModel):
        a: dt.Int64 = pa.Field(nullable=True)
        b: dt.Int64 = pa.Field(nullable=True)

    contract = Contract.of(Pair)
    assert (
        profiled(connection, [(1, 2)], contract).content_hash != profiled(connection, [(2, 1)], contract).content_hash
    )
    assert (
        profiled(connection, [(1, None)], contract).content_hash
        != profiled(connection, [(None, 1)], contract).content_hash
    )


def test_values_that_duckdb_hashes_alike_are_told_apart(connection):
    class Nested(pa.DataFrameModel):
        lists: types.Array(dt.Array(dt.int64)) = pa.Field(nullable=True)
        pair: types.Struct({"a": dt.int64}) = pa.Field(nullable=True)
        kinds: types.Map(dt.string, dt.int64) = pa.Field(nullable=True)
        span: types.exact(dt.Interval("s")) = pa.Field(nullable=True)

    contract, one = (
        Contract.of(Nested),
        {"lists": "[[1, 2]]", "pair": "{'a': 1}", "kinds": "map {'a': 1}", "span": "INTERVAL 1 MONTH"},
    )
    alike = {
        "lists": ("NULL", "[]", "[NULL]", "[[]]", "[[1], [2]]", "[[1], [], [2]]"),
        "pair": ("NULL", "{'a': NULL}"),
        "kinds": ("NULL", "map {}"),
        "span": ("INTERVAL 30 DAY", "NULL"),
    }
    rows = [one, *({**one, name: value} for name, values in alike.items() for value in values)]
    relations = [
        "(SELECT "
        + ", ".join(f"CAST({row[each.name]} AS {each.sql_type}) AS {each.name}" for each in contract.columns)
        + ")"
        for row in rows
    ]
    assert len({contract.profile(connection, each).content_hash for each in relations}) == len(rows)
    assert len(
        {connection.sql(f"SELECT {contract.row_hash_sql} FROM {each}").fetchall()[0] for each in relations}
    ) == len(rows)
    for each in relations:
        known = contract.profile(connection, each)
        assert digest(contract.columns, *sums(connection, each, contract.columns)[:2]) == known.content_hash


def test_another_type_is_another_content(connection):
    class Narrow(pa.DataFrameModel):
        number: dt.Int32 = pa.Field(nullable=True)

    class Wide(pa.DataFrameModel):
        number: dt.Int64 = pa.Field(nullable=True)

    narrow = profiled(connection, [(1,)], Contract.of(Narrow)).content_hash
    assert profiled(connection, [(1,)], Contract.of(Wide)).content_hash != narrow
