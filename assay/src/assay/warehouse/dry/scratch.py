"""Folders for dry runs and landings: one each, removed afterwards; what a killed run left goes with the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assay.errors import WarehouseError, on_disk

PREFIX = "dry_run_"
OWNER = "owner.lock"


@contextmanager
def scratch_folder(parent: Path, *, keep: bool = False, prefix: str = PREFIX) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end unless `keep`; its name begins with `prefix`.

    Raises:
        WarehouseError: the folder cannot be made.
    """
    with on_disk(WarehouseError, "no temporary folder can be made", where=str(parent), fix="Set PIPELINE_SCRATCH."):
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # While a run lives it holds this lock; the system lets go of it however the run ends. It has its name when it is
        # held: by that name others find what nobody holds.
        unnamed = folder / f"{OWNER}.new"
        owner = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(owner, fcntl.LOCK_EX)
        unnamed.rename(folder / OWNER)
    try:
        yield folder
    finally:
        if keep:
            (folder / OWNER).unlink(missing_ok=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(owner)


def folder_bytes(folder: Path) -> int:
    """How much disk the files below `folder` take."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # DuckDB removes spilled files meanwhile
            total += path.lstat().st_size
    return total


def _sweep(parent: Path, prefix: str) -> None:
    """Remove the folders of runs that were killed: their lock file is there, and nobody holds it."""
    for lock in parent.glob(f"{prefix}*/{OWNER}"):
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(handle)
