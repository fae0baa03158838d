"""Dagster's entry point: the stages autoloaded, resources bound, jobs, a schedule and sensors. Nothing else."""

from __future__ import annotations

import dagster as dg

from assay.definitions import (
    build_assets,
    build_resources,
    daily_schedule,
    event_log_sensors,
    golden_definitions,
    health_sensors,
    project_jobs,
)
from pipeline_project.project import project

defs = dg.Definitions.merge(
    dg.Definitions(
        assets=build_assets(project),
        resources=build_resources(project),
        jobs=project_jobs(project),
        schedules=[daily_schedule(project, hour=6, timezone="America/New_York")],
        sensors=[*event_log_sensors(project), *health_sensors(project)],
        # DuckDB has one writer: steps side by side in processes would only wait for each other.
        executor=dg.in_process_executor,
    ),
    golden_definitions(project),
)
