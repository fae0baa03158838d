"""Jobs, the schedule and the sensors that every project has."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dagster as dg

from assay.errors import PipelineError, WarehouseLocked, WiringError
from assay.orchestration.assets import build_resources, unpartitioned
from assay.orchestration.dry_run_job import dry_run_job
from assay.orchestration.tags import PARTITION_TAG, UNREAD_TAG
from assay.tables.nodes import Node, TableDef
from assay.tables.partitions import PartitionRange, Unit, touched
from assay.tables.selection import select

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from assay.project import Project

AGAIN = 15 * 60
"""Seconds after which what a failed run has not read is asked for again."""
PIPELINE = "pipeline"
"""The job that builds everything."""
BUILDS_ALL = f"""\
Builds every table and export, in one run: [open its launchpad](/locations/{{}}/jobs/{PIPELINE}/playground), *Launch Run*.

*Materialize all* here and on the lineage asks which partitions, and then builds them in several runs, one after the other."""
"""Dagster's pages of asset jobs have a launchpad, and no tab that leads to it."""


def project_jobs(project: Project, *own: UnresolvedAssetJobDefinition) -> list[dg.JobDefinition]:
    """`pipeline` builds everything, one job a stage builds that stage, `dry_run` shows what a build would change.

    A job's run builds all of every table, or what the tag PARTITION_TAG names: see `unpartitioned`.

    Args:
        own: asset jobs of the project's own over its tables, which build them in the same way.

    Raises:
        WiringError: Dagster refuses the tables.
    """
    stages = list(dict.fromkeys(node.stage for node in project.graph))
    jobs = [
        dg.define_asset_job(
            PIPELINE, dg.AssetSelection.assets(*project.graph.nodes), description=BUILDS_ALL.format(project.package)
        )
    ]
    jobs += [
        dg.define_asset_job(
            f"{PIPELINE}_{stage}",
            dg.AssetSelection.groups(stage),
            description=f"Builds the {stage} stage from what is published upstream.",
        )
        for stage in stages
    ]
    jobs += own
    try:
        # Resolved here, for the repository's own assets are partitioned, and these are not.
        definitions = dg.Definitions(
            assets=unpartitioned(project),
            jobs=jobs,
            resources=build_resources(project),
            executor=dg.in_process_executor,
        )
        resolved = [definitions.resolve_job_def(job.name) for job in jobs]
    except dg.DagsterError as error:
        raise WiringError(f"Dagster refuses these tables: {' '.join(str(error).split())}") from None
    return [*resolved, dry_run_job(project)]


