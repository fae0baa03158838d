"""A table of a folder's new files in a project: run, killed, planned, rehearsed, read again in full. As commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from tests.little import Little

pytestmark = pytest.mark.slow

TABLE = '''"""One row per sale of the tills."""

import time
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import RejectBudget, internal, table
from assay.sources import Csv
from assay.warehouse import ops

ROOT = Path(__file__).resolve().parents[2]
commit = ops.commit_offsets


def slow(*arguments):
    """Waits where rows and memory are written, and not committed yet."""
    commit(*arguments)
    if (ROOT / "hold").exists():
        (ROOT / "began").write_text("")
        while True:
            time.sleep(1)


ops.commit_offsets = slow


class Sales(pa.DataFrameModel):
    id: dt.Int64 = pa.Field(gt=0, metadata=internal, description="The sale")
    till: dt.String = pa.Field(metadata=internal, description="Where")

    class Config:
        strict = True
        unique = ["id"]


@table(source=Csv("files", "in/*.csv", new_only=True), max_rejects=RejectBudget(rows=5))
def sales(source: ibis.Table) -> Table[Sales]:
    """Every sale."""
    return source
'''


class Shop(Little):
    """The little project with a folder into which tills write."""

    def deliver(self, name: str, *sales: int) -> None:
        (self.root / "in").mkdir(exist_ok=True)
        (self.root / "in" / name).write_text("id,till\n" + "".join(f"{sale},{name[0]}\n" for sale in sales))

    def asked(self, query: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def published(self) -> list[tuple[object, ...]]:
        return self.asked("SELECT * FROM extract.sales ORDER BY ALL")

    def memory(self) -> Mapping[str, object]:
        return json.loads(str(self.asked("SELECT place FROM ops.offsets")[0][0]))["files"]

    def good(self, *arguments: str, code: int = 0, **more: object) -> str:
        found, output, errors = self.run(*arguments, **more)
        assert found == code, output + errors
        return " ".join((output + errors).split())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shop = Shop(tmp_path_factory.mktemp("ran"))
    (shop.root / "little" / "extract" / "sales.py").write_text(TABLE)
    shop.deliver("a.csv", 1, 2)
    shop.good("run")
    return shop.root


@pytest.fixture
def shop(ran: Path, tmp_path: Path) -> Shop:
    """The project after its first run."""
    shop = Shop(tmp_path)
    shutil.copytree(ran, tmp_path, dirs_exist_ok=True)
    return shop


def test_a_run_that_is_killed_leaves_rows_and_memory_together_and_the_next_loses_nothing(shop):
    before = shop.memory()
    assert list(before) == ["a.csv"] or list(before) == ["in/a.csv"]
    shop.deliver("b.csv", 3)
    (shop.root / "hold").write_text("")
    with shop.start("run") as process:
        shop.until("began", process)
        os.kill(process.pid, signal.SIGKILL)
    (shop.root / "hold").unlink()
    assert (shop.memory(), shop.published()) == (before, [(1, "a"), (2, "a")])
    shop.good("run")
    shop.good("run")
    assert shop.published() == [(1, "a"), (2, "a"), (3, "b")]
    assert len(shop.memory()) == 2


def test_a_plan_tells_the_new_rows_and_remembers_nothing(shop):
    before = shop.warehouse.read_bytes()
    output = shop.good("plan")
    assert "nothing changes" in output.lower() or "0 tables change" in output
    shop.deliver("b.csv", 3)
    output = shop.good("plan", "--out", "new.plan", code=2)
    assert "2 -> 3 +1 added" in output
    whole = shop.good("plan", "sales", "--full", "--out", "full.plan", code=2)
    assert "all rows, as asked for" in whole
    assert "is replaced" in whole
    assert json.loads((shop.root / "full.plan").read_text())["full"] is True
    shop.good("run", environment={"PIPELINE_ENV": "dry_run"})
    assert shop.warehouse.read_bytes() == before
    shop.deliver("c.csv", 4)
    assert "the source of sales (files)" in shop.run("apply", "new.plan")[2]
    (shop.root / "in" / "c.csv").unlink()
    assert "the result is the plan" in shop.good("apply", "new.plan")
    assert shop.published() == [(1, "a"), (2, "a"), (3, "b")]


def test_a_changed_file_stops_until_all_are_read_again(shop):
    shop.deliver("a.csv", 1, 2, 5)
    shop.deliver("b.csv", 3, -3)
    output = shop.good("run", code=2)
    assert "in/a.csv: was read, and has changed since. Read all files again: pipeline run sales --full." in output
    assert "Traceback" not in output
    assert shop.published() == [(1, "a"), (2, "a")]
    shop.good("run", "sales", "--full")
    assert shop.published() == [(1, "a"), (2, "a"), (3, "b"), (5, "a")]
    assert shop.asked("SELECT status, count(*) FROM quarantine.rejects GROUP BY 1") == [("open", 1)]
    shop.deliver("c.csv", 4)
    shop.good("run")
    assert shop.asked("SELECT count(*) FROM extract.sales") == [(5,)]
    shop.deliver("b.csv", 3, 6)
    shop.good("plan", "sales", "--full", "--out", "full.plan", code=2)
    assert "the result is the plan" in shop.good("apply", "full.plan")
    assert shop.asked("SELECT status, count(*) FROM quarantine.rejects GROUP BY 1") == [("resolved", 1)]


def test_a_changed_file_with_the_same_rows_is_read_again_by_the_plan_as_well(shop):
    shop.deliver("a.csv", 2, 1)
    shop.good("run", code=2)
    planned = shop.good("plan", "sales", "--full", "--out", "full.plan")
    assert "Built again with the same result: extract.sales (source, requested)" in planned
    assert "the result is the plan" in shop.good("apply", "full.plan")
    shop.deliver("b.csv", 3)
    shop.good("run")
    assert shop.published() == [(1, "a"), (2, "a"), (3, "b")]


def test_reading_all_again_may_not_empty_the_table_of_files_that_are_gone(shop):
    shop.deliver("b.csv", 3)
    (shop.root / "in" / "a.csv").unlink()
    shop.good("run")
    assert len(shop.published()) == 3
    output = shop.good("run", "sales", "--full", code=1)
    assert "2 of 3 published rows would go" in output
    assert len(shop.published()) == 3
    assert len(shop.memory()) == 2


def test_a_key_is_judged_over_all_files(shop):
    shop.deliver("b.csv", 2)
    output = shop.good("run", code=1)
    assert "unique_key" in output
    assert (len(shop.memory()), len(shop.published())) == (1, 2)


def test_a_table_that_was_read_whole_between_is_read_from_the_start(shop):
    """What was read while new_only= was off is not remembered, and must not be added a second time."""
    file = shop.root / "little" / "extract" / "sales.py"
    file.write_text(TABLE.replace(", new_only=True", ""))
    shop.deliver("b.csv", 3)
    shop.good("run")
    assert shop.asked("FROM ops.offsets") == []
    file.write_text(TABLE)
    shop.good("run")
    assert shop.published() == [(1, "a"), (2, "a"), (3, "b")]
    assert len(shop.memory()) == 2


def test_a_golden_case_reads_all_its_files(shop):
    environment = {"CI": "", "PIPELINE_MASK_KEY": "hunter2-hunter2-hunter2"}
    shop.run("golden", "new", "two", "sales", environment=environment)
    given = shop.root / "golden" / "two" / "inputs" / "files" / "in"
    given.mkdir(parents=True, exist_ok=True)
    for old in given.iterdir():
        old.unlink()
    (given / "a.csv").write_text("id,till\n7,x\n")
    (given / "b.csv").write_text("id,till\n8,y\n")
    output = " ".join(" ".join(shop.run("golden", environment=environment)[1:]).split())
    assert "new: 2 rows" in output, output
