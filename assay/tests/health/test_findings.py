"""What is found in a state: each failure with since, expected, actual, owner and what to do; the clock is given."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import inspect
import json
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay import Fresh, daily, public
from assay.errors import WiringError
from assay.health.draw import outline
from assay.health.finding import Finding
from assay.health.findings import findings as of_outline
from assay.health.state import Built, Checked, RunSeen, State, Unread
from assay.health.verdict import Verdict, told
from assay.orchestration.freshness import freshness
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef
from tests.warehouse.house import Given, given, made

MORNING = dtm.datetime(2026, 11, 25, 6, tzinfo=dtm.UTC)
MINUTE, HOUR, DAY = dtm.timedelta(minutes=1), dtm.timedelta(hours=1), dtm.timedelta(days=1)
FRESH = Fresh.daily("06:00", grace=dtm.timedelta(minutes=90))


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    day: dt.Date = pa.Field(metadata=public)


def table(name: str, *upstream: str, **options: Any) -> TableDef:
    if not upstream:
        return given(name, Row, Given(), owner="team:shop", **options)
    return made(name, Row, dict.fromkeys(upstream, Row), _function(upstream), owner="team:shop", **options)


def _function(names: tuple[str, ...]) -> Any:
    def function(**rows: Any) -> Any:
        return next(iter(rows.values()))

    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect
    return function


def four_and_twenty() -> Graph:
    first = [table("t0")]
    return Graph.of([*first, *(table(f"t{n}", f"t{n - 1}" if n % 3 else "t0") for n in range(1, 24))])


def findings(graph: Graph, state: State, *, default: Fresh | None = None) -> list[Finding]:
    return of_outline(outline(graph, default), state)


def run(id: str, status: Any, begun: dtm.datetime, seconds: float | None = None, **more: Any) -> RunSeen:
    ended = begun + dtm.timedelta(seconds=seconds) if seconds is not None else None
    return RunSeen(id, "pipeline", status, begun, begun if status != "queued" else None, ended, **more)


def built(graph: Graph, at: dtm.datetime, **more: Any) -> dict[str, Built]:
    return {name: Built(at, **more) for name in graph.nodes}


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, [each.key for each in found]
    for each in found:
        assert each.expected
        assert each.actual
        assert each.todo
    return found[0]


YESTERDAY = MORNING - DAY + 3 * MINUTE
A_RUN = (run("r1", "done", YESTERDAY - MINUTE, 60),)


def test_never_scheduled_is_one_finding_after_the_grace_and_none_before() -> None:
    graph = four_and_twenty()
    state = State(MORNING + 89 * MINUTE, built(graph, YESTERDAY), runs=A_RUN)
    assert findings(graph, state, default=FRESH) == []
    state = dataclasses.replace(state, now=MORNING + 91 * MINUTE)
    found = only(findings(graph, state, default=FRESH))
    assert found.fatal
    assert found.key == "late:t0"
    assert found.since == MORNING + 90 * MINUTE
    assert found.owner == "team:shop"
    assert len(found.also) == 23
    assert "24 Nov" in found.actual or "2026-11-24" in found.actual
    verdict = Verdict.of(state, [found])
    assert verdict.exit_code() == 2
    state = dataclasses.replace(state, built=built(graph, MORNING + 95 * MINUTE), now=MORNING + 100 * MINUTE)
    assert findings(graph, state, default=FRESH) == []


def test_a_heartbeat_of_six_minutes_ago_is_none_though_dagster_calls_it_healthy() -> None:
    graph = Graph.of([table("a")])
    state = State(MORNING, built(graph, YESTERDAY), schedules={"schedule daily": True}, daemon=MORNING - 6 * MINUTE)
    found = only(findings(graph, state))
    assert (found.key, found.fatal, found.since) == ("daemon", True, MORNING - 6 * MINUTE)
    assert findings(graph, dataclasses.replace(state, daemon=MORNING - 4 * MINUTE)) == []
    assert only(findings(graph, dataclasses.replace(state, daemon=None))).actual == "none was ever seen"
    off = only(findings(graph, dataclasses.replace(state, schedules={"schedule daily": False})))
    assert not off.fatal
    assert off.subject == "schedule daily"


def test_never_built_warns_and_fails_after_the_grace() -> None:
    graph = Graph.of([table("a", fresh=FRESH)])
    young = (run("r1", "done", MORNING + HOUR, 60),)
    found = only(findings(graph, State(MORNING + 3 * HOUR, runs=young)))
    assert not found.fatal
    assert found.what == "was never built"
    found = only(findings(graph, State(MORNING + DAY + 91 * MINUTE, runs=young)))
    assert found.fatal
    found = only(findings(graph, State(MORNING + 3 * HOUR, runs=young, first=MORNING - 9 * DAY)))
    assert found.fatal, "two hundred runs may be of this morning alone"
    assert findings(graph, State(MORNING)) == [], "of no history nothing can be said"


def test_an_old_day_built_again_does_not_hide_that_yesterday_is_missing() -> None:
    graph = Graph.of([table("a", partitions=daily("day", start="2026-11-01"), fresh=FRESH)])
    days = frozenset(f"2026-11-{day:02}" for day in range(1, 24))
    state = State(MORNING + 2 * HOUR, {"a": Built(MORNING + HOUR, partitions=days)}, runs=A_RUN)
    found = only(findings(graph, state))
    assert found.fatal
    assert found.actual == "day 2026-11-24 is missing; the newest is 2026-11-23"
    whole = State(MORNING + 2 * HOUR, {"a": Built(MORNING + HOUR, partitions=days | {"2026-11-24"})}, runs=A_RUN)
    assert findings(graph, whole) == []


def test_a_table_whose_partitions_have_ended_is_not_late() -> None:
    graph = Graph.of([table("a", partitions=daily("day", start="2026-11-01", end="2026-11-10"), fresh=FRESH)])
    days = frozenset(f"2026-11-{day:02}" for day in range(1, 11))
    assert (
        findings(graph, State(MORNING + 2 * HOUR, {"a": Built(MORNING - 9 * DAY, partitions=days)}, runs=A_RUN)) == []
    )


def test_a_run_that_takes_too_long_is_told_while_it_runs() -> None:
    graph = Graph.of([table("a")])
    past = [run(f"p{n}", "done", MORNING - n * HOUR, 40 + n) for n in range(1, 21)]
    now = run("slow", "running", MORNING)
    state = State(MORNING + dtm.timedelta(seconds=200), built(graph, YESTERDAY), runs=(now, *past))
    found = only(findings(graph, state))
    assert found.key == "slow:slow"
    assert found.actual == "3 min 20 s so far"
    assert findings(graph, dataclasses.replace(state, now=MORNING + dtm.timedelta(seconds=55))) == []
    few = dataclasses.replace(state, runs=(now, *past[:2]))
    assert findings(graph, few) == [], "two runs say nothing"


def test_a_dead_run_that_others_wait_for_is_named_once() -> None:
    graph = Graph.of([table("a")])
    dead = run("dead0000", "running", MORNING, dead="The process of this run, 7 on here, is gone")
    state = State(
        MORNING + 6 * MINUTE, built(graph, YESTERDAY), runs=(run("next", "queued", MORNING + MINUTE / 2), dead)
    )
    found = only(findings(graph, state))
    assert found.subject == "run dead0000 of pipeline"
    assert "is gone" in found.actual
    assert found.also == ("run next waits for it",)
    assert "queued:next" in found.covers
    alone = dataclasses.replace(state, runs=(run("next", "queued", MORNING + MINUTE / 2),))
    assert only(findings(graph, alone)).key == "queued:next"
    assert findings(graph, dataclasses.replace(alone, now=MORNING + 5 * MINUTE)) == []


def test_what_is_late_because_of_a_red_check_is_listed_under_it() -> None:
    graph = four_and_twenty()
    red = Checked("t0", "rows_valid", False, "error", "3 of 10 rows rejected, above the budget", MORNING + MINUTE)
    failed = run("r2", "failed", MORNING, 60, failures={"t0": "rows_valid: 3 of 10 rows rejected"})
    state = State(MORNING + 2 * HOUR, built(graph, YESTERDAY), (red,), (failed, *A_RUN))
    found = only(findings(graph, state, default=FRESH))
    assert found.key == "check:t0.rows_valid"
    assert len(found.also) == 24
    assert {"late:t0", "late:t23", "failed:t0"} <= set(found.covers)
    assert found.todo == "See the rows: pipeline quarantine list --table t0"


def test_a_failed_table_is_found_until_it_is_built() -> None:
    graph = Graph.of([table("a"), table("b", "a")])
    failed = run("r2", "failed", MORNING, 60, failures={"a": "the file is no gzip"})
    state = State(MORNING + HOUR, built(graph, YESTERDAY), runs=(failed, *A_RUN))
    found = only(findings(graph, state))
    assert (found.key, found.actual, found.since) == ("failed:a", "the file is no gzip", MORNING + MINUTE)
    assert findings(graph, dataclasses.replace(state, built=built(graph, MORNING + 2 * MINUTE))) == []
    outside = dataclasses.replace(state, runs=(run("r2", "failed", MORNING, 60), *A_RUN))
    assert only(findings(graph, outside)).key == "run:pipeline"
    later = run("r3", "done", MORNING + 10 * MINUTE, 60)
    assert findings(graph, dataclasses.replace(outside, runs=(later, *outside.runs))) == []


def test_events_that_nobody_reads_are_found_after_the_grace() -> None:
    graph = Graph.of([table("a")])
    waiting = Unread("a", 500, MORNING)
    state = State(MORNING + 14 * MINUTE, built(graph, MORNING), unread=(waiting,))
    assert findings(graph, state) == []
    found = only(findings(graph, dataclasses.replace(state, now=MORNING + 16 * MINUTE)))
    assert found.actual.startswith("500 unread events")
    assert " " * 16 + "pipeline run a --downstream" in told(found), "what is copied is on one line"
    changed = dataclasses.replace(
        state, unread=(Unread("a", 0, MORNING, "orders.ndjson: is not the one that was read"),)
    )
    assert only(findings(graph, changed)).actual == "orders.ndjson: is not the one that was read", (
        "an offset was skipped"
    )


def test_the_newest_row_may_be_so_old_and_no_older() -> None:
    graph = Graph.of([table("a", newest=("day", 2 * DAY))])

    def state(newest: str | None) -> State:
        return State(MORNING, {"a": Built(MORNING, {"day": newest} if newest else {})})

    assert findings(graph, state("2026-11-23")) == [], "the day ended a day and six hours ago"
    found = only(findings(graph, state("2026-11-21")))
    assert found.key == "old:a"
    assert found.actual == "it is 2026-11-21, 3 d 6 h ago"
    assert only(findings(graph, state(None))).actual == "no day is known", "what cannot be told does not hold"


def test_a_warning_is_worth_a_look_and_fails_only_the_strict() -> None:
    graph = Graph.of([table("a")])
    checked = (
        Checked("a", "schema", True, "error", "", MORNING),
        Checked("a", "usual", False, "warn", "2026-11-24 (Tuesday): rows 560, usually 951 to 1,323", MORNING),
    )
    state = State(MORNING, built(graph, MORNING), checked)
    verdict = Verdict.of(state, findings(graph, state))
    assert (verdict.status, verdict.exit_code(), verdict.exit_code(strict=True)) == ("warn", 0, 1)
    told = json.loads(verdict.as_json())
    assert told["findings"][0]["since"] == "2026-11-25T06:00:00+00:00"
    assert told["findings"][0]["subject"] == "warehouse.a.usual"
    assert max(map(len, verdict.lines())) <= 80


@pytest.mark.parametrize("checks", [(), (Checked("a", "usual", True, "warn", "learning", MORNING, learning=True),)])
def test_no_history_is_learning_and_never_a_pass(checks: tuple[Checked, ...]) -> None:
    graph = Graph.of([table("a")])
    state = State(MORNING, checked=checks)
    verdict = Verdict.of(state, findings(graph, state, default=FRESH))
    assert (verdict.status, verdict.exit_code(), verdict.exit_code(strict=True)) == ("learning", 0, 0)
    assert not any("PASS" in line for line in verdict.lines())


def test_a_check_that_no_code_defines_any_more_is_not_shown() -> None:
    gone = Checked("gone", "schema", False, "error", "", MORNING)
    assert findings(Graph.of([table("a")]), State(MORNING, checked=(gone,))) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Fresh.daily("6 o'clock", grace=HOUR), "no time of day"),
        (lambda: Fresh.daily("06:00", grace=2 * DAY), "is none"),
        (lambda: Fresh.daily("06:00", grace=HOUR, timezone="Mars/North"), "no time zone 'Mars/North'"),
        (lambda: Fresh.daily("06:00", grace=HOUR, weekdays=(7,)), "are none"),
        (lambda: Fresh.within(-HOUR), "is none"),
        (lambda: Graph.of([table("a", newest=("gone", DAY))]), "is no day or moment"),
        (lambda: table("a", newest="day"), "is no column with an age"),
    ],
)
def test_what_is_declared_wrongly_is_told_when_the_code_loads(make: Any, said: str) -> None:
    with pytest.raises(WiringError, match=said):
        make()


def test_due_follows_the_clocks_of_its_zone_and_its_weekdays() -> None:
    berlin = Fresh.daily("06:00", grace=HOUR, timezone="Europe/Berlin")
    assert berlin.due(MORNING) == dtm.datetime(2026, 11, 24, 5, tzinfo=dtm.UTC) + DAY
    assert berlin.due(dtm.datetime(2026, 7, 1, 5, 30, tzinfo=dtm.UTC)) == dtm.datetime(2026, 7, 1, 4, tzinfo=dtm.UTC)
    working = Fresh.daily("06:00", grace=HOUR, weekdays=(0, 1, 2, 3, 4))
    sunday = dtm.datetime(2026, 11, 22, 12, tzinfo=dtm.UTC)
    assert working.due(sunday) == dtm.datetime(2026, 11, 20, 6, tzinfo=dtm.UTC), "Friday's"
    assert Fresh.within(HOUR).due(MORNING) == MORNING - HOUR


def test_dagster_gets_the_same_deadline() -> None:
    policy: Any = freshness(Fresh.daily("23:30", grace=HOUR, timezone="Europe/Berlin", weekdays=(6,)))
    assert policy.deadline_cron == "30 0 * * 1", "Sunday's build is due on Monday"
    assert policy.timezone == "Europe/Berlin"
    assert freshness(None) is None
    assert freshness(Fresh.within(HOUR)) is not None