def daily_schedule(
    project: Project, *, hour: int, timezone: str, lookback: int = 0, name: str = "daily", only: Sequence[str] = ()
) -> dg.ScheduleDefinition:
    """Runs the pipeline every day at `hour` of `timezone`, for the partitions that are newly complete.

    Each table's own zone says which these are. Where no table is partitioned by time, or all their partitions have
    ended, it builds everything.

    Args:
        lookback: how many partitions before the newest are built again, for rows that come late; in days for hours.
        name: of the schedule, where a project has several.
        only: words that choose what it builds, such as `("tag:finance+",)` or `("stage:extract",)`; see `selection`.
    """
    graph = project.graph
    chosen = [graph.nodes[each] for each in select(graph, only)] or list(graph)

    @dg.schedule(
        name=name,
        cron_schedule=f"0 {hour} * * *",
        job_name=PIPELINE,
        execution_timezone=timezone,
        description="The pipeline, every morning.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        now = context.scheduled_execution_time
        key = now.astimezone(ZoneInfo(timezone)).date().isoformat()
        asked = due(chosen, now, lookback=lookback)
        names = [node.name for node in chosen] if asked is None else touched(asked, chosen, now)
        keys = [dg.AssetKey(each) for each in names] if len(names) < len(graph.nodes) else None
        tags = {} if asked is None else {PARTITION_TAG: str(asked)}
        return dg.RunRequest(run_key=key, tags=tags, asset_selection=keys)

    return daily


def due(nodes: Iterable[Node], now: dtm.datetime, *, lookback: int = 0) -> PartitionRange | None:
    """What a daily run at `now` is for: the newest complete partitions of the finest unit, and `lookback` before them.

    Of hours it is those of a day, and of `lookback` days before. A coarser table builds a partition when the range
    touches one that is complete. None where no table is partitioned by time, or all of them have ended: build it all.
    """
    found: dict[Unit, list[PartitionRange]] = {}
    for parts in (parts for node in nodes if (parts := getattr(node, "partitions", None)) is not None):
        back = 24 * (lookback + 1) - 1 if parts.unit == "hour" else lookback
        endless = dataclasses.replace(parts, stop=None).newest(now, lookback=back)
        if (
            parts.unit != "static"
            and endless
            and endless.start < (stop := min(endless.stop, parts.stop or endless.stop))
        ):
            found.setdefault(parts.unit, []).append(PartitionRange(endless.start, stop))
    for unit in ("hour", "day", "week", "month"):
        if ranges := found.get(unit):
            return PartitionRange(min(each.start for each in ranges), max(each.stop for each in ranges))
    return None


def event_log_sensors(project: Project) -> list[dg.SensorDefinition]:
    """For every table of an event log or of new files a sensor that builds it, and what follows, when some are not read."""
    tables = project.graph.tables.values()
    return [_lag_sensor(project, table) for table in tables if table.source is not None and table.source.tells_lag]


def _lag_sensor(project: Project, table: TableDef) -> dg.SensorDefinition:
    chosen = [dg.AssetKey(name) for name in project.graph.downstream([table.name])]

    def request(asked: str, key: str) -> dg.RunRequest:
        return dg.RunRequest(run_key=key, tags={UNREAD_TAG: asked}, asset_selection=chosen)

    @dg.sensor(
        name=f"{table.name}_lag",
        job_name=PIPELINE,
        minimum_interval_seconds=60,
        description=f"Builds {table.name} and what follows from it when its source has events or files that were not read.",
    )
    def lag_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            lag, offsets = unread(project, table)
        except WarehouseLocked:
            return dg.SkipReason("another process holds the warehouse; the next tick looks again")
        except PipelineError as error:
            return dg.SkipReason(str(error))
        if lag == 0:
            return dg.SkipReason("nothing unread")
        # The key names how far was read: the same lag is not requested twice, but where a run has not read it.
        asked = f"{project.package}.{table.name} {sorted(offsets.items())}+{lag}"
        for before in context.instance.get_run_records(dg.RunsFilter(tags={UNREAD_TAG: asked}), limit=1):
            run = before.dagster_run
            if not run.is_finished or time.time() - (before.end_time or 0) < AGAIN:
                again = f"where it did not, they are asked for again {AGAIN // 60} minutes after its end"
                return dg.SkipReason(f"run {run.run_id[:8]} was to read them; {again}")
            return dg.SensorResult(run_requests=[request(asked, f"{asked} after {run.run_id}")])
        return dg.SensorResult(run_requests=[request(asked, asked)])

    return lag_sensor


def unread(project: Project, table: TableDef) -> tuple[int, dict[int, int]]:
    """How many events or files `table` has not read yet, and the offsets it has committed."""
    from assay.warehouse.offsets import committed_offsets

    settings = project.settings()
    offsets = committed_offsets(settings, table.name, 0)
    assert table.source is not None
    with project.sources(settings) as sources:
        return table.source.lag(sources.resolve(table.source.location), offsets), offsets


def health_sensors(project: Project) -> list[dg.SensorDefinition]:
    """The sensor that tells channels what is wrong, each minute; it is on where PIPELINE_ALERTS is set."""

    def configured() -> bool:
        try:
            return project.settings().alerts is not None
        except PipelineError:
            return False  # the run will say it

    @dg.sensor(
        name="health",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if configured() else dg.DefaultSensorStatus.STOPPED,
        description="Tells the channels of PIPELINE_ALERTS what is wrong, and what is well again.",
    )
    def health(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from assay.health.draw import outline as drawn
        from assay.orchestration.alerting import off_by_default, sweep

        settings = project.settings()
        if settings.alerts is None:
            return dg.SkipReason("PIPELINE_ALERTS is not set: nobody is told")
        schedules = context.repository_def.schedule_defs if context.repository_def else ()
        outline = drawn(project.graph, project.fresh, off_by_default(schedules))
        swept = sweep(context.instance, project, outline, settings, dtm.datetime.now(dtm.UTC))
        said = f"{swept.verdict.status}: {len(swept.sent)} messages sent"
        if swept.lost:
            said += f", {len(swept.lost)} not taken by their channel: the next tick tries again"
        return dg.SkipReason(said + ("; the heartbeat did not get through" if swept.beat is False else ""))

    return [health]
