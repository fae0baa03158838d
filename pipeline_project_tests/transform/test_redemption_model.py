"""The model: the same rows give the same model, its parts add up, and it learns what there is to learn."""

from __future__ import annotations

import datetime as dtm

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from pipeline_project.transform import redemption_model as model
from pipeline_project_tests.transform.households import households

SEED = 7


def test_the_order_of_rows_changes_no_bit() -> None:
    rows = households(600)
    order = np.random.default_rng(1).permutation(rows.num_rows)
    first, second = model.train(rows, seed=SEED), model.train(rows.take(order), seed=SEED)
    assert first.hash == second.hash
    assert np.array_equal(first.margin(model.in_order(rows)), second.margin(model.in_order(rows.take(order))))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    rows = households(600)
    with threadpool_limits(limits=threads):
        found = model.train(rows, seed=SEED)
    assert np.array_equal(found.margin(rows), model.train(rows, seed=SEED).margin(rows))


def test_the_hash_tells_another_model() -> None:
    assert model.train(households(600), seed=SEED).hash != model.train(households(601), seed=SEED).hash


def test_contributions_add_up_to_the_margin() -> None:
    rows = households(300)
    found = model.train(rows, seed=SEED)
    assert np.abs(found.contributions(rows).sum(axis=1) - found.margin(rows)).max() < 1e-9
    assert np.allclose(found.contributions(rows)[:, :-1], found.values(rows) * found.coefficients)


def test_only_the_training_rows_are_learned_from() -> None:
    rows = households(600)
    upside_down = pa.array(
        [
            label if split == "train" else not label
            for label, split in zip(rows["has_redeemed"].to_pylist(), model.split_of(rows))
        ]
    )
    flipped = rows.set_column(rows.schema.get_field_index("has_redeemed"), "has_redeemed", upside_down)
    assert model.train(flipped, seed=SEED).hash == model.train(rows, seed=SEED).hash


def test_it_finds_a_planted_effect() -> None:
    found = model.train(households(2000), seed=SEED)
    strongest = model.FEATURES[int(np.abs(found.coefficients).argmax())]
    assert strongest == "campaign_sales_per_week"
    assert found.coefficients[model.FEATURES.index(strongest)] > 0.5


def test_with_one_class_it_is_the_smoothed_base_rate() -> None:
    rows = households(40)
    never = rows.set_column(
        rows.schema.get_field_index("has_redeemed"), "has_redeemed", pa.array([False] * rows.num_rows)
    )
    training = model.split_of(never).count("train")
    chances = model.probability(model.train(never, seed=SEED).margin(never))
    assert chances == pytest.approx(0.5 / (training + 1))


def test_without_rows_there_is_still_a_model() -> None:
    assert model.probability(model.train(households(0), seed=SEED).margin(households(3))) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("start", "end", "history", "split"),
    [
        ("2017-05-08", "2017-06-25", 56, "train"),
        ("2017-05-08", "2017-09-30", 56, "train"),
        ("2017-05-08", "2017-10-01", 56, "unused"),  # still running when the model was trained
        ("2017-09-30", "2017-11-08", 56, "unused"),
        ("2017-10-01", "2017-11-08", 56, "test"),
        ("2016-11-14", "2017-01-16", 0, "unused"),  # older than the data
    ],
)
def test_splits_are_out_of_time(start: str, end: str, history: int, split: str) -> None:
    row = {
        "start_date": dtm.date.fromisoformat(start),
        "end_date": dtm.date.fromisoformat(end),
        "history_days": history,
    }
    assert model.split_of(pa.Table.from_pylist([row | {"is_settled": True}])) == [split]
    assert model.split_of(pa.Table.from_pylist([row | {"is_settled": False}])) == ["unused"]


@given(st.floats(allow_nan=False, width=64))
@settings(max_examples=200)
def test_a_probability_is_one(margin: float) -> None:
    one, other = model.probability(np.array([margin, -margin]))
    assert 0 <= one <= 1
    assert one + other == pytest.approx(1)
