"""The pipeline of `test_acceptance.py`: 26 tables, a Dagster instance, a channel, and a look at it at any time."""

from __future__ import annotations

import datetime as dtm
import importlib
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from assay.health.draw import outline
from assay.health.finding import Finding
from assay.health.state import State
from assay.health.verdict import Verdict
from assay.orchestration import alerting, history
from assay.orchestration.records import of_files
from assay.orchestration.state import look, read_state
from tests import warm
from tests.health.channel import Channel
from tests.little import MANY, Little

MINUTE, HOUR, DAY = dtm.timedelta(minutes=1), dtm.timedelta(hours=1), dtm.timedelta(days=1)
NUMBERS = [f"t{number}" for number in range(24)]

LAND = """
        if ROOT.joinpath("broken").exists():
            raise SourceError("numbers: the file is no gzip", fix="Ask for it again.")
        getattr(__import__("__main__"), "pass_some_time", int)()
        while ROOT.joinpath("sleep").exists():
            time.sleep(0.05)
"""
DAYS = '''"""One row per day, up to the one in the file `until`."""

import datetime as dtm
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import Fresh, daily, public, table
from assay.sources.base import Landed, ReadWhole

ROOT = Path(__file__).resolve().parents[2]


class Days(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public)

    class Config:
        strict = True


@dataclass(frozen=True)
class Given(ReadWhole):
    location: str = "files"
    columns = None

    def fingerprint(self, base, transport=None):
        return ROOT.joinpath("until").read_text()

    def land(self, landing):
        until = ROOT.joinpath("until").read_text()
        days = f"range(DATE '{start}', DATE '{until}' + 1, INTERVAL 1 DAY)".replace("{until}", until)
        return Landed(f"SELECT CAST(unnest({days}) AS DATE) AS day".replace("{days}", days), until)


@table(
    source=Given(), partitions=daily("day", start="{start}"), may_be_empty=True, may_shrink=1.0,
    fresh=Fresh.daily("{at}", grace=dtm.timedelta(minutes=1)), newest=("day", dtm.timedelta(hours=60)), owner="team:days",
)
def days(source: ibis.Table) -> Table[Days]:
    """Days."""
    return source
'''
EVENTS = '''"""One row per event."""

import datetime as dtm

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import Fresh, public, table
from assay.sources import EventLog


class Events(pa.DataFrameModel):
    n: dt.Int64 = pa.Field(metadata=public)
    event_offset: dt.Int64 = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["event_offset"]


@table(
    source=EventLog("files", "events"), fresh=Fresh.within(dtm.timedelta(days=300)),
    owner="team:events",
)
def events(source: ibis.Table) -> Table[Events]:
    """Events."""
    return source
'''
CLOCK = """
import datetime, itertools, time
from dagster import _time

real, passed, number = time.time, [-{ago}], itertools.count()
time.time = lambda: real() + passed[0]
_time._mockable_get_current_timestamp = time.time
_time._mockable_get_current_datetime = lambda: datetime.datetime.fromtimestamp(time.time(), datetime.timezone.utc)

def pass_some_time():
    passed[0] += {lasting} * (1 + next(number) / 2 / {times})
"""
DEFINITIONS = """
import dagster as dg
from assay.definitions import build_assets, build_resources, daily_schedule, health_sensors, project_jobs
from little.project import project

sensors = health_sensors(project)
for sensor in sensors:
    sensor._min_interval = 1  # a minute is long for who waits
defs = dg.Definitions(
    assets=build_assets(project), resources=build_resources(project), jobs=project_jobs(project),
    schedules=[daily_schedule(project, hour=6, timezone="UTC")], sensors=sensors, executor=dg.in_process_executor,
)
"""


class Shop:
    """The pipeline, of which all but `days` is built, and a look at it at any time."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.little, self.channel = Little(root), Channel()
        stack.callback(self.channel.server.server_close)
        stack.callback(self.channel.server.shutdown)
        package = root / "little"
        for name in NUMBERS:
            file = self.little.table(name, land=LAND)
            file.write_text(file.read_text().replace("@table(", "@table(owner='team:numbers', "))
        start = (now() - 6 * DAY).date()
        at = f"{now() - 6 * HOUR:%H:%M}"  # looks an hour or two from now are of the same day
        (package / "extract" / "days.py").write_text(DAYS.replace("{start}", str(start)).replace("{at}", at))
        (package / "extract" / "events.py").write_text(EVENTS)
        (package / "definitions.py").write_text(DEFINITIONS)
        self.start, self.log = start, root / "events.ndjson"
        self.write("until", str(now().date()))
        self.append(0, 3)
        code, out, errors = self.little.run("run", *NUMBERS, "events")
        assert code == 0, out + errors
        sys.path.insert(0, str(root))
        importlib.invalidate_caches()
        stack.callback(sys.path.remove, str(root))
        stack.callback(_unload)
        self.project: Any = importlib.import_module("little.project").project
        self.outline = outline(self.project.graph)
        self.home = root / ".dagster"

    def write(self, name: str, text: str = "") -> Path:
        file = self.little.root / name
        file.write_text(text)
        return file

    def append(self, first: int, count: int) -> None:
        with self.log.open("a") as log:
            log.writelines(json.dumps({"n": number}) + "\n" for number in range(first, first + count))

    def run(self, *names: str, partition: str | None = None, code: int = 0) -> None:
        found = self.little.run("run", *names, *(["--partition", partition] if partition else []))
        assert found[0] == code, found

    def run_before(self, ago: dtm.timedelta, *names: str, times: int = 1, lasting: float = 0) -> None:
        """Let runs have begun so long ago, each lasting so many seconds at least and half of them more at most: by their clock."""
        clock = CLOCK.replace("{ago}", str(ago.total_seconds())).replace("{times}", str(times))
        code = clock.replace("{lasting}", str(lasting)) + MANY
        given = json.dumps([["run", *names]] * times)
        done = warm.run(["-c", code], cwd=self.little.root, env=self.little.environment, given=given)
        assert [each[0] for each in json.loads(done.stdout)] == [0] * times, done

    def state(self) -> State:
        with of_files(self.home) as records:
            return read_state(records, self.outline, self.project, now(), {})

    def look(self, at: dtm.datetime) -> Verdict:
        with of_files(self.home) as records:
            return look(records, self.outline, self.project, at)

    def sweep(self, at: dtm.datetime, others: str = "") -> tuple[Verdict, list[str]]:
        """The verdict, and the titles of what the channel was told; `others` have channels of their own."""
        before = len(self.channel.got)
        alerts = SecretStr(f"{self.channel.address} {others}")
        settings = self.project.settings().model_copy(update={"alerts": alerts})
        with history.instance(self.home, bury=False) as instance:
            verdict = alerting.sweep(instance, self.project, self.outline, settings, at).verdict
        return verdict, [each["title"].removeprefix("little: ") for each in self.channel.got[before:]]


def _unload() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "little"]:
        del sys.modules[name]


def now() -> dtm.datetime:
    return dtm.datetime.now(dtm.UTC)


def only(verdict: Verdict, key: str) -> Finding:
    (found,) = (each for each in verdict.findings if each.key.startswith(key))
    return found
