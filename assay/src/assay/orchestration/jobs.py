"""Jobs, the schedule and the sensors that every project has."""

from __future__ import annotations

import datetime as dtm
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg

from assay.errors import PipelineError, WarehouseLocked
from assay.orchestration.dry_run_job import dry_run_job
from assay.tables.declare import TableDef

if TYPE_CHECKING:
    from assay.project import Project

PIPELINE = "pipeline"
"""The job that builds everything."""


def project_jobs(project: Project) -> list[Any]:
    """`pipeline` builds everything, one job a stage builds that stage, `dry_run` shows what a build would change."""
    stages = list(dict.fromkeys(node.stage for node in project.graph))
    jobs: list[Any] = [
        dg.define_asset_job(
            PIPELINE, dg.AssetSelection.assets(*project.graph.nodes), description="Builds every table and export."
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
    return [*jobs, dry_run_job(project)]


def daily_schedule(project: Project, *, hour: int, timezone: str) -> dg.ScheduleDefinition:
    """Runs the pipeline every day at `hour`, for yesterday where a table has open-ended daily partitions."""
    open_ended = any(
        table.partitions is not None and table.partitions.end is None for table in project.graph.tables.values()
    )

    @dg.schedule(
        name="daily",
        cron_schedule=f"0 {hour} * * *",
        job_name=PIPELINE,
        execution_timezone=timezone,
        description="The pipeline, every morning.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        today = context.scheduled_execution_time.astimezone(ZoneInfo(timezone)).date()
        key = (today - dtm.timedelta(days=1)).isoformat() if open_ended else None
        return dg.RunRequest(run_key=today.isoformat(), partition_key=key)

    return daily


def event_log_sensors(project: Project) -> list[dg.SensorDefinition]:
    """For every table fed by an event log, a sensor that builds it and what follows when the log has lag."""
    return [
        _lag_sensor(project, table)
        for table in project.graph.tables.values()
        if table.source is not None and table.source.incremental
    ]


def _lag_sensor(project: Project, table: TableDef) -> dg.SensorDefinition:
    downstream = project.graph.downstream([table.name])

    @dg.sensor(
        name=f"{table.name}_lag",
        asset_selection=dg.AssetSelection.assets(*downstream),
        minimum_interval_seconds=60,
        description=f"Builds {table.name} and what follows from it when its event log has unread events.",
    )
    def lag_sensor(_: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            lag, offsets = unread(project, table)
        except WarehouseLocked:
            return dg.SkipReason("another process holds the warehouse; the next tick looks again")
        except PipelineError as error:
            return dg.SkipReason(str(error))
        if lag == 0:
            return dg.SkipReason("no unread events")
        # The run key names how far was read: the same lag is never requested twice.
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{sorted(offsets.items())}+{lag}")])

    return lag_sensor


def unread(project: Project, table: TableDef) -> tuple[int, dict[int, int]]:
    """How many events `table` has not read yet, and the offsets it has committed."""
    from assay.warehouse.connection import Options, connect
    from assay.warehouse.ops import offsets as committed

    settings = project.settings()
    offsets: dict[int, int] = {}
    if settings.warehouse.exists():
        connection = connect(settings.warehouse, Options(), lock_timeout=0, read_only=True)
        try:
            catalog = connection.execute("SELECT current_database()").fetchall()[0][0]
            offsets = committed(connection, catalog, table.name)
        finally:
            connection.close()
    assert table.source is not None
    with project.sources(settings) as sources:
        return table.source.lag(sources.resolve(table.source.location), offsets), offsets
