"""What Dagster's history says of a pipeline, as plain data for `assay.health`. The warehouse, which a run holds, is asked only which files were read."""

from __future__ import annotations

import datetime as dtm
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from assay.errors import PipelineError, WarehouseLocked
from assay.health.alerts import Memory, silenced
from assay.health.findings import findings
from assay.health.outline import Outline
from assay.health.state import Built, Checked, Run_, RunSeen, State, Unread
from assay.health.verdict import Verdict
from assay.orchestration.processes import PROCESS, cause_of_death
from assay.orchestration.records import EVENTS, RUNS, SCHEDULES, Records
from assay.sources.base import Offset
from assay.sources.events import EventLog
from assay.sources.files import Files
from assay.warehouse.offsets import committed_offsets

if TYPE_CHECKING:
    from assay.project import Project

KEY = "assay/health"
"""With the package's name one key for all that is remembered: of an old and a new key in one call Dagster 1.13 loses the new one."""
OURS = """({0} NOT LIKE '%"module_name": "%' OR {0} LIKE :ours)"""
"""Whether a run or schedule is of this project, and not of another one with the same history; what says nothing is taken for ours."""
LEARNING = "learning"
"""Metadata of a check that can say nothing yet."""
NEWEST, OFFSETS = "newest", "offsets"
"""The largest value of the column that must not be old; how far an event log is read: [next event, place] by partition."""
NEWEST_RUNS = 200
"""So many of the newest runs are looked at, beside each table's last one: others may run each minute."""
FAILURES = 20
"""Of so many failed runs it is looked at what failed, and of each table's last one."""
STATUSES: Mapping[str, Run_] = {
    "QUEUED": "queued",
    "NOT_STARTED": "queued",
    "SUCCESS": "done",
    "FAILURE": "failed",
    "CANCELED": "canceled",
}
ON = {"RUNNING", "DECLARED_IN_CODE", "AUTOMATICALLY_RUNNING"}
JUDGED = {"SUCCEEDED", "FAILED"}
DAEMONS = ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR")
"""Those without which nothing starts by itself."""


def key(project: Project) -> str:
    """The key of what is remembered of `project`."""
    return f"{KEY}/{project.package}"


def recall(records: Records, project: Project) -> Memory:
    """What was remembered last; raises PipelineError if it cannot be read."""
    rows = records.ask(RUNS, "SELECT value FROM kvs WHERE kvs.key = :key", {"key": key(project)})
    return Memory.parse(rows[0][0] if rows else None)


def look(records: Records, outline: Outline, project: Project, now: dtm.datetime) -> Verdict:
    """The verdict at `now`; nothing is told or remembered."""
    memory = recall(records, project)
    state = read_state(records, outline, project, now, memory.unread)
    return Verdict.of(state, silenced(findings(outline, state), memory, now))


