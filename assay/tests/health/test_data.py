"""What must be noticed of data, injected into a real source: found, told once, and resolved when it is mended.

Acceptance 4, 5 and 12, by commands alone: one project of two tables over files, once with Dagster's history in files and
once on Postgres.
"""

from __future__ import annotations

import datetime as dtm
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.health.channel import Channel
from tests.little import ROOT, Little
from tests.postgres import execute

pytestmark = pytest.mark.slow
DAY = dtm.timedelta(days=1)
CANARY = "canary-4b1e"

PEOPLE = '''"""One row per person."""

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import personal, public, table
from assay.sources import Csv


class People(pa.DataFrameModel):
    number: dt.Int64 = pa.Field(ge=0, metadata=public)
    name: dt.String = pa.Field(metadata=personal)
    city: dt.String = pa.Field(isin=["Rome", "Oslo"], metadata=public)

    class Config:
        strict = True
        unique = ["number"]


@table(source=Csv("files", "people.csv"), owner="team:people")
def people(source: ibis.Table) -> Table[People]:
    """People."""
    return source
'''
SALES = '''"""One row per sale."""

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import daily, public, table
from assay.sources import Csv


class Sales(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public)
    number: dt.Int64 = pa.Field(metadata=public)
    amount: dt.Float64 = pa.Field(ge=0, metadata=public)

    class Config:
        strict = True
        unique = ["day", "number"]


@table(source=Csv("files", "sales.csv"), partitions=daily("day", start="{start}"), may_shrink=1.0)
def sales(source: ibis.Table) -> Table[Sales]:
    """Sales."""
    return source
'''


