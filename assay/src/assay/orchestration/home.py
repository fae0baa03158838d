"""Where Dagster's history is. Without Dagster, whose import takes longer than reading it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from assay.errors import PipelineError

OWN_LOG = "assay.orchestration.event_log"
"""The module whose event log is Dagster's own in SQLite, in the same files."""
STORES = {"storage", "run_storage", "event_log_storage", "schedule_storage"}
ELSEWHERE = {*STORES, "instance_class"}
COPIED = "# Copied from the project's dagster.yaml, without its store: the history of dry runs stays here."


def dagster_home(root: Path, *, dry: bool) -> Path:
    """The folder of Dagster's history, made if missing: DAGSTER_HOME, else `.dagster`; dry runs have their own in it."""
    home = Path(os.environ.get("DAGSTER_HOME") or root / ".dagster")
    if dry:
        home = home / "dry_run"

    with told(home):
        home.mkdir(parents=True, exist_ok=True)
        configure(home, root, dry=dry)
    return home


def configure(home: Path, root: Path, *, dry: bool) -> None:
    """Let Dagster find the dagster.yaml of `root` in `home`, unless there is one; raises OSError.

    By a link, for a copy would go stale. But the history of dry runs stays in files wherever the other one is, for there it
    would tell of tables that were never built: so it has a copy without the store, made anew each time.
    """
    config, wanted = home / "dagster.yaml", root / "dagster.yaml"
    if not wanted.exists():
        return
    settings = _said(wanted) if dry else {}
    if settings.keys() & {"storage", "run_storage"}:
        if not config.exists() or config.is_symlink() or config.read_text(encoding="utf-8").startswith(COPIED):
            config.unlink(missing_ok=True)
            kept = {name: value for name, value in settings.items() if name not in STORES}
            config.write_text(f"{COPIED}\n{yaml.safe_dump(kept, sort_keys=False)}", encoding="utf-8")
    elif not config.exists():
        config.unlink(missing_ok=True)  # a link that leads nowhere
        config.symlink_to(wanted)


def in_files(home: Path) -> bool:
    """Whether the history is SQLite's files in `home`, since dagster.yaml puts it nowhere else; raises OSError."""
    config = home / "dagster.yaml"
    configured = _said(config) if config.exists() else {}
    if (configured.get("event_log_storage") or {}).get("module") == OWN_LOG:
        del configured["event_log_storage"]
    return not configured.keys() & ELSEWHERE


def _said(config: Path) -> dict[str, Any]:
    """What a dagster.yaml says; raises OSError, and PipelineError where it is no mapping."""
    try:
        found = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{config}:{mark.line + 1}" if mark else str(config)
        raise PipelineError("is no YAML", where=where, fix="Write it as Dagster has it.") from None
    if not isinstance(found or {}, dict):
        raise PipelineError("holds no mapping", where=str(config), fix="Write key: value lines.")
    return found or {}


@contextmanager
def told(home: Path, kinds: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raise a PipelineError where Dagster's history cannot be read or written, as on a full disk.

    Args:
        kinds: exceptions that say so as well.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads the output has gone; the history is sound
    except Exception as error:
        if not isinstance(error, (OSError, sqlite3.Error, *kinds)):
            raise
        reason = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
        raise PipelineError(
            f"Dagster's history cannot be read or written: {' '.join(str(reason).split())}",
            where=str(home),
            fix="Free the disk, see who may write there, or set DAGSTER_HOME to another folder.",
        ) from error
