"""The project's settings: the only place that reads the environment, when a run sets up its resources."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from assay.settings import BaseSettings

ROOT = Path(__file__).resolve().parent.parent
"""The folder with `pyproject.toml`; relative paths in settings count from here."""


class Settings(BaseSettings):
    """Where this project's sources are: a folder or an address each."""

    default_locations: ClassVar[Mapping[str, str]] = {
        "shop_files": "./sample",
    }


def load_settings() -> Settings:
    """Read the environment; raises SettingsError."""
    return Settings.read(os.environ, root=ROOT)
