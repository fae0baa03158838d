"""Drivers that are killed, and two at once, seen by a reader without Spark; the command, and what stands in its way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from assay.spark.session import Cluster
from assay.spark.warehouse import SparkWarehouse
from tests.little import Little
from tests.spark.driver import built, version
from tests.spark.seen import Seen
from tests.standalone import Standalone
from tests.warehouse.house import Given

ROOT = Path(__file__).parents[2]


@pytest.fixture
def drivers(cluster: Standalone, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ended with all they started."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.communicate()


def driver(cluster: Standalone, folder: Path, number: int, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.spark.driver", cluster.address, str(folder), str(number), how]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def warehouse(spark: Cluster, folder: Path) -> SparkWarehouse:
    return SparkWarehouse(
        folder / "w.duckdb", spark.address, str(folder / "lake"), output=folder, scratch=folder, cluster=spark
    )


def seen(table: Seen) -> tuple[set[int], int, str, int]:
    """The versions of the rows, how many there are, and what the commit says: its run and its rows."""
    read = table.table()
    rows = read.scan().to_arrow()
    record = table.record_of(read)
    return set(rows.column("v").to_pylist()), rows.num_rows, record["run_id"], record["row_count"]


def test_of_a_driver_that_is_killed_all_is_seen_or_nothing(
    spark: Cluster, cluster: Standalone, drivers: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Whoever reads meanwhile sees one version whole; the next run goes on, and nothing of the dead one is left."""
    assert built(warehouse(spark, tmp_path), Given(version(1)), run="run 1") == []
    table = Seen(tmp_path / "lake", "warehouse", "a")
    before = seen(table)
    assert before == ({1}, 2000, "run 1", 2000)
    moments = ["rows are staged", "the quarantine is kept", "0.05", "0.2", "the commit is made"]
    for number, moment in enumerate(moments, start=2):
        drivers.append(driver(cluster, tmp_path, number, moment))
        possible = (before, ({number}, 2000, f"run {number}", 2000))
        reads = {str(seen(table))}
        while drivers[-1].poll() is None:
            reads.add(str(seen(table)))
        told, errors = drivers[-1].communicate()
        assert drivers[-1].returncode == -9, (told, errors)
        before = seen(table)
        reads.add(str(before))
        assert reads <= set(map(str, possible)), moment
        assert moment.startswith("0.") or before == possible[moment == "the commit is made"], moment
    with warehouse(spark, tmp_path).session() as session:
        assert session.lake.tables("warehouse") == ["a"]
        last = session.last_publication("a")
        assert last is not None
        assert (last.run_id, last.rows) == ("run 6", 2000)  # the books have what the lake says
    assert built(warehouse(spark, tmp_path), Given(version(9)), run="run 9") == []
    assert seen(table) == ({9}, 2000, "run 9", 2000)
    with warehouse(spark, tmp_path).reading() as session:
        rejects = session.connection.execute("SELECT status, count(*) FROM quarantine.rejects GROUP BY 1").fetchall()
        assert rejects == [("open", 1)]


def test_two_drivers_publish_their_own_days_at_once(
    spark: Cluster, cluster: Standalone, drivers: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    ten = "2026-01-01..2026-01-10"
    assert built(warehouse(spark, tmp_path), Given(version(1)), days=ten) == []
    halves = {2: "2026-01-01..2026-01-05", 3: "2026-01-06..2026-01-10"}
    drivers += [driver(cluster, tmp_path, number, days) for number, days in halves.items()]
    for process in drivers:
        told, errors = process.communicate()
        assert (process.returncode, told.strip()) == (0, "[]"), errors
    rows = Seen(tmp_path / "lake", "warehouse", "a").rows()
    found = {(day.day, v) for day, v in zip(rows.column("day").to_pylist(), rows.column("v").to_pylist(), strict=True)}
    assert found == {(day, 2 if day < 6 else 3) for day in range(1, 11)}
    assert rows.num_rows == 2000


def test_the_commands_are_those_of_duckdb(cluster: Standalone, tmp_path: Path) -> None:
    """A run of which one table fails, its rejects, and a plan of the other with its proof."""
    little = Little(tmp_path)
    little.table("fine", body="source = source.mutate(n=source.n + (ROOT / 'more').exists())")
    little.table("broken", body="source = source.mutate(n=ibis.null('int64'))")
    on_spark = {"PIPELINE_ENGINE": "spark", "PIPELINE_SPARK": cluster.address}
    on_spark["PYTHONPATH"] = os.pathsep.join([little.environment["PYTHONPATH"], os.environ["PYTHONPATH"]])
    code, told, errors = little.run("run", environment=on_spark)
    assert code == 1, told + errors
    assert "1 published, 1 failed" in told
    assert "rows_valid: 1 of 1 row rejected, above the budget of 0: n.not_null 1" in told + errors
    assert Seen(tmp_path / "data" / "lake", "extract", "fine").rows().to_pylist() == [
        {"n": 1, "who": "ann@example.org"}
    ]
    (tmp_path / "more").write_text("")
    little.table("fine", body="source = source.mutate(n=source.n + 1)")
    listed, planned = little.many(["quarantine", "list", "--table", "broken"], ["plan", "fine"], environment=on_spark)
    assert listed[0] == 0, listed
    assert "n.not_null" in listed[1]
    assert planned[0] == 0, planned
    assert "Proof: nothing written." in planned[1]
    assert "the lake's 1 table" in planned[1]
    assert "extract.fine" in planned[1]
    for setting, said in (
        ({"PIPELINE_SPARK": "spark://127.0.0.1:1"}, "spark://127.0.0.1:1: no Spark master answers"),
        ({"PATH": str(tmp_path), "JAVA_HOME": ""}, "Spark needs Java, and there is none"),
    ):
        code, told, errors = little.run("run", "fine", environment=on_spark | setting)
        assert code == 2, told + errors
        assert said in told + errors
        assert "Traceback" not in told + errors
