"""What Dagster's instance knows of a pipeline, as plain data for `assay.health`. The warehouse is not opened: a run holds it."""

from __future__ import annotations

import datetime as dtm
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import DagsterRunStatus, RunRecord

from assay.errors import PipelineError
from assay.health.state import Built, Checked, Run_, RunSeen, State, Unread
from assay.orchestration.history import why_dead
from assay.orchestration.metadata import LEARNING, NEWEST, OFFSETS
from assay.sources.base import Offset
from assay.sources.events import EventLog
from assay.tables.audited import check_names
from assay.tables.nodes import TableDef

if TYPE_CHECKING:
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

    from assay.project import Project

RUNS = 200
"""So many of the newest runs are looked at."""
FAILURES = 20
"""Of so many failed runs it is looked at what failed."""
STATUSES: Mapping[DagsterRunStatus, Run_] = {
    DagsterRunStatus.QUEUED: "queued",
    DagsterRunStatus.NOT_STARTED: "queued",
    DagsterRunStatus.STARTING: "running",
    DagsterRunStatus.STARTED: "running",
    DagsterRunStatus.CANCELING: "running",
    DagsterRunStatus.SUCCESS: "done",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "canceled",
}
ON = {InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE, InstigatorStatus.AUTOMATICALLY_RUNNING}
DAEMONS = ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR")
"""Those without which nothing starts by itself."""


def read_state(
    instance: dg.DagsterInstance, project: Project, now: dtm.datetime, unread_since: Mapping[str, dtm.datetime]
) -> State:
    """The state of `project` at `now`.

    Args:
        unread_since: event log's table -> since when it was seen to have unread events.
    """
    built, offsets = _built(instance, project)
    beats = instance.get_daemon_heartbeats()
    seen = [moment(beats[name].timestamp) for name in DAEMONS if name in beats]
    instigators = instance.all_instigator_state()
    return State(
        now=now,
        built=built,
        checked=tuple(_checked(instance, project)),
        runs=tuple(_runs(instance, instance.get_run_records(limit=RUNS))),
        schedules={each.instigator_name: each.status in ON for each in instigators},
        daemon=min(seen, default=None),
        unread=tuple(_unread(project, built, offsets, unread_since)),
    )


def moment(timestamp: float) -> dtm.datetime:
    return dtm.datetime.fromtimestamp(timestamp, dtm.UTC)


def _built(instance: dg.DagsterInstance, project: Project) -> tuple[dict[str, Built], dict[str, dict[int, int]]]:
    found: dict[str, Built] = {}
    offsets: dict[str, dict[int, int]] = {}
    keys = [dg.AssetKey(name) for name in project.graph.nodes]
    for record in instance.get_asset_records(keys):
        entry = record.asset_entry
        if entry.last_materialization is None or entry.last_materialization.asset_materialization is None:
            continue
        name = entry.asset_key.path[-1]
        node = project.graph.nodes[name]
        metadata = entry.last_materialization.asset_materialization.metadata
        column, _, newest = str(_value(metadata, NEWEST) or "").partition(" ")
        partitioned = isinstance(node, TableDef) and node.partitions is not None and node.partitions.unit != "static"
        found[name] = Built(
            moment(entry.last_materialization.timestamp),
            {column: newest} if column else {},
            frozenset(instance.get_materialized_partitions(entry.asset_key)) if partitioned else frozenset(),
        )
        if read := _value(metadata, OFFSETS):
            offsets[name] = {int(partition): Offset(number, place) for partition, (number, place) in read.items()}
    return found, offsets


def _value(metadata: Mapping[str, Any], name: str) -> Any:
    return metadata[name].value if name in metadata else None


def _checked(instance: dg.DagsterInstance, project: Project) -> Iterator[Checked]:
    """The latest verdicts of the checks that the code has; of one that is being evaluated the one before."""
    keys = [
        dg.AssetCheckKey(dg.AssetKey(node.name), name)
        for node in project.graph
        for name in check_names(node, project.graph)
    ]
    storage = instance.event_log_storage
    judged = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    for key, record in storage.get_latest_asset_check_execution_by_key(keys).items():
        if record.status not in judged:
            before = storage.get_asset_check_execution_history(key, limit=1, status=judged)
            if not before:
                continue
            record = before[0]
        if (found := _verdict(key, record)) is not None:
            yield found


def _verdict(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord) -> Checked | None:
    event = record.event.dagster_event if record.event is not None else None
    if event is None:
        return None
    said: Any = event.event_specific_data
    return Checked(
        table=key.asset_key.path[-1],
        name=key.name,
        passed=said.passed,
        severity="error" if said.severity is dg.AssetCheckSeverity.ERROR else "warn",
        summary=said.description or "",
        at=moment(record.create_timestamp),
        learning=LEARNING in said.metadata,
    )


def _runs(instance: dg.DagsterInstance, records: Iterable[RunRecord]) -> Iterator[RunSeen]:
    failed = 0
    for record in records:
        run = record.dagster_run
        status = STATUSES.get(run.status, "running")
        failed += status == "failed"
        yield RunSeen(
            id=run.run_id,
            job=run.job_name,
            status=status,
            created=record.create_timestamp.astimezone(dtm.UTC),
            started=moment(record.start_time) if record.start_time else None,
            ended=moment(record.end_time) if record.end_time else None,
            failures=_failures(instance, run.run_id) if status == "failed" and failed <= FAILURES else {},
            dead=why_dead(instance, run) if status == "running" else None,
        )


def _failures(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """Step -> what it failed with, in one line.

    What code raises may hold values of rows, and an alert leaves the house: of that only place and kind are told.
    """
    found = {}
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.dagster_event
        if event is None or event.step_key is None:
            continue
        data: Any = event.event_specific_data
        own = data.user_failure_data
        said = f"it raised {data.error.cls_name if data.error else 'an error'}"
        if own is not None and own.description:
            place = re.match(r".*?\): \w+", own.description) if "traceback" in own.metadata else None
            said = place[0] if place else said if "traceback" in own.metadata else own.description
        found[event.step_key] = " ".join(said.split())
    return found


def _unread(
    project: Project,
    built: Mapping[str, Built],
    offsets: Mapping[str, Mapping[int, int]],
    since: Mapping[str, dtm.datetime],
) -> Iterator[Unread]:
    logs = [
        table for name, table in project.graph.tables.items() if isinstance(table.source, EventLog) and name in built
    ]
    if not logs:
        return
    settings = project.settings()
    with project.sources(settings) as sources:
        for table in logs:
            assert table.source is not None
            first = since.get(table.name, built[table.name].at)
            try:
                base = sources.resolve(table.source.location)
                yield Unread(table.name, table.source.lag(base, offsets.get(table.name, {})), first)
            except PipelineError as error:
                yield Unread(table.name, 0, first, str(error))
