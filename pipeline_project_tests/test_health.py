"""What is told of the example: not what its tables say of persons, and that its model goes wrong.

A fifth of the example's households, its real model and page, commands in processes, and a channel on loopback. Acceptance 8
and 9 of what `pipeline health` must notice; `assay/tests/health/` has the others.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from pipeline_project.example.demo import retail_folder
from pipeline_project.example.events import write_events
from pipeline_project.example.server import DemoServer
from pipeline_project_tests.repository import ROOT

sys.path.insert(0, str(ROOT / "assay"))
from tests import warm
from tests.health.channel import Channel
from tests.little import MANY

pytestmark = pytest.mark.slow
CANARY = "canary-9c2d"
FEATURES = "transform/redemption_features.py"
CHANGED = ("redemption_features", "redemption_scores", "redemption_model_metrics")
NEW = '(joined.start_date >= "2017-10-01")'
"""Of campaigns that the model is tested on."""


class Shop:
    """The example in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.channel, self.retail = root, Channel(), root / "retail"
        shutil.copytree(ROOT / "pipeline_project", root / "pipeline_project")
        for name in ("pyproject.toml", "dagster.yaml"):
            shutil.copy(ROOT / name, root)
        sample(self.retail)
        self.server = DemoServer(self.retail)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_") and name != "CI"}
        self.environment = {
            **kept,
            "PIPELINE_ALERTS": self.channel.address,
            "PIPELINE_SOURCE_RETAIL_FILES": str(self.retail),
            "PIPELINE_SOURCE_RETAIL_SITE": f"{self.server.address}/site",
            "PIPELINE_SOURCE_RETAIL_API": f"{self.server.address}/api",
            "PIPELINE_SOURCE_RETAIL_EVENTS": str(write_events(self.retail, root / "events")),
        }

    def close(self) -> None:
        self.server.close()
        self.channel.server.shutdown()
        self.channel.server.server_close()

    def does(self, *commands: str) -> list[tuple[int, str, str]]:
        """Exit code, output and errors of each command, all in one process."""
        code = MANY.replace("little.project", "pipeline_project.project")
        given = json.dumps([command.split() for command in commands])
        done = warm.run(["-c", code], cwd=self.root, env=self.environment, given=given)
        assert done.returncode == 0, done.stderr
        return [(code, output, errors) for code, output, errors in json.loads(done.stdout)]

    def looks(self, *commands: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
        """Do it and look twice: the titles of what was told, and what is found by its key."""
        before = len(self.channel.got)
        done = self.does(*commands, "health --notify", "health --notify --json")
        assert [code for code, _, _ in done[: len(commands)]] == [0] * len(commands), done
        titles = [each["title"].removeprefix("pipeline_project: ") for each in self.channel.got[before:]]
        found = [each for each in json.loads(done[-1][1])["findings"] if each["silenced"] is None]
        return titles, {each["key"]: each for each in found}

    def change(self, file: str, old: str, new: str) -> None:
        path = self.root / "pipeline_project" / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


def sample(folder: Path) -> None:
    """A fifth of the households, promotions of what they bought, and a canary in all that they say about themselves."""
    folder.mkdir()
    with duckdb.connect() as sql:
        for file in sorted(retail_folder().glob("*.parquet"), reverse=True):  # transactions before promotions
            sql.execute(f"CREATE VIEW {file.stem} AS FROM '{file}'")
            columns = [name for name, *_ in sql.execute(f"DESCRIBE {file.stem}").fetchall()]
            rows = f"SELECT * FROM {file.stem}" + " WHERE household_id % 5 = 0" * ("household_id" in columns)
            if file.stem == "promotions":
                rows = "SELECT DISTINCT ON (product_id, store_id, week) * FROM promotions"
                rows += f" SEMI JOIN '{folder}/transactions.parquet' USING (product_id, store_id, week)"
            if file.stem == "demographics":
                said = ", ".join(f"'{CANARY}-' || {name} AS {name}" for name in columns if name != "household_id")
                rows = rows.replace("*", f"household_id, {said}", 1)
            sql.execute(f"COPY ({rows}) TO '{folder}/{file.name}' (FORMAT parquet)")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    closed = [
        f"health silence transform.{name}.usual --for 30d --why Christmas" for name in ("transactions", "purchases")
    ]
    done = shop.does("run", *closed)
    assert [code for code, _, _ in done] == [0, 0, 0], done
    yield shop
    shop.close()


def test_persons_are_in_nothing_that_leaves_the_house_and_a_model_that_goes_wrong_is_told(shop: Shop) -> None:
    nothing_says_what_persons_say(shop)
    a_model_that_goes_wrong_is_told(shop)


def nothing_says_what_persons_say(shop: Shop) -> None:
    """Acceptance 8: no message, answer, setting, page or history has it, nor the channel's address."""
    file = shop.retail / "demographics.parquet"
    whole = file.read_bytes()
    with duckdb.connect() as sql:
        sql.execute(f"COPY (FROM '{file}' UNION ALL FROM '{file}') TO '{file}.new' (FORMAT parquet)")
    (shop.retail / "demographics.parquet.new").rename(file)
    shown = shop.does("run raw_demographics", "health --notify", "health --json", "settings", "quarantine list")
    assert [code for code, _, _ in shown] == [1, 2, 2, 0, 0]
    answered = served(shop)
    assert json.loads(answered)["status"] == "fail"
    file.write_bytes(whole)
    assert shop.looks("run raw_demographics")[0] == ["RESOLVED extract.raw_demographics.unique_key is red"]
    assert [each["title"].partition(": ")[2] for each in shop.channel.got] == [
        "FAIL extract.raw_demographics.unique_key is red",
        "RESOLVED extract.raw_demographics.unique_key is red",
    ]
    home, data = shop.root / ".dagster", shop.root / "data"
    with duckdb.connect(str(data / "warehouse.duckdb"), read_only=True) as sql:
        held = sql.execute("SELECT count(*) FROM transform.purchases WHERE income LIKE ? || '%'", [CANARY]).fetchone()
        assert held != (0,), "where it belongs it is"
        books = [str(sql.execute(f"FROM ops.{name}").fetchall()) for name in ("metrics", "publications")]
    page = (data / "dashboard.html").read_text()
    assert "The last 30 builds" in page
    everything = {
        "messages": json.dumps(shop.channel.got),
        "commands": json.dumps(shown),
        "/health": answered,
        "books": "".join(books),
        "page": page,
        "outline": (home / "outline.json").read_text(),
        **{str(file): dump(file) for file in home.rglob("*.db")},
    }
    assert len(everything) > 8
    assert [
        (name, word) for name, text in everything.items() for word in (CANARY, "canary-secret") if word in text
    ] == []


def served(shop: Shop) -> str:
    """What `/health` answers."""
    serving = warm.start(["-m", "pipeline_project", "health", "--serve", "0"], cwd=shop.root, env=shop.environment)
    try:
        address = serving.stdout.readline().split()[0]
        answer = httpx.get(address, timeout=60)
        assert answer.status_code == 503
        return answer.text
    finally:
        serving.terminate()
        serving.communicate()


def dump(file: Path) -> str:
    with sqlite3.connect(file) as connection:
        return "\n".join(connection.iterdump())


def a_model_that_goes_wrong_is_told(shop: Shop) -> None:
    """Acceptance 9, of flipped labels and a feature a hundred times as large: the model's own numbers say the one, the drift of its features names the other."""
    trained = "run redemption_scores redemption_model_metrics"
    assert shop.looks(trained, trained) == ([], {}), "of untouched data there is nothing to say"
    label = "joined.first_redeemed.notnull()"
    shop.change(FEATURES, label, f"{label} ^ {NEW}")
    (title,), found = shop.looks(f"run {' '.join(CHANGED)}")
    model = "check:redemption_model_metrics"
    assert {f"{model}.the_model_beats_the_base_rate", f"{model}.usual"} <= found.keys()
    assert found[f"{model}.usual"]["actual"].startswith("test_auc ")
    assert "FAIL" not in title
    shop.change(FEATURES, f"{label} ^ {NEW}", label)
    assert shop.looks(f"run {' '.join(CHANGED)}") == ([title.replace("WARN", "RESOLVED")], {})
    feature = "ratio(joined.sales, weeks)"
    shop.change(FEATURES, feature, f"{feature} * {NEW}.ifelse(100, 1)")
    titles, found = shop.looks("run redemption_features")
    red = "transform.redemption_features.features_are_distributed_as_the_model_learned_them warns"
    assert titles == [f"WARN {red}"]
    (drifted,) = found.values()
    assert "sales_per_week" in drifted["actual"], drifted
    shop.change(FEATURES, f"{feature} * {NEW}.ifelse(100, 1)", feature)
    assert shop.looks("run redemption_features") == ([f"RESOLVED {red}"], {})