def read_state(
    records: Records, outline: Outline, project: Project, now: dtm.datetime, unread_since: Mapping[str, dtm.datetime]
) -> State:
    """The state of `project` at `now`.

    Args:
        unread_since: event log's table -> since when it was seen to have unread events.

    Raises:
        PipelineError: the history is not as Dagster 1.13 writes it.
    """
    ours = _ours(project)
    try:
        built, offsets = _built(records, outline)
        beats = [json.loads(body) for (body,) in records.ask(RUNS, "SELECT body FROM daemon_heartbeats")]
        return State(
            now=now,
            built=built,
            checked=tuple(_checked(records, outline)),
            runs=tuple(_runs(records, outline, ours)),
            # Where no daemon ever was, nobody waits for a schedule.
            schedules={f"schedule {name}": False for name in outline.schedules if beats} | _instigators(records, ours),
            daemon=min((moment(beat["timestamp"]) for beat in beats if beat["daemon_type"] in DAEMONS), default=None),
            unread=tuple(_unread(project, outline, built, offsets, unread_since)),
            first=_first(records, outline, ours),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PipelineError(
            f"Dagster's history is not as Dagster 1.13 writes it ({type(error).__name__}: {error})",
            fix="If another version wrote it: `dagster instance migrate`.",
        ) from error


def _ours(project: Project) -> dict[str, str]:
    return {"ours": f'%"module_name": "{project.package}.%'}


def moment(timestamp: float) -> dtm.datetime:
    return dtm.datetime.fromtimestamp(timestamp, dtm.UTC)


def _utc(column: str | dtm.datetime) -> dtm.datetime:
    """A column's moment: of SQLite a text, of others a datetime; without a zone it is UTC's."""
    found = dtm.datetime.fromisoformat(column) if isinstance(column, str) else column
    return found.replace(tzinfo=found.tzinfo or dtm.UTC).astimezone(dtm.UTC)


def _built(records: Records, outline: Outline) -> tuple[dict[str, Built], dict[str, dict[int, int]]]:
    found: dict[str, Built] = {}
    offsets: dict[str, dict[int, int]] = {}
    sql = "SELECT asset_key, last_materialization, asset_details FROM asset_keys WHERE last_materialization IS NOT NULL"
    for key, record, details in records.ask(EVENTS, sql):
        name, wiped = _name(key), (json.loads(details) or {}).get("last_wipe_timestamp") if details else None
        if name not in outline.nodes:
            continue
        event = json.loads(record)
        event = event.get("event_log_entry", event)
        if wiped and event["timestamp"] <= wiped:
            continue
        materialization = event["dagster_event"]["event_specific_data"]["materialization"]
        metadata = {each["label"]: each["entry_data"] for each in materialization["metadata_entries"]}
        column, _, newest = (metadata[NEWEST]["text"] if NEWEST in metadata else "").partition(" ")
        node = outline.nodes[name]
        timed = node.fresh is not None and node.partitions is not None and node.partitions.unit != "static"
        found[name] = Built(
            moment(event["timestamp"]),
            {column: newest} if column else {},
            _partitions(records, key, wiped) if timed else frozenset(),
        )
        if OFFSETS in metadata:
            read = metadata[OFFSETS]["data"]
            offsets[name] = {int(partition): Offset(number, place) for partition, (number, place) in read.items()}
    return found, offsets


def _name(key: str) -> str:
    """The name of a table; assets of other shapes are none of the project's."""
    path = json.loads(key)
    return str(path[0]) if len(path) == 1 else ""


def _partitions(records: Records, key: str, wiped: float | None) -> frozenset[str]:
    """The partitions that were ever built, since the asset was wiped."""
    sql = """SELECT DISTINCT partition FROM event_logs WHERE asset_key = :key AND partition IS NOT NULL
             AND dagster_event_type = 'ASSET_MATERIALIZATION'"""
    if not wiped:
        return frozenset(name for (name,) in records.ask(EVENTS, sql, {"key": key}))
    since = f"{moment(wiped):%Y-%m-%d %H:%M:%S.%f}"
    return frozenset(
        name for (name,) in records.ask(EVENTS, f"{sql} AND timestamp > :since", {"key": key, "since": since})
    )


def _checked(records: Records, outline: Outline) -> Iterator[Checked]:
    """The latest verdicts of the checks that the code has; of one that is being evaluated the one before."""
    sql = """SELECT asset_key, check_name, execution_status, evaluation_event FROM asset_check_executions
             WHERE id IN (SELECT max(id) FROM asset_check_executions GROUP BY asset_key, check_name)"""
    before = """SELECT evaluation_event FROM asset_check_executions WHERE asset_key = :key AND check_name = :name
                AND execution_status IN ('SUCCEEDED', 'FAILED') ORDER BY id DESC LIMIT 1"""
    found = {}
    for key, name, status, event in records.ask(EVENTS, sql):
        table = _name(key)
        if table not in outline.nodes or name not in outline.nodes[table].checks:
            continue
        if status not in JUDGED:
            rows = records.ask(EVENTS, before, {"key": key, "name": name})
            event = rows[0][0] if rows else None
        if event is not None:
            found[table, name] = _verdict(table, name, json.loads(event))
    return (found[node.name, name] for node in outline for name in node.checks if (node.name, name) in found)


def _verdict(table: str, name: str, event: dict[str, Any]) -> Checked:
    said = event["dagster_event"]["event_specific_data"]
    return Checked(
        table=table,
        name=name,
        passed=said["success"],
        severity="error" if said["severity"]["__enum__"].endswith(".ERROR") else "warn",
        summary=said["description"] or "",
        at=moment(event["timestamp"]),
        learning=LEARNING in said["metadata"],
    )


def _runs(records: Records, outline: Outline, ours: Mapping[str, str]) -> Iterator[RunSeen]:
    failed = 0
    sql = "SELECT run_id, pipeline_name, status, create_timestamp, start_time, end_time, id FROM runs WHERE"
    found = records.ask(RUNS, f"{sql} {OURS.format('run_body')} ORDER BY id DESC LIMIT {NEWEST_RUNS}", ours)
    asked = records.ask(EVENTS, "SELECT asset_key, last_run_id FROM asset_keys WHERE last_run_id IS NOT NULL")
    last = {run for asset, run in asked if _name(asset) in outline.nodes}
    for each in sorted(last - {row[0] for row in found}):
        found += records.ask(RUNS, f"{sql} run_id = :run AND {OURS.format('run_body')}", {"run": each, **ours})
    for run, job, state, created, started, ended, _ in sorted(found, key=lambda row: -row[6]):
        status = STATUSES.get(state, "running")
        failed += status == "failed"
        yield RunSeen(
            id=run,
            job=job,
            status=status,
            created=_utc(created),
            started=moment(started) if started else None,
            ended=moment(ended) if ended else None,
            failures=(_failures(records, run) if failed <= FAILURES or run in last else None)
            if status == "failed"
            else {},
            dead=_dead(records, run) if status == "running" else None,
        )


def unbuilt(records: Records, project: Project) -> dict[str, float]:
    """Table or file -> when its last run began, where that is over and did not build it."""
    sql = """SELECT asset_key, last_run_id, last_materialization FROM asset_keys WHERE last_run_id IS NOT NULL"""
    asked: dict[str, list[str]] = {}
    for key, run, record in records.ask(EVENTS, sql):
        event = json.loads(record) if record else {}
        if _name(key) in project.graph.nodes and event.get("event_log_entry", event).get("run_id") != run:
            asked.setdefault(run, []).append(_name(key))
    found: dict[str, float] = {}
    sql = f"SELECT status, start_time, create_timestamp FROM runs WHERE run_id = :run AND {OURS.format('run_body')}"
    for run, names in asked.items():
        for state, started, created in records.ask(RUNS, sql, {"run": run, **_ours(project)}):
            status = STATUSES.get(state, "running")
            if status in ("failed", "canceled") or (status == "running" and _dead(records, run) is not None):
                found |= dict.fromkeys(names, started or _utc(created).timestamp())
    return found


def _first(records: Records, outline: Outline, ours: Mapping[str, str]) -> dtm.datetime | None:
    """When the history begins; old runs may be removed, assets are not."""
    sql = f"SELECT create_timestamp FROM runs WHERE {OURS.format('run_body')} ORDER BY id LIMIT 1"
    oldest = [created for (created,) in records.ask(RUNS, sql, ours)]
    assets = records.ask(EVENTS, "SELECT asset_key, create_timestamp FROM asset_keys")
    oldest += [created for asset, created in assets if _name(asset) in outline.nodes]
    return min(map(_utc, oldest), default=None)


def _dead(records: Records, run_id: str) -> str | None:
    sql = "SELECT value FROM run_tags WHERE run_tags.run_id = :run AND run_tags.key = :key"
    rows = records.ask(RUNS, sql, {"run": run_id, "key": PROCESS})
    return cause_of_death(run_id, rows[0][0], here=records.here) if rows else None


def _failures(records: Records, run_id: str) -> dict[str, str]:
    """Step -> what it failed with, in one line.

    What code raises may hold values of rows, and an alert leaves the house: of that only place and kind are told.
    """
    found = {}
    sql = "SELECT event FROM event_logs WHERE run_id = :run AND dagster_event_type = 'STEP_FAILURE' ORDER BY id"
    for (text,) in records.ask(run_id, sql, {"run": run_id}):
        event = json.loads(text)["dagster_event"]
        error, own = (event["event_specific_data"][name] for name in ("error", "user_failure_data"))
        said = f"it raised {error['cls_name'] if error else 'an error'}"
        if own is not None and own["description"]:
            raised = any(entry["label"] == "traceback" for entry in own["metadata_entries"])
            place = re.match(r".*?\): \w+", own["description"]) if raised else None
            said = place[0] if place else said if raised else own["description"]
        found[event["step_key"]] = " ".join(said.split())
    return found


def _instigators(records: Records, ours: Mapping[str, str]) -> dict[str, bool]:
    """`schedule daily` and `sensor health` -> whether it is on, of those that Dagster's daemon or somebody has seen."""
    sql = f"SELECT instigator_body FROM instigators WHERE {OURS.format('instigator_body')}"
    bodies = [json.loads(body) for (body,) in records.ask(SCHEDULES, sql, ours)]
    return {
        f"{_enum(body['job_type']).lower()} {body['origin']['job_name']}": _enum(body["status"]) in ON
        for body in bodies
    }


def _enum(value: Mapping[str, str]) -> str:
    return value["__enum__"].rpartition(".")[2]


def _unread(
    project: Project,
    outline: Outline,
    built: Mapping[str, Built],
    offsets: Mapping[str, Mapping[int, int]],
    since: Mapping[str, dtm.datetime],
) -> Iterator[Unread]:
    waiting = [node for node in outline if (node.log or node.files) and node.name in built]
    if not waiting:
        return
    settings = project.settings()
    with project.opening(settings) as sources:
        for name, log, files in ((node.name, node.log, node.files) for node in waiting):
            first = since.get(name, built[name].at)
            try:
                if log is not None:
                    lag = EventLog(*log).lag(sources.resolve(log[0]), offsets.get(name, {}))
                    yield Unread(name, lag, first)
                elif files is not None:  # which were read are too many names for Dagster: the warehouse has them
                    known = committed_offsets(settings, name, 0)
                    lag = Files(*files, new_only=True).lag(sources.resolve(files[0]), known)
                    yield Unread(name, lag, first)
            except WarehouseLocked:
                if name in since:  # what waited may wait still: that nobody can tell makes it no better
                    yield Unread(name, 1, first)
            except PipelineError as error:
                yield Unread(name, 0, first, str(error))
