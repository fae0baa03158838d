"""What must be noticed, injected into a real pipeline: found, told once, and resolved when it is mended.

One project of 26 tables, one Dagster instance, processes that run, hang and are killed, a daemon, and a channel on loopback.
Given is the clock of the looks alone: nobody waits for an hour and a half. Of the thirteen that were asked for, 1, 2, 3, 6
and 10 are here; malformed sources (4), models (7) and canaries (8) in `test_instance.py`, lost rows (5) and January built
again (12) in `test_usual.py`, labels and features (9) in the example's `test_drift.py`, who is told (11) in
`test_alerts.py`, Postgres (12) in `test_records.py`, the detector's bars (13) in `test_detector.py`.
"""

from __future__ import annotations

import datetime as dtm
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._daemon.controller import get_daemon_statuses
from pydantic import SecretStr

from assay.health.draw import outline
from assay.health.finding import Finding
from assay.health.state import State
from assay.health.verdict import Verdict
from assay.orchestration import alerting, history
from assay.orchestration.origin import repository
from assay.orchestration.records import of_files
from assay.orchestration.state import DAEMONS, look, read_state
from assay.tables.fresh import Fresh
from tests.health.channel import Channel
from tests.little import Little

pytestmark = pytest.mark.slow
MINUTE, HOUR, DAY = dtm.timedelta(minutes=1), dtm.timedelta(hours=1), dtm.timedelta(days=1)

LAND = """
        if ROOT.joinpath("broken").exists():
            raise SourceUnavailable("numbers: the file is no gzip", fix="Ask for it again.")
        while ROOT.joinpath("sleep").exists():
            time.sleep(0.05)
"""
FOLLOWING = '''"""One row per number."""

from pandera.typing.ibis import Table

from assay import table
from little.extract.t0 import Numbers


@table()
def {name}(t0: Table[Numbers]) -> Table[Numbers]:
    """Numbers."""
    return t0.limit(10)
'''
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
    fresh=Fresh.daily("{at}", grace=dtm.timedelta(minutes=1)), newest=("day", dtm.timedelta(hours=50)), owner="team:days",
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


@table(source=EventLog("files", "events"), fresh=Fresh.within(dtm.timedelta(days=300)))
def events(source: ibis.Table) -> Table[Events]:
    """Events."""
    return source
