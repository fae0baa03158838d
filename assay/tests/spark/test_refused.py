"""What a failed audit leaves on Spark: the version of before, and SQL that finds the refused rows for whoever runs it."""

from __future__ import annotations

from pathlib import Path

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from assay.contract.classification import public
from assay.spark.lake import options
from assay.spark.session import Cluster
from assay.tables.nodes import Reference
from assay.tables.partitions import daily
from tests.warehouse.conftest import lakes
from tests.warehouse.house import Given, House, given, stated, values

COLUMNS = "k BIGINT, v BIGINT, who VARCHAR, day DATE"


class Up(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(metadata=public)
    who: dt.String = pa.Field(metadata=public)
    day: dt.Date = pa.Field(metadata=public)


def test_the_sql_of_failed_checks_finds_the_refused_rows_in_anybody_s_spark(spark: Cluster, tmp_path: Path) -> None:
    """As told: with Spark's own options, and nothing of the session that refused them."""
    lake, source = (
        tmp_path / "lake",
        Given(values(COLUMNS, "1, 1, 'a', '2026-01-01'", "2, 1, 'it''s \"b\"', '2026-01-09'")),
    )
    days = daily("day", start="2026-01-01", end="2026-01-09")
    up = given("up", Up, Given(values("k BIGINT", "1")))
    a = given("a", Row, source, partitions=days, references=[Reference(("v",), "up", ("k",))])
    nobody = stated("nobody_is_b", {"a": Row}, lambda a: a.filter(a.who == 'it\'s "b"'))
    twice = stated("v_is_up", {"a": Row, "up": Up}, lambda a, up: a.anti_join(up, a.v == up.k).select("k", "v"))
    house = House(tmp_path, kind=lakes(lake, spark))
    assert house.build(up, a).ok
    before = house.table(a)
    source.sql = values(
        COLUMNS, "2, 1, 'a', '2026-01-01'", "3, 7, 'it''s \"b\"', '2026-01-02'", "4, 8, 'c', '2026-01-02'"
    )
    result = house.build(up, a, nobody, twice, names=["a"], partition="2026-01-01..2026-01-02")
    assert result.errors["a"].exit_code == 1
    assert "The refused rows are in warehouse.__refused_a until the next build." in str(result.errors["a"])
    assert house.table(a) == before
    house.leave()
    theirs = spark.spark.newSession()
    for name, value in options("lake", str(lake), None).items():
        theirs.conf.set(name, value)
    theirs.conf.set("spark.sql.ansi.doubleQuotedIdentifiers", "false")  # as without us
    found = {}
    for check in result.publications["a"].checks:
        if not check.passed:
            assert check.sample_sql is not None, check
            found[check.name] = sorted(tuple(row)[:2] for row in theirs.sql(check.sample_sql).collect())
    assert found == {
        "unique_key": [(2, 2)],  # with the published row of another day
        "v_in_up": [(7,), (8,)],
        "nobody_is_b": [(3, 7)],  # of the days that were built
        "v_is_up": [(3, 7), (4, 8)],
    }
