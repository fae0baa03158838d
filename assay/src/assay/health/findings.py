"""What is wrong, from a state: one finding a cause, with since when, what was expected, whose it is and what to do."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from collections.abc import Iterable, Iterator

from assay.health.detector import Series, Value
from assay.health.finding import Finding
from assay.health.lateness import late, old
from assay.health.outline import Outline, Watched
from assay.health.state import Checked, State
from assay.tables.fresh import span

HEARTBEAT = dtm.timedelta(minutes=5)
"""Dagster itself calls a daemon healthy for half an hour."""
WAITING = dtm.timedelta(minutes=5)
"""A run that waits for longer is stuck."""
UNREAD = dtm.timedelta(minutes=15)
"""Events may wait for so long; the sensor looks every minute."""
RUNS = 50
"""Past runs of a job that say how long one takes."""


def findings(outline: Outline, state: State) -> list[Finding]:
    """All findings, the fatal ones first; what follows from another is folded into it."""
    failed = list(_failed(outline, state))
    found = [
        *_of_the_daemon(state),
        *_stuck(state),
        *_slow(state),
        *failed,
        *_red(outline, state),
        *old(outline, state),
    ]
    for following in (_backlog(outline, state), late(outline, state)):
        found = _folded(outline, found, following)
    return sorted(found, key=lambda each: not each.fatal)


def _of_the_daemon(state: State) -> Iterator[Finding]:
    on = [name for name, is_on in state.schedules.items() if is_on]
    for name, is_on in state.schedules.items():
        if not is_on:
            yield Finding(
                name.replace(" ", ":", 1),
                False,
                name,
                "is off",
                None,
                "it starts runs by itself",
                "nothing is started",
                "Turn it on in Dagster's UI under Automation, or call `pipeline run` from cron.",
            )
    if on and (state.daemon is None or state.now - state.daemon > HEARTBEAT):
        yield Finding(
            "daemon",
            True,
            "Dagster's daemon",
            "does not answer",
            state.daemon,
            f"a heartbeat within {span(HEARTBEAT)}; on is {', '.join(on)}",
            "none was ever seen" if state.daemon is None else f"the last one {span(state.now - state.daemon)} ago",
            "Start it: make dev, or dagster-daemon run.",
        )


def _stuck(state: State) -> Iterator[Finding]:
    queued = [run for run in state.runs if run.status == "queued" and state.now - run.created > WAITING]
    for run in state.runs:
        if run.dead is not None:
            waiting = tuple(f"run {each.id[:8]} waits for it" for each in queued)
            yield Finding(
                f"dead:{run.id}",
                True,
                f"run {run.id[:8]} of {run.job}",
                "is dead",
                run.started,
                "a run says how it ended",
                run.dead,
                "Start it again: `pipeline run` also marks the dead one as failed.",
                also=waiting,
                covers=tuple(f"queued:{each.id}" for each in queued),
            )
            queued = []
    for run in queued:
        yield Finding(
            f"queued:{run.id}",
            True,
            f"run {run.id[:8]} of {run.job}",
            "waits in the queue",
            run.created,
            f"it begins within {span(WAITING)}",
            f"it waits for {span(state.now - run.created)}" + _behind(state),
            "See what runs before it in Dagster's UI under Runs; terminate what hangs.",
        )


def _behind(state: State) -> str:
    running = [run for run in state.runs if run.status == "running"]
    return f", behind run {running[0].id[:8]} of {running[0].job}" if running else ", and nothing runs"


def _slow(state: State) -> Iterator[Finding]:
    for run in state.runs:
        if run.status != "running" or run.started is None or run.dead is not None:
            continue
        series = Series("time")
        past = [
            each for each in state.runs if each.job == run.job and each.status == "done" and each.started and each.ended
        ]
        # One weekday for all: of a job there are too few runs to learn seven.
        series.follow(
            Value(dtm.date.min, (each.ended - each.started).total_seconds())  # type: ignore[operator]  # filtered above
            for each in reversed(past[:RUNS])
        )
        judged = series.judge(Value(dtm.date.min, (state.now - run.started).total_seconds()))
        if judged.verdict == "unusual" and judged.expected is not None and judged.high is not None:
            yield Finding(
                f"slow:{run.id}",
                True,
                f"run {run.id[:8]} of {run.job}",
                "takes too long",
                run.started,
                f"{_seconds(judged.expected)}, and below {_seconds(judged.high)}, as the {len(past)} before it",
                f"{_seconds(judged.value.value or 0)} so far",
                "See what it does in Dagster's UI under Runs; terminate it if it hangs.",
            )


def _seconds(number: float) -> str:
    return span(dtm.timedelta(seconds=round(number)))


def _failed(outline: Outline, state: State) -> Iterator[Finding]:
    """Tables and runs that failed and did not succeed since."""
    told: set[str] = set()
    red = {each.table for each in state.checked if not each.passed and each.severity == "error"}
    over = {run.job: run for run in reversed(state.runs) if run.status == "done"}
    for run in state.runs:
        if run.status != "failed" or run.ended is None or run.failures is None:
            continue
        for name, message in run.failures.items():
            built = state.built.get(name)
            if name in told or name in red or (built is not None and built.at > run.ended):
                continue
            told.add(name)
            node = outline.nodes.get(name)
            yield Finding(
                f"failed:{name}",
                True,
                node.full_name if node else name,
                "was not built",
                run.ended,
                "each run builds it",
                message,
                f"Mend what it says, then: pipeline run {name} --downstream",
                node.owner if node else None,
            )
        newest = over.get(run.job)
        if not run.failures and run.job not in told and (newest is None or newest.created < run.created):
            told.add(run.job)
            yield Finding(
                f"run:{run.job}",
                True,
                f"run {run.id[:8]} of {run.job}",
                "failed",
                run.ended,
                "it ends well",
                run.dead or "it failed outside of any table",
                "Its page in Dagster's UI under Runs says why.",
            )


def _red(outline: Outline, state: State) -> Iterator[Finding]:
    """Red checks, those of one table as one finding: broken rows are often too few ones as well, and not as usual."""
    failing = [check for check in state.checked if not check.passed and _is_known(outline, check)]
    failing.sort(key=lambda check: check.severity != "error")
    red: dict[str, list[Checked]] = {}
    for check in failing:
        # What only warns is else each a matter of its own.
        own = check.severity != "error" and not (check.name == "usual" and check.table in red)
        red.setdefault(f"{check.table}.{check.name}" if own else check.table, []).append(check)
    for check, *others in red.values():
        node = outline.nodes[check.table]
        covered = [f"check:{each.table}.{each.name}" for each in others]
        covered += [f"failed:{check.table}"] if check.severity == "error" else []  # which a red check stands for
        yield Finding(
            f"check:{check.table}.{check.name}",
            check.severity == "error",
            f"{node.full_name}.{check.name}",
            _is(check),
            check.at,
            _says(node, check),
            check.summary,
            _what_to_do(check),
            node.checks[check.name].owner,
            also=tuple(f"{each.name} {_is(each)}" for each in others),
            covers=tuple(covered),
        )


def _is_known(outline: Outline, check: Checked) -> bool:
    """Whether the code still has it."""
    node = outline.nodes.get(check.table)
    return node is not None and check.name in node.checks


def _is(check: Checked) -> str:
    return "is red" if check.severity == "error" else "warns"


def _says(node: Watched, check: Checked) -> str:
    fixed = {
        "schema": "columns and types are the contract's",
        "rows_valid": "every row keeps the contract's rules",
        "unique_key": "the key is never null and never repeats",
        "reconciles": "no row is lost or multiplied",
        "usual": "its numbers are what they usually are on this weekday",
    }
    return node.checks[check.name].says or fixed.get(check.name, check.name.replace("_", " "))


def _what_to_do(check: Checked) -> str:
    if check.name == "rows_valid":
        return f"See the rows: pipeline quarantine list --table {check.table}"
    if check.name == "usual":
        return f"See whether the source is whole; if it is right, it is learned after the third time. {check.table}'s numbers: ops.metrics"
    return (
        f"The check's page of {check.table} in Dagster's UI has the rows; then: pipeline run {check.table} --downstream"
    )


def _backlog(outline: Outline, state: State) -> Iterator[Finding]:
    for each in state.unread:
        waiting = state.now - each.since if each.since else dtm.timedelta.max
        if each.problem is None and (each.events == 0 or waiting <= UNREAD):
            continue
        node = outline.nodes[each.table]
        source, what = ("folder", "files") if node.files is not None else ("event log", "events")
        yield Finding(
            f"unread:{each.table}",
            True,
            node.full_name,
            f"does not read its {source}" if each.problem is None else f"cannot tell what of its {source} is unread",
            each.since,
            f"{what} are read within {span(UNREAD)}",
            each.problem
            or f"{each.events:,} unread {what}, the last read {f'{span(waiting)} ago' if each.since else 'never'}",
            f"See whether the sensor {each.table}_lag is on and runs get through: pipeline run {each.table} --downstream",
            node.owner,
        )


def _folded(outline: Outline, found: list[Finding], following: Iterable[Finding]) -> list[Finding]:
    """What follows under what it follows from: a red or failed table it is of or reads, a dead run, or the first late one."""
    causes: dict[str, int] = {}
    for at, each in enumerate(found):
        kind, _, rest = each.key.partition(":")
        if each.fatal and kind in ("check", "failed", "unread"):
            causes.setdefault(rest.split(".")[0], at)
    general = next((at for at, each in enumerate(found) if each.key == "daemon" or each.key.startswith("dead:")), None)
    for each in following:
        name = each.key.partition(":")[2]
        above = [name, *outline.above(name)]
        place = next((causes[other] for other in above if other in causes), None)
        place = general if place is None and each.fatal else place
        # Tables without a common upstream that are late by the same deadline are late for the same reason.
        if place is None and each.fatal:
            same = (other for other, known in enumerate(found) if known.key.startswith("late:") and known.fatal)
            place = next((other for other in same if found[other].since == each.since), None)
        if place is None:
            causes[name] = len(found)
            found.append(each)
        else:
            cause, below = found[place], f"{each.subject} {each.what}"
            found[place] = dataclasses.replace(cause, also=(*cause.also, below), covers=(*cause.covers, each.key))
    return found
