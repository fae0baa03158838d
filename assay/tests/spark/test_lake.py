"""A lake's tables: what a commit carries, where readers without Spark see it, and one line for what is no lake."""

from __future__ import annotations

import datetime as dtm
from decimal import Decimal
from pathlib import Path

import pytest

from assay.errors import WarehouseError
from assay.spark.lake import OFFSETS, RECORD, Lake, check, spark_sql, sweep, text
from assay.spark.session import Cluster
from tests.spark.seen import Seen

ROWS = "SELECT CAST(id AS INT) AS n, date_add(DATE '2026-03-01', CAST(id % 3 AS INT)) AS day FROM range(9)"


@pytest.fixture
def lake(spark: Cluster, tmp_path: Path) -> Lake:
    found = Lake(spark, f"lake_{tmp_path.name}", str(tmp_path / "lake"))
    found.make("transform")
    return found


def record(run: str) -> dict[str, object]:
    return {RECORD: {"run_id": run, "checks": 'it\'s "so" \u00fc'}, OFFSETS: {"0": [3, "a\\b"]}}


def test_a_commit_carries_record_and_offsets_and_others_that_came_later_carry_none(lake: Lake, tmp_path: Path) -> None:
    assert not lake.commit("transform", "orders").record
    lake.replace(ROWS, "transform", "orders", record("one"), "day")
    first = lake.pointers()
    lake.append("SELECT 99 AS n, DATE '2026-03-01' AS day", "transform", "orders", record("two"))
    lake.overwrite(
        "SELECT 7 AS n, DATE '2026-03-02' AS day", "transform", "orders", record("three"), "day = DATE '2026-03-02'"
    )
    lake.execute(f"DELETE FROM {lake.table('transform', 'orders')} WHERE n = 99")  # by somebody else
    found = lake.commit("transform", "orders")
    assert (found.record["run_id"], found.record["checks"]) == ("three", 'it\'s "so" \u00fc')
    assert found.offsets == {"0": [3, "a\\b"]}
    assert lake.pointers() != first
    seen = Seen(tmp_path / "lake", "transform", "orders")  # without Spark
    assert sorted(seen.rows().column("n").to_pylist()) == [0, 2, 3, 5, 6, 7, 8]
    lake.replace("SELECT 1 AS other", "transform", "orders", record("four"))
    assert lake.columns("transform", "orders") == {"other": "int"}
    assert lake.commit("transform", "orders").record["run_id"] == seen.record()["run_id"] == "four"


def test_few_rows_come_as_python_s_values_and_instants_are_aware(lake: Lake) -> None:
    asked = "SELECT 1L, 'a', DATE '2026-03-29', TIMESTAMP '2026-10-25 00:30:00Z' AS at, "
    asked += "TIMESTAMP_NTZ '2026-03-29 02:30:00', CAST(1.5 AS DECIMAL(4, 2)), CAST(NULL AS TIMESTAMP) AS none"
    at = dtm.datetime(2026, 10, 25, 0, 30, tzinfo=dtm.UTC)
    wall = dtm.datetime(2026, 3, 29, 2, 30)
    assert lake.all(asked) == [(1, "a", dtm.date(2026, 3, 29), at, wall, Decimal("1.50"), None)]


def test_conditions_that_are_written_for_duckdb_mean_the_same(lake: Lake) -> None:
    written = "'it''s' = \"a\" AND TIMESTAMPTZ '2026-03-01 00:00:00+00' <= \"at\" AND 'b\\n' = \"b\""
    values = f"{text(chr(39).join(('it', 's')))} AS a, TIMESTAMP '2026-03-01 01:00:00+01:00' AS at, {text('b' + chr(92) + 'n')} AS b"
    assert lake.all(f"SELECT * FROM (SELECT {spark_sql(written)} AS held FROM (SELECT {values}))") == [(True,)]


def test_what_a_killed_session_left_is_dropped_and_nobody_else_s(lake: Lake) -> None:
    for name in ("__staging_orders_mine", "__staging_orders_hers", "orders_mine"):
        lake.replace("SELECT 1 AS n", "transform", name)
    sweep(lake, "mine")
    assert lake.tables("transform") == ["__staging_orders_hers", "orders_mine"]


def test_what_is_no_lake_is_told_in_one_line(spark: Cluster, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(WarehouseError, match=r"is no lake: it holds notes\.txt"):
        Lake(spark, "no_lake", str(tmp_path))
    with pytest.raises(WarehouseError, match="the lake's folder cannot be made"):
        Lake(spark, "no_folder", str(tmp_path / "notes.txt"))
    with pytest.raises(
        WarehouseError, match=r"^jdbc:postgresql://127\.0\.0\.1:1/books: the catalog does not answer"
    ) as told:
        check(str(tmp_path / "lake"), "jdbc:postgresql://ann:secret@127.0.0.1:1/books?password=secret")
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)


def test_a_value_that_spark_cannot_compute_is_not_quoted(lake: Lake) -> None:
    with pytest.raises(WarehouseError) as told:
        lake.replace("SELECT CAST(concat('secret', id) AS INT) AS n FROM range(3)", "transform", "orders")
    assert "Spark cannot compute it: CAST_INVALID_INPUT" in str(told.value)
    assert "secret" not in str(told.value)
    assert not lake.exists("transform", "orders")


def test_what_somebody_else_did_to_a_table_is_told_in_one_line(lake: Lake, spark: Cluster, tmp_path: Path) -> None:
    for name in ("lost", "newer"):
        lake.replace(ROWS, "transform", name, record("one"))
    folder = tmp_path / "lake" / "transform"
    for file in (folder / "lost" / "data").rglob("*.parquet"):
        file.unlink()
    [metadata] = (folder / "newer" / "metadata").glob("v*.metadata.json")
    metadata.with_name(f".{metadata.name}.crc").unlink(missing_ok=True)
    metadata.write_text(metadata.read_text().replace('"format-version":2', '"format-version":99'))
    other = Lake(spark, f"other_{tmp_path.name}", str(tmp_path / "lake"))  # which has read neither before
    for name, expected in (("lost", "a file of the table is missing"), ("newer", "a newer Iceberg wrote the table")):
        with pytest.raises(WarehouseError) as told:
            other.all(f"SELECT sum(n) FROM {other.table('transform', name)}")
        assert f": {expected}. " in str(told.value)
        assert "\n" not in str(told.value)
