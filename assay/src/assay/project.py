"""A project: its stages, settings and sources put together, without Dagster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from assay.settings import BaseSettings
from assay.sources.base import Sources

if TYPE_CHECKING:
    import dagster as dg

    from assay.tables.fresh import Fresh
    from assay.tables.graph import Graph


@dataclass(frozen=True)
class Project:
    """What the command line, the golden runner, the planner and Dagster's definitions are made from.

    Attributes:
        package: the import name, e.g. `my_team_pipeline`.
        stages: folders of the package that hold nodes, upstream first, `checks` last.
        root: the folder with `pyproject.toml` and `golden/`.
        settings: reads the environment; raises SettingsError.
        sources: opens the sources for a run.
        fresh: by when every table and export must be built anew that does not say it itself; None for no time.
    """

    package: str
    stages: tuple[str, ...]
    root: Path
    settings: Callable[[], BaseSettings]
    sources: Callable[[BaseSettings], Sources]
    fresh: Fresh | None = None
    opening: Callable[[BaseSettings], Sources] = field(init=False)
    """As `sources`, and asks no table of the project: for who wants an address and loads none."""

    def __post_init__(self) -> None:
        opening = self.sources
        object.__setattr__(self, "opening", opening)

        def told(settings: BaseSettings) -> Sources:
            """The sources, which know the settings: connectors find secrets there."""
            from assay.sources.files import Files
            from assay.sources.remote import check_location
            from assay.tables.declared import declared

            for each in self.graph.nodes.values():
                declared(each, settings)
            for node in self.graph.tables.values():
                if isinstance(node.source, Files) and (base := settings.locations.get(node.source.location)):
                    check_location(node.source.location, base, settings.prefix)
            opened = opening(settings)
            opened.settings = settings
            return opened

        object.__setattr__(self, "sources", told)

    def kind(self) -> type[BaseSettings]:
        """The class of the project's settings."""
        return type(self.settings())

    @cached_property
    def graph(self) -> Graph:
        """All tables, exports and invariants; imports the stage folders on first use."""
        from assay.tables.graph import Graph  # the door: what only asks for settings or help loads no engine

        return Graph.load(self.package, self.stages)

    def dagster_definitions(self) -> dg.Definitions:
        """The Dagster definitions of the project's `definitions.py`, for commands that run jobs."""
        defs: dg.Definitions = import_module(f"{self.package}.definitions").defs
        return defs

    @property
    def golden(self) -> Path:
        """The folder of the golden cases."""
        return self.root / "golden"
