"""What a project's `definitions.py` is made of: assets, resources, jobs, the schedule, sensors and the golden cases."""

from __future__ import annotations

from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.golden_job import golden_definitions
from assay.orchestration.jobs import daily_schedule, event_log_sensors, health_sensors, project_jobs

__all__ = [
    "build_assets",
    "build_resources",
    "daily_schedule",
    "event_log_sensors",
    "golden_definitions",
    "health_sensors",
    "project_jobs",
]
