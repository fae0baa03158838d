"""What must be noticed, injected into a real pipeline: found, told once, and resolved when it is mended.

One project of 26 tables, one Dagster instance, processes that run, hang and are killed, a daemon, and a channel on loopback.
Given are clocks alone: nobody waits for an hour and a half. The tests may run in any order. Of the thirteen that were asked for, 1, 2, 3, 6, 10 and 11 are
here; 4, 5 and 12 in `test_data.py`, a model without a seed (7) and canaries (8) in `test_instance.py`, the detector's bars
(13) in `test_detector.py`, the example's model (9) and page (8) in the example's `test_health.py`.
"""

from __future__ import annotations

import datetime as dtm
import os
import subprocess
import sys
import threading
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

from assay.health.draw import outline
from assay.orchestration import history
from assay.orchestration.origin import repository
from assay.orchestration.state import DAEMONS
from assay.tables.fresh import Fresh
from tests.health.acceptance import DAY, HOUR, MINUTE, NUMBERS, Shop, now, only
from tests.health.channel import Channel

pytestmark = pytest.mark.slow
SECOND = dtm.timedelta(seconds=1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop(tmp_path_factory.mktemp("acceptance"), stack)


def test_a_table_never_built_warns_then_fails_and_an_old_day_built_again_hides_nothing(shop: Shop) -> None:
    """Acceptance 2 and 10: one partition is held back, and that day named; then the newest row is too old."""
    begun = now()
    never = only(shop.look(begun), "late:days")
    assert (never.fatal, never.what, never.owner) == (False, "was never built", "team:days")
    assert shop.sweep(begun)[1] == [], "a new table has time until its first grace is over"
    verdict, titles = shop.sweep(begun + DAY + 2 * MINUTE)
    assert (only(verdict, "late:days").fatal, titles) == (True, ["FAIL extract.days was never built"])
    assert shop.little.run("health", "forget")[0] == 0
    wanted = shop.outline.nodes["days"].fresh.due(begun).date() - DAY  # type: ignore[union-attr]  # it has one
    shop.run("days", partition=f"{shop.start}..{wanted - DAY}")
    verdict, titles = shop.sweep(begun)
    assert only(verdict, "late:days").actual == f"day {wanted} is missing; the newest is {wanted - DAY}"
    assert (verdict.exit_code(), titles) == (2, ["FAIL extract.days is late"]), "what was forgotten is told again"
    assert f"day {wanted} is missing" in shop.channel.got[-1]["message"]
    shop.run("days", partition=str(shop.start))
    verdict, titles = shop.sweep(begun)
    assert (only(verdict, "late:days").fatal, titles) == (True, []), "an old day is not yesterday"
    shop.run("days", partition=str(wanted))
    verdict, titles = shop.sweep(begun)
    assert (verdict.exit_code(), titles) == (0, ["RESOLVED extract.days is late"])
    # Acceptance 10: the source goes on delivering, and nothing new is in it.
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
    shop.run_before(21 * MINUTE, "t0", times=20, lasting=40)
    waiting = shop.write("sleep")
    running = shop.little.start("run", "t0")
    while not (begun := [each.started for each in shop.state().runs if each.status == "running" and each.started]):
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    assert shop.sweep(begun[0] + 59 * SECOND)[1] == []
    verdict, titles = shop.sweep(begun[0] + 200 * SECOND)
    slow = only(verdict, "slow:")
    assert slow.actual == "3 min 20 s so far"
    assert titles == [f"FAIL {slow.subject} takes too long"]
    assert shop.sweep(begun[0] + 201 * SECOND)[1] == []
    running.kill()
    running.communicate()
    waiting.unlink()
    with history.instance(shop.home, bury=False) as instance:
        place = repository(shop.project).get_job_origin("pipeline")
        queued = dg.DagsterRun("pipeline", run_id="q" * 36, status=DagsterRunStatus.QUEUED, remote_job_origin=place)
        instance.run_storage.add_run(queued)
        verdict, titles = shop.sweep(now() + 5 * MINUTE + SECOND)
        dead = only(verdict, "dead:")
        assert dead.also == ("run qqqqqqqq waits for it",)
        assert f"The process of this run, {running.pid} on" in dead.actual
        assert titles == [f"FAIL {dead.subject} is dead, and 1 more"], "and that it is no longer slow"
        assert shop.sweep(now() + 5 * MINUTE + SECOND)[1] == []
        instance.delete_run(queued.run_id)
    shop.run("t0")
    verdict, titles = shop.sweep(now() + 6 * MINUTE)
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
        assert shop.sweep(begun + 15 * MINUTE)[1] == []
        verdict, titles = shop.sweep(begun + 15 * MINUTE + 2 * SECOND)
        assert only(verdict, "unread:events").actual == "500 unread events, the last read 15 min 2 s ago"
        assert (verdict.exit_code(), titles) == (2, ["FAIL extract.events does not read its event log"])
        assert shop.sweep(begun + 17 * MINUTE)[1] == []
        holder.communicate("")
    for _ in "12":
        shop.run("events")
        with duckdb.connect(str(shop.little.warehouse), read_only=True) as connection:
            counted = connection.execute("SELECT count(*), count(DISTINCT n), max(n) FROM extract.events").fetchone()
        assert counted == (503, 503, 502), "each event is there, and once"
    verdict, titles = shop.sweep(begun + 20 * MINUTE)
    assert (verdict.exit_code(), titles) == (0, ["RESOLVED extract.events does not read its event log"])
    whole = shop.log.read_text()
    shop.log.write_text("".join(whole.splitlines(keepends=True)[2:]))
    verdict, titles = shop.sweep(begun + 20 * MINUTE)
    what = "extract.events cannot tell what of its event log is unread"
    assert (verdict.exit_code(), titles) == (2, [f"FAIL {what}"]), "offsets are skipped"
    shop.log.write_text(whole)
    assert shop.sweep(begun + 21 * MINUTE)[1] == [f"RESOLVED {what}"]


def test_tables_that_nobody_builds_are_one_finding_and_one_message_until_they_are_built(shop: Shop) -> None:
    """Acceptance 1: at 89 minutes after the hour all is well, at 91 not."""
    shop.run_before(2 * HOUR, *NUMBERS)
    shop.run("events")  # whatever failed between them is over
    at = now().replace(second=0, microsecond=0)
    shop.outline = outline(shop.project.graph, Fresh.daily(f"{at:%H:%M}", grace=90 * MINUTE))
    assert shop.look(at + 89 * MINUTE).exit_code() == 0
    verdict, titles = shop.sweep(at + 91 * MINUTE)
    (late,) = (each for each in verdict.findings if each.fatal)
    assert (late.key, len(late.also)) == ("late:t0", 23)
    assert late.since == at + 90 * MINUTE
    assert (verdict.exit_code(), titles) == (2, ["FAIL extract.t0 is late"])
    assert shop.sweep(at + 92 * MINUTE)[1] == []
    shop.run(*NUMBERS)
    verdict, titles = shop.sweep(at + 100 * MINUTE)
    shop.outline = outline(shop.project.graph)
    assert (verdict.exit_code(), titles) == (0, ["RESOLVED extract.t0 is late"])


def test_one_outage_of_24_tables_is_one_message_that_nobody_misses_or_hears_twice(shop: Shop) -> None:
    """Acceptance 11: the channel is down three times, an owner has a channel of its own and another has none."""
    own, begun = Channel(), now()
    events = f"team:events={own.address}"
    broken, log = shop.write("broken"), shop.log.rename(shop.log.with_suffix(".gone"))
    shop.run(*NUMBERS, "events", code=2)
    shop.channel.codes = [500] * 3
    told = [shop.sweep(begun + number * MINUTE, events)[1] for number in range(64)]
    red = "extract.t0 was not built, and 23 more"
    assert told == [[]] * 3 + [[f"FAIL {red}"]] + [[]] * 60
    assert shop.little.run("health", "--notify", environment={"PIPELINE_ALERTS": shop.channel.address})[0] == 2
    broken.unlink()
    log.rename(shop.log)
    shop.run(*NUMBERS, "events")
    verdict, titles = shop.sweep(begun + HOUR, events)
    assert (verdict.exit_code(), titles) == (0, [f"RESOLVED {red}"]), "and a process that began anew told nobody again"
    red = "little: {} extract.events was not built"
    assert [each["title"] for each in own.got] == [red.format("FAIL"), red.format("RESOLVED")]
    own.server.shutdown()
    own.server.server_close()


def test_a_silence_hides_nothing_from_the_verdict_and_ends(shop: Shop) -> None:
    """Acceptance 11; and then two processes look at once: of what is open at most one message is repeated, and none lost."""
    broken, red = shop.write("broken"), "extract.t0 was not built"
    assert shop.little.run("health", "silence", "extract.t*", "--for", "2h", "--why", "it moves")[0] == 0
    shop.run("t0", code=2)
    verdict, titles = shop.sweep(now())
    assert (verdict.exit_code(), titles) == (2, [])
    assert str(only(verdict, "failed:t0").silenced).endswith(": it moves")
    verdict, titles = shop.sweep(now() + 2 * HOUR)
    assert (only(verdict, "failed:t0").silenced, titles) == (None, [f"FAIL {red}"])
    assert shop.little.run("health", "forget")[0] == 0
    before, told = len(shop.channel.got), {"PIPELINE_ALERTS": shop.channel.address}
    shop.channel.together = threading.Barrier(2)
    both = [shop.little.start("health", "--notify", environment=told) for _ in "12"]
    for each in both:
        each.communicate()
        assert each.returncode == 2
    shop.channel.together = None
    titles = [each["title"] for each in shop.channel.got[before:]]
    assert titles in ([f"little: FAIL {red}"], [f"little: FAIL {red}"] * 2)
    assert shop.sweep(now())[1] == []
    broken.unlink()
    shop.run("t0")
    assert shop.sweep(now())[1] == [f"RESOLVED {red}"]


def test_dagsters_daemon_tells_by_itself_and_its_death_is_told(shop: Shop) -> None:
    """Acceptance 1 and 11: the sensor in a real daemon tells a failure once, and that it is over; then the daemon dies."""
    channel = Channel()
    assert shop.little.run("health", "forget")[0] == 0
    assert "schedule daily" not in shop.little.run("health")[1], "nobody waits for one where no daemon ever was"
    broken = shop.write("broken")
    shop.run("t0", code=2)
    origin = repository(shop.project).get_instigator_origin("daily")
    daily = InstigatorState(
        origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("0 6 * * *")
    )
    with history.instance(shop.home, bury=False) as instance:
        instance.add_instigator_state(daily)
    assert only(shop.look(now()), "daemon").actual == "none was ever seen"
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
        verdict, titles = shop.sweep(last + 6 * MINUTE)
        dead = only(verdict, "daemon")
        assert (dead.fatal, dead.since, titles) == (True, last, ["FAIL Dagster's daemon does not answer"])
        assert shop.sweep(last + 7 * MINUTE)[1] == []
        assert shop.sweep(last + 4 * MINUTE)[1] == ["RESOLVED Dagster's daemon does not answer"]
        assert "schedule daily" in dead.expected
        instance.update_instigator_state(daily.with_status(InstigatorStatus.STOPPED))
        off = only(shop.look(last), "schedule:daily")
        assert (off.fatal, off.what) == (False, "is off")
        instance.schedule_storage.delete_instigator_state(origin.get_id(), origin.get_selector().get_id())  # type: ignore[union-attr]
    assert "schedule daily is off" in shop.little.run("health")[1], "also one that nobody ever turned on"
    assert os.environ.get("PIPELINE_ALERTS") is None


def _until(done: Any, daemon: subprocess.Popen[bytes], log: Path) -> None:
    while not done():
        assert daemon.poll() is None, log.read_text()
        time.sleep(0.1)
