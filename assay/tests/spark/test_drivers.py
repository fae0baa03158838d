"""Drivers that are killed, seen by a reader without Spark."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from assay.spark.session import Cluster
from assay.spark.warehouse import SparkWarehouse
from tests.spark.driver import FILES, ROWS, built
from tests.spark.seen import Seen

ROOT = Path(__file__).parents[2]


def driver(address: str, folder: Path, number: int, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.spark.driver", address, str(folder), str(number), how]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def warehouse(spark: Cluster, folder: Path) -> SparkWarehouse:
    return SparkWarehouse(
        folder / "w.duckdb", spark.address, str(folder / "lake"), output=folder, scratch=folder, cluster=spark
    )


def seen(lake: Path, name: str) -> tuple[Counter[int], str, int]:
    """How many rows a table has of each version, and what its commit says: its run and its rows."""
    table = Seen(lake, "warehouse", name)
    read = table.table()
    record = table.record_of(read)
    return Counter(read.scan().to_arrow().column("v").to_pylist()), record["run_id"], record["row_count"]


def after(before: Counter[int], number: int, name: str) -> tuple[Counter[int], str, int]:
    """What is seen of a table when a version is published."""
    rows = Counter({number: ROWS})
    if name.startswith("m"):
        rows += before
    elif name.startswith("d"):  # the first half of the days
        rows = Counter({number: ROWS // 2}) + before - Counter({max(before): ROWS // 2})
    return rows, f"run {number}", rows.total()


DEATHS = (
    {
        "w1": "nothing is landed",
        "w2": "rows are handed over",
        "d1": "repeats are staged",
        "m1": "checks are made",
        "w3": "the quarantine is kept",
        "d2": "the commit is next",
        "w4": "the books are kept",
        "w5": "the staging table begins",
        "w6": "a file of rows is written",
        "d3": "a manifest is written",
    },
    {
        "w1": "rows are landed",
        "w2": "rows are staged",
        "w3": "the broken rows are here",
        "d1": "rejects are written",
        "d2": "the books are written",
        "m1": "the commit is made",
        "d3": "nothing is staged any more",
        "w4": "the manifest list is written",
        "w5": "the metadata is written",
        "w6": "the version is there",
    },
)
"""Which table is where when the driver of all of them dies. Each is a Java process whose first table takes as long as ten others."""
DONE = ("the commit is made", "the books are kept", "nothing is staged any more")


def test_of_a_driver_that_is_killed_all_is_seen_or_nothing(
    spark: Cluster, drivers: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Whoever reads meanwhile sees one version whole; the next run goes on, and nothing of the dead one is left."""
    lake, names = tmp_path / "lake", sorted(set().union(*DEATHS))
    assert built(warehouse(spark, tmp_path), 1, names) == []
    for death, moments in enumerate(DEATHS, start=1):
        number, next_number = death * 2, death * 2 + 1
        before = {name: seen(lake, name) for name in names}
        possible = {name: (before[name], after(before[name][0], number, name)) for name in moments}
        drivers.append(driver("local[2]", tmp_path, number, json.dumps(moments)))
        assert drivers[-1].stdout is not None
        assert drivers[-1].stdout.readline() == "all stand still\n", drivers[-1].communicate()
        watched = [name for name, moment in moments.items() if moment in FILES]
        while drivers[-1].poll() is None:
            for name in watched:
                assert seen(lake, name) in possible[name]
        told, errors = drivers[-1].communicate()
        assert (drivers[-1].returncode, told) == (-9, ""), errors
        left = {name: seen(lake, name) for name in names}
        with warehouse(spark, tmp_path).session() as session:  # what the next run begins with
            assert session.lake.tables("warehouse") == names
            books = {name: session.last_publication(name) for name in names}
        for name, moment in moments.items():
            found = seen(lake, name)
            assert found in possible[name], (name, moment)
            assert moment in FILES or found == left[name] == possible[name][moment in DONE], (name, moment)
            last = books[name]
            assert last is not None
            assert (last.run_id, last.rows) == found[1:], (name, moment)
            left[name] = found
        assert built(warehouse(spark, tmp_path), next_number, moments) == []
        for name in names:
            assert seen(lake, name) == after(left[name][0], next_number, name), name
    with warehouse(spark, tmp_path).reading() as session:
        asked = "SELECT table_name, reason_codes[1] FROM quarantine.rejects WHERE status = 'open' ORDER BY ALL"
        rejects = [row for row in session.connection.execute(asked).fetchall() if row[0] != "m1"]  # it gets more
    broken = "v.ge_0"
    assert rejects == [
        (name, reason)
        for name in names
        if name != "m1"
        for reason in ["unique_key.repeat"] * (name[0] == "d") + [broken]
    ]
