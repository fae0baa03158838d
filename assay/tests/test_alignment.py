"""Which tables' partitions are made of the same partition of an input, and of which that cannot be told."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import pytest
from ibis import _

from assay.tables.alignment import is_aligned

U = ibis.table({"d": "date", "k": "int64", "v": "int64"}, name="u")
P = ibis.table({"k": "int64", "n": "string"}, name="p")

ALIGNED: dict[str, Callable[[], ir.Table]] = {
    "the input": lambda: U,
    "some rows": lambda: U.filter(_.v > 1),
    "a day's total": lambda: U.group_by("d").agg(s=_.v.sum()),
    "other columns": lambda: U.select("d", x=_.v * 2),
    "a join with a table without partitions": lambda: U.join(P, "k").group_by("d", "n").agg(s=_.v.sum()),
    "an outer join with one": lambda: U.left_join(P, "k"),
    "a window within the day": lambda: U.mutate(r=_.v.sum().over(group_by="d")),
    "twice the rows": lambda: U.union(U),
    "a join on the day": lambda: U.join(U.group_by("d").agg(t=_.v.sum()), "d").mutate(x=_.v / _.t),
    "no row twice": lambda: U.distinct().order_by("k"),
    "rows that another table has": lambda: U.filter(_.k.isin(P.k)),
}
UNCLEAR: dict[str, Callable[[], ir.Table]] = {
    "the last day of each": lambda: U.group_by("k").agg(d=_.d.max()),
    "a moving window": lambda: U.mutate(r=_.v.sum().over(ibis.window(order_by="d", preceding=6))),
    "the day after": lambda: U.mutate(d=_.d + ibis.interval(days=1)),
    "a total of all days": lambda: U.cross_join(U.agg(t=_.v.sum())),
    "a mean of all days": lambda: U.filter(_.v > U.v.mean()),
    "the first rows": lambda: U.limit(3),
    "a share of all days": lambda: U.mutate(s=_.v / _.v.sum()),
    "keys of any day": lambda: U.filter(_.k.isin(U.filter(_.v > 1).k)),
    "a join of any days": lambda: U.join(U.view(), "k").select("d", "v"),
    "another table": lambda: P.mutate(d=ibis.literal("2026-01-01").cast("date")),
    "keys of no other day": lambda: U.anti_join(U.view(), "k"),
    "the largest of any day": lambda: U.left_join(U.group_by("k").agg(m=_.v.max()), "k"),
    "the day before": lambda: U.group_by("d").agg(s=_.v.sum()).mutate(before=_.s.lag().over(ibis.window(order_by="d"))),
    "the day of another table": lambda: P.mutate(d=ibis.literal("2026-01-01").cast("date")).left_join(U.drop("d"), "k"),
}


@pytest.mark.parametrize("make", ALIGNED.values(), ids=ALIGNED)
def test_same_partition(make: Callable[[], ir.Table]) -> None:
    assert is_aligned(make(), "d", U, "d")


@pytest.mark.parametrize("make", UNCLEAR.values(), ids=UNCLEAR)
def test_what_cannot_be_told_depends_on_all(make: Callable[[], ir.Table]) -> None:
    assert not is_aligned(make(), "d", U, "d")


def test_a_renamed_partition_column_is_followed() -> None:
    assert is_aligned(U.select(day=_.d, v=_.v), "day", U, "d")
    assert not is_aligned(U.select(day=_.d, d=_.d), "v", U, "d")


def test_sql_is_not_followed() -> None:
    connection = ibis.duckdb.connect()
    source = connection.create_table("u", schema=U.schema())
    assert is_aligned(source, "d", source, "d")
    assert not is_aligned(connection.sql("SELECT max(d) AS d FROM u"), "d", source, "d")
    assert not is_aligned(source.sql("SELECT max(d) AS d FROM u"), "d", source, "d")
