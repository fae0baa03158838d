"""A source of a function in a project: run, killed, planned, rehearsed in a golden case, captured. As commands."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from tests.little import Little

pytestmark = pytest.mark.slow

TABLE = '''"""One row per change of an order."""

import json
import time
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, personal, public, table
from assay.sources import FetchContext, Rows

ROOT = Path(__file__).resolve().parents[2]


def changes(context: FetchContext):
    """What a library would give: the changes from `since` on."""
    with (ROOT / "asked").open("a") as file:
        file.write("asked\\n")
    for line in (ROOT / "server.ndjson").read_text().splitlines():
        change = json.loads(line)
        if context.since is None or change["version"] >= context.since:
            yield change
            if change.get("who") == "wait":
                (ROOT / "began").write_text("")
                while True:
                    time.sleep(1)
            if change.get("who") == "token":
                raise RuntimeError(f"refused {context.secret('mask_key')}")


class Changes(pa.DataFrameModel):
    id: dt.Int64 = pa.Field(metadata=internal, description="The order")
    version: dt.Int64 = pa.Field(gt=0, metadata=public, description="Grows with every change")
    who: dt.String = pa.Field(metadata=personal, description="Who changed it")

    class Config:
        strict = True
        unique = ["id", "version"]


@table(source=Rows(changes, "files", "changes", cursor="version"))
def changes_of_orders(source: ibis.Table) -> Table[Changes]:
    """Every change, as it was."""
    return source
'''


class Shop(Little):
    """The little project with a server that is a file."""

    def serve(self, *changes: tuple[int, int, str]) -> None:
        lines = [json.dumps({"id": order, "version": version, "who": who}) for order, version, who in changes]
        (self.root / "server.ndjson").write_text("\n".join(lines))

    def published(self) -> list[tuple[int, int]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute("SELECT id, version FROM extract.changes_of_orders ORDER BY ALL").fetchall()

    def watermark(self) -> Mapping[str, object]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return json.loads(connection.execute("SELECT place FROM ops.offsets").fetchall()[0][0])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    (shop.root / "little" / "extract" / "changes_of_orders.py").write_text(TABLE)
    shop.serve((1, 1, "ann"), (2, 2, "bob"))
    return shop


def test_a_run_that_is_killed_in_the_middle_leaves_the_watermark_and_the_next_loses_nothing(shop):
    assert shop.run("run")[0] == 0
    before = shop.watermark()
    assert before["since"] == "2"
    shop.serve((1, 1, "ann"), (2, 2, "bob"), (3, 2, "cem"), (1, 3, "wait"), (4, 4, "dee"))
    with shop.start("run") as process:
        shop.until("began", process)
        os.kill(process.pid, signal.SIGKILL)
    assert shop.watermark() == before
    assert shop.published() == [(1, 1), (2, 2)]
    shop.serve((1, 1, "ann"), (2, 2, "bob"), (3, 2, "cem"), (1, 3, "eva"), (4, 4, "dee"))
    code, output, errors = shop.run("run")
    assert code == 0, output + errors
    assert shop.published() == [(1, 1), (1, 3), (2, 2), (3, 2), (4, 4)]
    assert shop.watermark()["since"] == "4"


def test_a_table_that_was_read_whole_gets_a_cursor_and_doubles_nothing(shop):
    table = shop.root / "little" / "extract" / "changes_of_orders.py"
    table.write_text(TABLE.replace(', cursor="version"', "").replace('unique = ["id", "version"]', ""))
    assert shop.run("run")[0] == 0
    table.write_text(TABLE.replace('unique = ["id", "version"]', ""))
    shop.serve((1, 1, "ann"), (2, 2, "bob"), (3, 3, "cem"))
    code, output, errors = shop.run("run")
    assert code == 0, output + errors
    assert shop.published() == [(1, 1), (2, 2), (3, 3)]
    assert shop.watermark()["since"] == "3"


def test_a_plan_tells_the_new_rows_and_moves_nothing(shop):
    assert shop.run("run")[0] == 0
    before, file = shop.watermark(), shop.warehouse.read_bytes()
    code, output, errors = shop.run("plan")
    assert (code, "nothing changes" in output.lower() or "0 tables change" in output) == (0, True), output + errors
    shop.serve((2, 2, "bob"), (3, 3, "cem"))
    (shop.root / "asked").write_text("")
    code, output, errors = shop.run("plan", "--out", "new.plan")
    assert code == 2, output + errors
    assert (shop.root / "asked").read_text() == "asked\n", "whoever is asked is asked once, and what came is built"
    assert "2 -> 3   +1 added" in output
    assert "files changed" in output
    assert shop.watermark() == before
    assert shop.warehouse.read_bytes() == file
    code, output, errors = shop.run("run", environment={"PIPELINE_ENV": "dry_run"})
    assert code == 0, output + errors
    assert shop.warehouse.read_bytes() == file
    shop.serve((2, 2, "bob"), (3, 3, "cem"), (4, 4, "dee"))
    assert "the source of changes_of_orders (files)" in shop.run("apply", "new.plan")[2]
    shop.serve((2, 2, "bob"), (3, 3, "cem"))
    code, output, errors = shop.run("apply", "new.plan")
    assert code == 0, output + errors
    assert "the result is the plan" in output
    assert shop.published() == [(1, 1), (2, 2), (3, 3)]


def test_what_goes_wrong_is_one_line_by_its_place_without_a_secret(shop):
    assert shop.run("run")[0] == 0
    before, table = shop.watermark(), shop.root / "little" / "extract" / "changes_of_orders.py"
    shop.serve((3, 3, "token"))
    code, output, errors = shop.run("run", environment={"PIPELINE_MASK_KEY": "hunter2-hunter2-hunter2"})
    assert code == 2, output + errors
    text = " ".join((output + errors).split())
    assert "changes_of_orders.py:" in text
    assert "RuntimeError: refused ***" in text
    assert "hunter2" not in text
    table.write_text(TABLE.replace('if context.since is None or change["version"] >= context.since', "if True"))
    shop.serve((1, 1, "ann"), (4, 4, "dee"))
    code, output, errors = shop.run("run")
    assert code == 2, output + errors
    assert "the cursor went backwards: 1 row with 'version' before 2" in " ".join((output + errors).split())
    assert "Traceback" not in output + errors
    assert shop.watermark() == before


def test_a_golden_case_holds_what_the_function_would_yield(shop):
    environment = {"CI": "", "PIPELINE_MASK_KEY": "hunter2-hunter2-hunter2"}
    code, output, errors = shop.run("golden", "new", "two", "changes_of_orders", environment=environment)
    assert code == 0, output + errors
    given = shop.root / "golden" / "two" / "inputs" / "files" / "changes.ndjson"
    assert given.exists(), output + errors
    given.write_text('{"id": 1, "version": 1, "who": "ann"}\n{"id": 2, "version": "x", "who": "bob"}\n')
    case = given.parents[2] / "case.yml"
    case.write_text(case.read_text() + "expects_checks:\n  changes_of_orders: [rows_valid]\n")
    code, output, errors = shop.run("golden", environment=environment)
    assert "rows.cast" in output, output + errors
    (given.parent / "chances.ndjson").write_text("")
    code, output, errors = shop.run("golden", environment=environment)
    assert "no source reads this file" in output + errors


def test_a_case_is_captured_from_what_was_published_and_rehearses_it(shop):
    assert shop.run("run")[0] == 0
    environment = {"CI": "", "PIPELINE_MASK_KEY": "hunter2-hunter2-hunter2"}
    arguments = ("golden", "capture", "one", "--from", "changes_of_orders", "--where", "id = 2")
    code, output, errors = shop.run(*arguments, environment=environment)
    assert code == 0, output + errors
    given = (shop.root / "golden" / "one" / "inputs" / "files" / "changes.ndjson").read_text()
    found = json.loads(given)
    assert (found["id"], found["version"]) == ("2", "2")
    assert found["who"] != "bob"
    assert "new: 1 row" in output, output
