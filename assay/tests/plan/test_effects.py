"""What counts as destructive."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import itertools
import json

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.compare.model import Difference
from assay.contract.classification import public
from assay.contract.profile import ColumnProfile
from assay.plan.effects import destructive, narrows, shifts
from assay.tables.results import Publication
from assay.warehouse.ops import Record, as_json
from tests.warehouse import house as houses


class Large(pa.DataFrameModel):
    x: dt.Float64 = pa.Field(metadata=public)


WIDER = [
    ("TINYINT", "SMALLINT"),
    ("INTEGER", "BIGINT"),
    ("UINTEGER", "BIGINT"),
    ("INTEGER", "DOUBLE"),
    ("FLOAT", "DOUBLE"),
    ("SMALLINT", "FLOAT"),
    ("DECIMAL(10,2)", "DECIMAL(12,2)"),
    ("DECIMAL(10,2)", "DECIMAL(14,4)"),
    ("SMALLINT", "DECIMAL(6,0)"),
    ("DATE", "TIMESTAMP"),
    ("TIMESTAMP_S", "TIMESTAMP"),
    ("TIMESTAMP", "TIMESTAMP_NS"),
    ("BIGINT", "VARCHAR"),
    ("INTEGER[]", "INTEGER[]"),
]
NARROWER = [
    ("BIGINT", "INTEGER"),
    ("INTEGER", "UBIGINT"),
    ("UBIGINT", "BIGINT"),
    ("BIGINT", "DOUBLE"),
    ("DOUBLE", "BIGINT"),
    ("DOUBLE", "FLOAT"),
    ("DECIMAL(12,2)", "DECIMAL(10,2)"),
    ("DECIMAL(12,4)", "DECIMAL(12,2)"),
    ("DECIMAL(12,2)", "DECIMAL(12,4)"),
    ("DECIMAL(18,2)", "DOUBLE"),
    ("TIMESTAMP", "DATE"),
    ("TIMESTAMP", "TIMESTAMP_S"),
    ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    ("VARCHAR", "BIGINT"),
    ("VARCHAR", "DATE"),
    ("BOOLEAN", "INTEGER[]"),
]


@pytest.mark.parametrize(("before", "after"), WIDER)
def test_every_value_fits_the_wider_type(before: str, after: str) -> None:
    assert not narrows(before, after)


@pytest.mark.parametrize(("before", "after"), NARROWER)
def test_some_value_does_not_fit_the_narrower_type(before: str, after: str) -> None:
    assert narrows(before, after)


INTEGERS = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"]
SIZES = {"TINY": 7, "SMALL": 15, "INTEGER": 31, "BIG": 63, "HUGE": 127}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(INTEGERS, INTEGERS)))
def test_integer_types_narrow_exactly_where_the_database_refuses_a_value(before: str, after: str) -> None:
    """DuckDB itself is asked to cast the smallest and the largest value of `before`."""
    import duckdb

    unsigned = before.startswith("U")
    bits = next(size for name, size in SIZES.items() if before.removeprefix("U").startswith(name[:3]))
    low, high = (0, 2 ** (bits + 1) - 1) if unsigned else (-(2**bits), 2**bits - 1)
    fits = duckdb.execute(
        f"SELECT TRY_CAST({high}::{before} AS {after}) IS NOT NULL AND TRY_CAST(({low})::{before} AS {after}) IS NOT NULL"
    ).fetchall()[0][0]
    assert narrows(before, after) == (not fits)


def test_rows_without_a_key_are_lost_only_if_there_are_fewer() -> None:
    changed = Difference(key=(), expected_rows=1, actual_rows=1, added=1, removed=1, changed=0, same=0)
    assert destructive(changed, 0.1) == ()
    fewer = Difference(key=(), expected_rows=10, actual_rows=5, added=0, removed=5, changed=0, same=5)
    assert [found.kind for found in destructive(fewer, 0.1)] == ["rows_removed"]
    assert destructive(fewer, 0.5) == ()


def test_a_mean_that_is_no_finite_number_is_a_number_in_the_books_all_the_same() -> None:
    """Sums of large values overflow; JSON, which the books are kept in, has no NaN."""
    table = houses.given("t", Large, houses.Given())
    column = ColumnProfile("x", 0, 1, "1e+308", "1e+308", float("nan"))
    published = Publication("t", "warehouse", "replace", 3, 3, 0, 0.1, "v", "c", (), (column,))
    kept = json.loads(as_json([dataclasses.asdict(column)]))
    now = dtm.datetime(2026, 1, 1, tzinfo=dtm.UTC)
    record = Record("run", "t", None, 3, 0, 0.1, "v", "c", {}, None, (), tuple(kept), now)
    assert shifts(record, published, table) == ()
    moved = dataclasses.replace(published, profile=(dataclasses.replace(column, mean=2.0),))
    assert [(each.metric, each.before, each.after) for each in shifts(record, moved, table)] == [("sum", "nan", "6.00")]
