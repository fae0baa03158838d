"""Dagster's migrations, read once a process.

It asks which is the newest whenever it opens a file of its history, and reads all of them for it: four times in a run, for
a third of the processor's time of a small one.
"""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

_from_config = ScriptDirectory.from_config
_read: dict[str, ScriptDirectory] = {}


def _once(config: Config) -> ScriptDirectory:
    place = config.get_main_option("script_location") or ""
    if not place.startswith("dagster"):
        return _from_config(config)
    if place not in _read:
        _read[place] = _from_config(config)
    return _read[place]


def read_once() -> None:
    """From now on; those of others are read whenever they are asked for."""
    ScriptDirectory.from_config = staticmethod(_once)  # type: ignore[method-assign]  # Dagster asks nobody else