class Pipeline:
    """The project: its files, its commands, and what the channel hears of them."""

    def __init__(self, root: Path) -> None:
        self.little, self.channel = Little(root, is_new=True), Channel()
        self.begun: list[tuple[int, str, str]] = []
        self.today = dtm.datetime.now(dtm.UTC).date()
        self.first = self.today - 60 * DAY
        extract = root / "little" / "extract"
        (extract / "people.py").write_text(PEOPLE)
        (extract / "sales.py").write_text(SALES.replace("{start}", str(self.first)))
        self.people = [f"{number},{CANARY}-zoë-{number},{'Rome' if number % 2 else 'Oslo'}" for number in range(1000)]
        self.deliver_people("\n".join(["number,name,city", *self.people, ""]).encode())

    def deliver_people(self, content: bytes) -> None:
        (self.little.root / "people.csv").write_bytes(content)

    def deliver_sales(self, until: dtm.date, less: dict[dtm.date, float] | None = None) -> None:
        """A hundred sales a day and more towards Sunday; of some days a share."""
        lines = ["day,number,amount"]
        for place in range((until - self.first).days + 1):
            day = self.first + place * DAY
            many = round((100 + 10 * day.weekday() + place % 3) * (less or {}).get(day, 1))
            lines += [f"{day},{number},{number % 7}.5" for number in range(many)]
        (self.little.root / "sales.csv").write_text("\n".join([*lines, ""]))

    def does(self, *commands: str) -> list[tuple[int, str, str]]:
        """Exit code, output and errors of each command."""
        told = {"PIPELINE_ALERTS": self.channel.address}
        return self.little.many(*(command.split() for command in commands), environment=told)

    def looks(self, *commands: str) -> tuple[list[int], list[str], list[dict[str, Any]]]:
        """Do it and look twice: how each ended, the titles of what was told, and what is found."""
        before = len(self.channel.got)
        done = self.does(*commands, "health --notify", "health --notify --json")
        titles = [each["title"].removeprefix("little: ") for each in self.channel.got[before:]]
        return [code for code, _, _ in done], titles, json.loads(done[-1][1])["findings"]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.little.warehouse), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module", params=["files", "postgres"])
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postgres":
            server = request.getfixturevalue("postgres")
            execute(server, "CREATE DATABASE health_of_data")
            address = f"{server.rpartition('/')[0]}/health_of_data"
            patch.setenv("DAGSTER_POSTGRES_URL", address.replace("postgresql:", "postgresql+psycopg2:"))
        pipeline = Pipeline(root)
        if request.param == "postgres":
            settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
            del settings["event_log_storage"]
            settings["storage"] = {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
            (root / "dagster.yaml").write_text(yaml.safe_dump(settings))
        pipeline.begun = pipeline.does("health --notify", "run people", "health --notify")
        yield pipeline
        assert (root / ".dagster" / "history").exists() == (request.param == "files")
    pipeline.channel.server.shutdown()
    pipeline.channel.server.server_close()


def test_without_history_it_is_learning_and_nobody_is_told(pipeline: Pipeline) -> None:
    """Acceptance 12: before the first run and after it; it is never a pass."""
    (before, first, _), _, (after, then, errors) = pipeline.begun
    assert (before, after) == (0, 0), errors
    assert [each.split()[0] for each in (first, then)] == ["LEARNING", "LEARNING"]
    assert "told" not in errors


def shortened(content: bytes) -> bytes:
    """A gzip that ends too early."""
    packed = gzip.compress(content)
    return packed[: len(packed) // 2]


def shifted(content: bytes) -> bytes:
    """A comma more at the beginning of each line."""
    head, *lines = content.splitlines(keepends=True)
    return head + b"".join(b"," + line.replace(b",Rome", b"") for line in lines)


def latin(content: bytes) -> bytes:
    return content.decode().encode("latin-1")


@pytest.mark.parametrize(
    ("malform", "red"),
    [(shortened, " was not built"), (shifted, ".rows_valid is red"), (latin, ".rows_valid is red")],
)
def test_a_malformed_file_is_told_once_without_a_value_and_resolved_when_mended(
    pipeline: Pipeline, malform: Callable[[bytes], bytes], red: str
) -> None:
    """Acceptance 4: the rows of before stay, and the message names the table, the check and whose it is."""
    before, heard = pipeline.rows("FROM extract.people ORDER BY ALL"), len(pipeline.channel.got)
    whole = (pipeline.little.root / "people.csv").read_bytes()
    pipeline.deliver_people(malform(whole))
    (ran, *looked), titles, (found,) = pipeline.looks("run people")
    assert ran in (1, 2)
    assert (looked, titles) == ([2, 2], [f"FAIL extract.people{red}"])
    assert found["owner"] == "team:people"
    assert all(found[name] for name in ("since", "expected", "actual", "todo"))
    assert pipeline.rows("FROM extract.people ORDER BY ALL") == before
    pipeline.deliver_people(whole)
    assert pipeline.looks("run people") == ([0, 0, 0], [f"RESOLVED extract.people{red}"], [])
    assert CANARY not in json.dumps(pipeline.channel.got[heard:])


def test_half_of_a_days_rows_and_a_day_without_any_are_told_though_every_contract_passes(pipeline: Pipeline) -> None:
    """Acceptance 5: `usual` says it with the number, the band and the weekday, before the run as well."""
    before, yesterday = pipeline.today - 2 * DAY, pipeline.today - DAY
    pipeline.deliver_sales(before - DAY)
    assert pipeline.looks(f"run sales --partition {pipeline.first}..{before - DAY}") == ([0, 0, 0], [], [])
    part, red = f"sales --partition {before}", "extract.sales.usual warns"
    pipeline.deliver_sales(before, {before: 0.5})
    ((planned, plan, _),) = pipeline.does(f"plan {part}")
    codes, titles, (found,) = pipeline.looks(f"run {part}", "health --strict", "health")
    assert (planned, codes, titles) == (2, [0, 1, 0, 0, 0], [f"WARN {red}"])
    rows = round((100 + 10 * before.weekday() + 58 % 3) * 0.5)
    assert found["actual"].startswith(f"{before} ({before:%A}): rows {rows}, usually ")
    assert " ".join(found["actual"].split()) in " ".join(plan.split()), "the plan has said the same"
    ((checks,),) = pipeline.rows("SELECT checks FROM ops.publications ORDER BY id DESC LIMIT 1")
    verdicts = {each["name"]: each["passed"] for each in json.loads(checks)}
    assert {"schema", "rows_valid", "unique_key", "reconciles"} < verdicts.keys()
    assert [name for name, passed in verdicts.items() if not passed] == ["usual"]
    pipeline.deliver_sales(before)
    assert pipeline.looks(f"run {part}") == ([0, 0, 0], [f"RESOLVED {red}"], [])
    part = f"sales --partition {yesterday}"
    codes, titles, (found,) = pipeline.looks(f"run {part}")
    assert (codes, titles) == ([0, 0, 0], [f"WARN {red}"])
    assert found["actual"].startswith(f"{yesterday} ({yesterday:%A}): rows 0, usually ")
    pipeline.deliver_sales(yesterday)
    assert pipeline.looks(f"run {part}") == ([0, 0, 0], [f"RESOLVED {red}"], [])
    # Acceptance 12: an old day built again alarms nobody, and changes no verdict.
    old = pipeline.first + 30 * DAY
    judged = "FROM ops.metrics WHERE table_name = 'sales' AND metric = 'rows' ORDER BY ALL"
    known = pipeline.rows(judged)
    pipeline.deliver_sales(pipeline.today - DAY, {old: 0.5})
    assert pipeline.looks(f"run sales --partition {old}") == ([0, 0, 0], [], [])
    after = pipeline.rows(judged)
    assert set(known) < set(after)
    assert [row[-1] for row in set(after) - set(known)] == ["history"]
