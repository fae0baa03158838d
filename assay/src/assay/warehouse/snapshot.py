"""A copy of the warehouse for readers, who may keep it open as long as they like without a run waiting for them.

DuckDB gives its file to one writer or to readers, never to both. The copy is a file of its own, replaced by a
rename: whoever has the old one open goes on reading it, whoever opens it next sees the new one.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from assay import notices
from assay.errors import WarehouseLocked
from assay.warehouse.dry.proof import hold_for_reading

_FICLONE = 0x40049409
"""Linux: share the blocks of another file until one of the two is written (btrfs, XFS, bcachefs)."""
_CHUNK = 1 << 30


def renew(snapshot: Path, warehouse: Path) -> None:
    """Make `snapshot` what `warehouse` is, unless it is already. A failure is said, and the older copy stays."""
    try:
        with warehouse.open("rb") as source:
            # Another run may begin; it waits for the copy as it would for a reader.
            hold_for_reading(source.fileno(), warehouse, lock_timeout=0)
            if _age(warehouse) == _age(snapshot):
                return
            if warehouse.with_name(f"{warehouse.name}.wal").exists():
                raise OSError(0, "the warehouse has a write-ahead log, so that the file is not all of it")
            snapshot.parent.mkdir(parents=True, exist_ok=True)
            _replace(snapshot, source.fileno())
    except WarehouseLocked:
        return  # the run that holds it renews the copy when it ends
    except OSError as error:
        notices.notice(f"snapshot not renewed: {snapshot}: {error.strerror}; readers keep the one before")


def _replace(snapshot: Path, source: int) -> None:
    _sweep(snapshot)
    handle, name = tempfile.mkstemp(dir=snapshot.parent, prefix=f".{snapshot.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as part:
            fcntl.flock(part, fcntl.LOCK_EX)  # held as long as this process lives
            _copy(source, part.fileno())
            os.fsync(part.fileno())
            state = os.fstat(source)
            os.utime(part.fileno(), ns=(state.st_atime_ns, state.st_mtime_ns))
            os.fchmod(part.fileno(), state.st_mode & 0o777)
            Path(name).replace(snapshot)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _copy(source: int, target: int) -> None:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:  # no such file system, or two of them
        while os.sendfile(target, source, None, _CHUNK):
            pass


def _sweep(snapshot: Path) -> None:
    """Remove what a killed process left half-copied: nobody holds its lock."""
    for left in snapshot.parent.glob(f".{snapshot.name}.*.part"):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _age(file: Path) -> tuple[int, int] | None:
    try:
        state = file.stat()
    except FileNotFoundError:
        return None
    return state.st_size, state.st_mtime_ns
