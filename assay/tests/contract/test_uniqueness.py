"""Keys are present and never repeat."""

from __future__ import annotations

import warnings

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.contract.classification import internal, personal
from assay.contract.contract import Contract
from tests.contract.support import load
from tests.memory import connected


class Lines(pa.DataFrameModel):
    basket: dt.Int64 = pa.Field(nullable=True, metadata=internal)
    product: dt.String = pa.Field(nullable=True, metadata=personal)
    amount: dt.Int64 = pa.Field(nullable=True)

    class Config:
        unique = ["basket", "product"]


def found(connection, rows, **options):
    load(connection, Contract.of(Lines), rows)
    return Contract.of(Lines).key_problems(connection, "rows", **options)


def test_a_sound_key(connection):
    problems = found(connection, [(1, "a", 1), (1, "b", 1), (2, "a", 1)])
    assert problems.sound
    assert (problems.nulls, problems.repeated, problems.excess, problems.sample, problems.sample_sql) == (
        0,
        0,
        0,
        (),
        None,
    )


def test_repeats_are_counted_as_keys_and_as_rows_too_many(connection):
    rows = [(1, "a", n) for n in range(3)] + [(2, "a", 1), (2, "a", 1), (3, "a", 1)]
    problems = found(connection, rows)
    assert not problems.sound
    assert (problems.nulls, problems.repeated, problems.excess) == (0, 2, 3)
    assert problems.sample == ({"basket": 1, "product": "***", "rows": 3}, {"basket": 2, "product": "***", "rows": 2})
    assert connection.execute(problems.sample_sql).fetchall() == [(1, "a", 3), (2, "a", 2)]


def test_a_null_in_a_key_is_a_problem_of_its_own(connection):
    problems = found(connection, [(1, None, 1), (1, None, 1), (None, "a", 1), (1, "a", 1)])
    assert (problems.nulls, problems.excess) == (3, 0)
    assert not problems.sound
    assert {row["basket"] for row in problems.sample} == {1, None}
    assert len(connection.execute(problems.sample_sql).fetchall()) == 3


def test_the_sample_is_bounded(connection):
    problems = found(connection, [(number // 2, "a", 1) for number in range(60)])
    assert problems.repeated == 30
    assert [row["basket"] for row in problems.sample] == list(range(10))


def test_rows_come_from_a_query(connection):
    found(connection, [(1, "a", 1), (1, "a", 2)])
    assert Contract.of(Lines).key_problems(connection, "(FROM rows WHERE amount = 1)").sound
    problems = Contract.of(Lines).key_problems(connection, "(SELECT * FROM rows UNION ALL SELECT * FROM rows)")
    assert problems.excess == 3


def test_a_fields_own_uniqueness_is_enforced(connection):
    """Pandera's Ibis backend accepts the repeat."""

    class Model(pa.DataFrameModel):
        id: dt.Int64 = pa.Field(unique=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ibis's own deprecations while Pandera runs its queries
        Model.validate(ibis.memtable({"id": [1, 1]}))
    contract = Contract.of(Model)
    load(connection, contract, [(1,), (1,)])
    assert contract.key == ("id",)
    assert contract.key_problems(connection, "rows").excess == 1


def test_without_a_key_there_is_nothing_to_repeat(connection):
    class Model(pa.DataFrameModel):
        id: dt.Int64

    contract = Contract.of(Model)
    load(connection, contract, [(1,), (1,)])
    assert contract.key_problems(connection, "rows").sound
    assert contract.key_problems(connection, "rows", key=("id",)).excess == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from("ab"), st.just(1)), max_size=12))
def test_counts_are_those_of_python(rows):
    keys = [row[:2] for row in rows if None not in row[:2]]
    with connected() as connection:
        problems = found(connection, rows)
        assert Contract.of(Lines).key_problems(connection, "rows", rows=len(rows)) == problems
    assert problems.nulls == len(rows) - len(keys)
    assert problems.excess == len(keys) - len(set(keys))
    assert problems.repeated == len({key for key in keys if keys.count(key) > 1})


@pytest.mark.parametrize("key", [("basket",), ("product",)])
def test_another_key_can_be_asked_for(connection, key):
    assert found(connection, [(1, "a", 1), (1, "a", 2)], key=key).excess == 1