'''
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
        self.little.table("t0", land=LAND)
        for number in range(1, 24):
            (package / "extract" / f"t{number}.py").write_text(FOLLOWING.replace("{name}", f"t{number}"))
        start = (now() - 6 * DAY).date()
        at = f"{now() - 6 * HOUR:%H:%M}"  # looks an hour or two from now are of the same day
        (package / "extract" / "days.py").write_text(DAYS.replace("{start}", str(start)).replace("{at}", at))
        (package / "extract" / "events.py").write_text(EVENTS)
        (package / "definitions.py").write_text(DEFINITIONS)
        self.start, self.log = start, root / "events.ndjson"
        self.write("until", str(now().date()))
        self.append(0, 3)
        code, out, errors = self.little.run("run", *(f"t{number}" for number in range(24)), "events")
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

    def state(self) -> State:
        with of_files(self.home) as records:
            return read_state(records, self.outline, self.project, now(), {})

    def look(self, at: dtm.datetime) -> Verdict:
        with of_files(self.home) as records:
            return look(records, self.outline, self.project, at)

    def sweep(self, at: dtm.datetime) -> tuple[Verdict, list[str]]:
        """The verdict, and the titles of what the channel was told."""
        before = len(self.channel.got)
        settings = self.project.settings().model_copy(update={"alerts": SecretStr(self.channel.address)})
        with history.instance(self.home, bury=False) as instance:
            verdict = alerting.sweep(instance, self.project, self.outline, settings, at).verdict
        return verdict, [each["title"].removeprefix("little: ") for each in self.channel.got[before:]]


def now() -> dtm.datetime:
    return dtm.datetime.now(dtm.UTC)


def only(verdict: Verdict, key: str) -> Finding:
    (found,) = (each for each in verdict.findings if each.key.startswith(key))
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop(tmp_path_factory.mktemp("acceptance"), stack)


def _unload() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "little"]:
        del sys.modules[name]


def test_a_table_never_built_warns_then_fails_and_an_old_day_built_again_hides_nothing(shop: Shop) -> None:
    """Acceptance 2, and of 10: one partition is held back, and that day named."""
    begun = now()
    never = only(shop.look(begun), "late:days")
    assert (never.fatal, never.what, never.owner) == (False, "was never built", "team:days")
    assert only(shop.look(begun + DAY + 2 * MINUTE), "late:days").fatal
    wanted = shop.outline.nodes["days"].fresh.due(begun).date() - DAY  # type: ignore[union-attr]  # it has one
    shop.run("days", partition=f"{shop.start}..{wanted - DAY}")
    verdict, titles = shop.sweep(begun)
    assert only(verdict, "late:days").actual == f"day {wanted} is missing; the newest is {wanted - DAY}"
    assert (verdict.exit_code(), titles) == (2, ["FAIL extract.days is late"])
    shop.run("days", partition=str(shop.start))
    verdict, titles = shop.sweep(begun)
    assert (only(verdict, "late:days").fatal, titles) == (True, []), "an old day is not yesterday"
    shop.run("days", partition=str(wanted))
    verdict, titles = shop.sweep(begun)
    assert (verdict.exit_code(), titles) == (0, ["RESOLVED extract.days is late"])


def test_a_newest_row_that_is_too_old_is_told_and_resolved(shop: Shop) -> None:
    """Acceptance 10: the source goes on delivering, and nothing new is in it."""
    shop.write("until", str(shop.start + 2 * DAY))
    shop.run("days")
    verdict, titles = shop.sweep(now())
    old = only(verdict, "old:days")
    assert old.actual.startswith(f"it is {shop.start + 2 * DAY}, ")
    assert (verdict.exit_code(), titles, shop.sweep(now())[1]) == (2, ["FAIL extract.days has no new rows"], [])
    shop.write("until", str(now().date()))
    shop.run("days")
    verdict, titles = shop.sweep(now())
    assert (verdict.exit_code(), titles) == (0, ["RESOLVED extract.days has no new rows"])


def test_a_run_that_takes_too_long_is_told_while_it_runs_and_when_it_is_killed(shop: Shop) -> None:
    """Acceptance 3: the next run waits behind the dead one, and that one is named."""
    for _ in range(4):
        shop.run("t0")
    waiting = shop.write("sleep")
    running = shop.little.start("run", "t0")
    while not [each for each in shop.state().runs if each.status == "running" and each.started]:
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    assert not [each for each in shop.look(now()).findings if each.key.startswith("slow:")], "it began just now"
    verdict, titles = shop.sweep(now() + HOUR)
    slow = only(verdict, "slow:")
    assert slow.actual.startswith("1 h")
    assert titles == [f"FAIL {slow.subject} takes too long"]
    assert shop.sweep(now() + HOUR)[1] == []
    running.kill()
    running.communicate()
    waiting.unlink()
    with history.instance(shop.home, bury=False) as instance:
        place = repository(shop.project).get_job_origin("pipeline")
        queued = dg.DagsterRun("pipeline", run_id="q" * 36, status=DagsterRunStatus.QUEUED, remote_job_origin=place)
        instance.run_storage.add_run(queued)
        verdict, titles = shop.sweep(now() + 6 * MINUTE)
        dead = only(verdict, "dead:")
        assert dead.also == ("run qqqqqqqq waits for it",)
        assert f"The process of this run, {running.pid} on" in dead.actual
        assert titles == [f"FAIL {dead.subject} is dead, and 1 more"], "and that it is no longer slow"
        instance.delete_run(queued.run_id)
    shop.run("t0")
    verdict, titles = shop.sweep(now() + 7 * MINUTE)
    assert (verdict.exit_code(), titles) == (0, [f"RESOLVED {dead.subject} is dead"])


def test_events_that_nobody_reads_are_told_while_another_process_holds_the_warehouse(shop: Shop) -> None:
    """Acceptance 6: and a log that is another one is no lag of zero, and nothing is read twice."""
    shop.append(3, 500)
    holding = f"import duckdb, sys; c = duckdb.connect({str(shop.little.warehouse)!r}); print('held', flush=True); sys.stdin.read()"
    begun = now()
    with subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert shop.sweep(begun)[1] == []
        assert shop.sweep(begun + 14 * MINUTE)[1] == []
        verdict, titles = shop.sweep(begun + 16 * MINUTE)
        assert only(verdict, "unread:events").actual == "500 unread events, the last read 16 min ago"
        assert (verdict.exit_code(), titles) == (2, ["FAIL extract.events does not read its event log"])
        assert shop.sweep(begun + 17 * MINUTE)[1] == []
        holder.communicate("")
    whole = shop.log.read_text()
    shop.log.write_text("".join(whole.splitlines(keepends=True)[2:]))
    skipped = only(shop.look(begun + MINUTE), "unread:events")
    assert (skipped.fatal, skipped.what) == (True, "cannot tell what of its event log is unread")
    shop.log.write_text(whole)
    for _ in "12":
        shop.run("events")
        with duckdb.connect(str(shop.little.warehouse), read_only=True) as connection:
            counted = connection.execute("SELECT count(*), count(DISTINCT n), max(n) FROM extract.events").fetchone()
        assert counted == (503, 503, 502), "each event is there, and once"
    verdict, titles = shop.sweep(begun + 20 * MINUTE)
    assert (verdict.exit_code(), titles) == (0, ["RESOLVED extract.events does not read its event log"])


def test_tables_that_nobody_builds_are_one_finding_and_one_message_until_they_are_built(shop: Shop) -> None:
    """Acceptance 1: at 89 minutes after the hour all is well, at 91 not."""
    tables = [f"t{number}" for number in range(24)]
    state = shop.state()
    at = (max(state.built[name].at for name in tables) + MINUTE).replace(second=0, microsecond=0)
    fresh = Fresh.daily(f"{at:%H:%M}", grace=90 * MINUTE)
    shop.outline = outline(shop.project.graph, fresh)
    if "days" not in state.built:
        shop.run("days")
    assert shop.look(at + 89 * MINUTE).exit_code() == 0
    verdict, titles = shop.sweep(at + 91 * MINUTE)
    late = only(verdict, "")
    assert (late.key, late.fatal, len(late.also)) == ("late:t0", True, 23)
    assert late.since == at + 90 * MINUTE
    assert (verdict.exit_code(), titles) == (2, ["FAIL extract.t0 is late"])
    assert shop.sweep(at + 92 * MINUTE)[1] == []
    while now() <= at:
        time.sleep(0.5)
    shop.run(*tables)
    verdict, titles = shop.sweep(at + 100 * MINUTE)
    shop.outline = outline(shop.project.graph)
    assert (verdict.exit_code(), titles) == (0, ["RESOLVED extract.t0 is late"])


def test_dagsters_daemon_tells_by_itself_and_its_death_is_told(shop: Shop) -> None:
    """Acceptance 1 and 11: the sensor in a real daemon tells a failure once, and that it is over; then the daemon dies."""
    channel = Channel()
    broken = shop.write("broken")
    shop.run("t0", code=2)
    origin = repository(shop.project).get_instigator_origin("daily")
    daily = InstigatorState(
        origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("0 6 * * *")
    )
    with history.instance(shop.home, bury=False) as instance:
        instance.add_instigator_state(daily)
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "little.definitions"]
    environment = {
        **shop.little.environment,
        "DAGSTER_HOME": str(shop.home),
        "PIPELINE_ALERTS": channel.address,
    }
    log = shop.little.root / "daemon.log"
    with log.open("w") as output:
        daemon = subprocess.Popen(command, cwd=shop.little.root, env=environment, stdout=output, stderr=output)
    try:
        _until(lambda: bool(channel.got), daemon, log)
        broken.unlink()
        shop.run("t0")
        _until(lambda: len(channel.got) > 1, daemon, log)
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)
    titles = [each["title"] for each in channel.got]
    red = "extract.t0 was not built"
    assert titles == [f"little: FAIL {red}", f"little: RESOLVED {red}"], "whatever it looked at between"
    channel.server.shutdown()
    channel.server.server_close()
    with history.instance(shop.home, bury=False) as instance:
        beats = instance.get_daemon_heartbeats()
        last = dtm.datetime.fromtimestamp(min(beats[name].timestamp for name in DAEMONS if name in beats), dtm.UTC)
        statuses = get_daemon_statuses(instance, ["SCHEDULER"], curr_time_seconds=(last + 6 * MINUTE).timestamp())
        assert statuses["SCHEDULER"].healthy, "Dagster waits for half an hour"
        assert not [each for each in shop.look(last + 4 * MINUTE).findings if each.key == "daemon"]
        dead = only(shop.look(last + 6 * MINUTE), "daemon")
        assert (dead.fatal, dead.since) == (True, last)
        assert "schedule daily" in dead.expected
        instance.update_instigator_state(daily.with_status(InstigatorStatus.STOPPED))
        off = only(shop.look(last), "schedule:daily")
        assert (off.fatal, off.what) == (False, "is off")
    assert os.environ.get("PIPELINE_ALERTS") is None


def _until(done: Any, daemon: subprocess.Popen[bytes], log: Path) -> None:
    while not done():
        assert daemon.poll() is None, log.read_text()
        time.sleep(0.1)
