"""The commands on Spark, and what stands in their way: each is one line, and what was published before stays."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests import warm
from tests.little import Little
from tests.spark.seen import Seen
from tests.standalone import Standalone

LAND = """
        ROOT.joinpath('landed').write_text('')
        while (ROOT / 'hold').exists():
            time.sleep(0.05)
        if (ROOT / 'slow').exists():
            return Landed("SELECT range AS n, 'ann@example.org' AS who FROM range(300000)", "1")
"""
BODY = """
    source = source.mutate(n=source.n + int((ROOT / 'more').exists()))
    if (ROOT / 'slow').exists():  # its first stage shuffles, which leaves a file; the second tries pairs for hours
        source = source.distinct()
        other = source.view().rename(m="n", whose="who")
        source = source.join(other, [(source.n + other.m) % 1000003 == 1]).select("n", "who")
"""


def left(folder: Path) -> list[str]:
    """The processes of Java whose scratch is in the folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_text()
        except OSError:
            continue
        if "java" in command and str(folder) in command:
            found.append(command)
    return found


def until(process: warm.Process, folder: Path, pattern: str) -> None:
    """Wait for a file."""
    while not any(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def line_of(process: warm.Process, code: int) -> str:
    """The one line of a command that ends with this code."""
    told, errors = process.communicate(timeout=400)
    assert process.returncode == code, told + errors
    assert "Traceback" not in told + errors
    (line,) = (each for each in errors.splitlines() if each.startswith("error: "))
    return line


@pytest.mark.slow
def test_the_commands_are_those_of_duckdb(cluster: Standalone, tmp_path: Path) -> None:
    """A run of which one table fails, its rejects; runs that are interrupted, or whose cluster dies; a plan with its proof."""
    little, lake = Little(tmp_path), tmp_path / "data" / "lake"
    fine = little.table("fine", land=LAND, body=BODY)
    little.table("broken", body="source = source.mutate(n=ibis.null('int64'))")
    on_spark = {"PIPELINE_ENGINE": "spark", "PIPELINE_SPARK": cluster.address}
    on_spark["PYTHONPATH"] = os.pathsep.join([little.environment["PYTHONPATH"], os.environ["PYTHONPATH"]])
    code, told, errors = little.run("run", environment=on_spark)
    assert code == 1, told + errors
    assert "1 published, 1 failed" in told
    assert "rows_valid: 1 of 1 row rejected, above the budget of 0 rows: n.not_null 1" in told + errors
    seen = Seen(lake, "extract", "fine")
    first = [{"n": 1, "who": "ann@example.org"}]
    assert seen.rows().to_pylist() == first

    (tmp_path / "slow").touch()
    process = little.start("run", "fine", environment=on_spark | {"PIPELINE_SPARK": "local[1]"})
    until(process, tmp_path, "data/scratch/spark_*/blockmgr-*/*/shuffle_*")
    process.send_signal(signal.SIGINT)
    assert line_of(process, 130).startswith("error: interrupted while building fine; nothing of it was published.")
    assert left(tmp_path) == []
    (tmp_path / "slow").unlink()

    (tmp_path / "hold").touch()
    (tmp_path / "landed").unlink()
    mortal = Standalone(tmp_path, workers=1)
    try:
        process = little.start("run", "fine", environment=on_spark | {"PIPELINE_SPARK": mortal.address})
        until(process, tmp_path, "landed")
        for each in mortal.processes:
            os.killpg(each.pid, signal.SIGKILL)
        (tmp_path / "hold").unlink()
        told, errors = process.communicate(timeout=400)
    finally:
        mortal.stop()
    assert process.returncode == 2, told + errors
    assert (told + errors).count(f"{mortal.address}: the master or its workers have not answered for 20 s") == 1
    assert "Traceback" not in told + errors
    assert left(tmp_path) == []
    assert seen.rows().to_pylist() == first

    (tmp_path / "more").touch()
    fine.write_text(fine.read_text().replace("source.n + int", "source.n + 1 + int"))
    commands = ["quarantine", "list", "--table", "broken"], ["plan", "fine"], ["run", "fine"]
    listed, planned, run = little.many(*commands, environment=on_spark)
    assert listed[0] == 0, listed
    assert "n.not_null" in listed[1]
    assert planned[0] == 2, planned  # something changes
    assert "Proof: nothing written." in planned[1]
    assert "the lake's 1 table" in planned[1]
    assert "extract.fine" in planned[1]
    assert run[0] == 0, run
    assert seen.rows().to_pylist() == [{"n": 3, "who": "ann@example.org"}]
    assert [each.name for each in (lake / "extract").iterdir()] == ["fine"]
    assert left(tmp_path) == []


def test_what_is_missing_is_told_before_spark_is_started(cluster: Standalone, tmp_path: Path) -> None:
    little = Little(tmp_path)
    little.table("fine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    on_spark = {"PIPELINE_ENGINE": "spark", "PIPELINE_SPARK": cluster.address}
    on_spark["PYTHONPATH"] = os.pathsep.join([little.environment["PYTHONPATH"], os.environ["PYTHONPATH"]])
    for setting, said in (
        ({"PIPELINE_SPARK": "spark://127.0.0.1:1"}, "spark://127.0.0.1:1: no Spark master answers"),
        ({"PATH": str(tmp_path), "JAVA_HOME": ""}, "Spark needs Java, and there is none"),
        ({"PIPELINE_LAKE": str(tmp_path / "full")}, "full: is no lake: it holds notes.txt"),
        (
            {"PIPELINE_LAKE_CATALOG": "jdbc:postgresql://ann:secret@127.0.0.1:1/books"},
            "jdbc:postgresql://127.0.0.1:1/books: the catalog does not answer",
        ),
    ):
        code, told, errors = little.run("run", "fine", environment=on_spark | setting)
        assert code == 2, told + errors
        assert (told + errors).count(said) == 1
        assert "Traceback" not in told + errors
        assert "secret" not in told + errors
