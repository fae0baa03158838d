"""This project, put together without Dagster; `definitions.py` adds Dagster to it."""

from __future__ import annotations

from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from pipeline_project.settings import ROOT, load_settings


def open_sources(settings: BaseSettings) -> Sources:
    """The sources at their configured addresses."""
    return Sources(settings.locations)


project = Project(
    package=__package__ or "pipeline_project",
    stages=("extract", "transform", "load", "checks"),
    root=ROOT,
    settings=load_settings,
    sources=open_sources,
)
