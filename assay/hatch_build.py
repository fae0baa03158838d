"""Lays the guides, which stand in `docs/` beside this folder, into the wheel: `pipeline guide` reads them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OWN = {"decisions.md"}
"""Of the template, not of the framework."""


class Guides(BuildHookInterface[Any]):
    """Called by Hatchling; an editable install reads them in their own place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            pages = Path(self.root).parent.glob("docs/*.md")
            inside = {str(page): f"assay/guides/{page.name}" for page in pages if page.name not in OWN}
            build_data["force_include"].update(inside)
