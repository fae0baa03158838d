"""Proof that a dry run left the real warehouse alone: what its files were before and after, byte for byte.

A `Witness` also holds a shared lock on the file, of the kind that belongs to the open file and not to the
process. While it lives no DuckDB opens the file for writing: no other process, and not even this one by
another name of the file (a symlink, a second instance, DETACH and ATTACH).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from assay.errors import WarehouseError, on_disk
from assay.warehouse.connection import Patience, process_name

BLOCK = 1 << 20
_FLOCK = "hhqqi0q"
"""`struct flock` on 64-bit Linux: type, whence, start, length, pid."""


@dataclass(frozen=True)
class FileState:
    """A file at one moment; `size` is None where there is none."""

    name: str
    size: int | None = None
    modified_ns: int | None = None
    checksum: str | None = None

    def __str__(self) -> str:
        if self.size is None:
            return f"{self.name} absent"
        return f"{self.name} {self.size:,} bytes, sha256 {(self.checksum or '')[:12]}"


@dataclass(frozen=True)
class Proof:
    """The real file and its write-ahead log, and what else tells of a write, before and after."""

    before: tuple[object, ...]
    after: tuple[object, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was written: same size, same modification time, same bytes."""
        return self.before == self.after

    @property
    def line(self) -> str:
        """The proof in one line."""
        if self.holds:
            return f"Proof: nothing written. {'; '.join(map(str, self.after))}; same size, time and bytes as before."
        moved = [f"{old} -> {new}" for old, new in zip(self.before, self.after, strict=True) if old != new]
        return f"PROOF FAILED: the real warehouse changed during the dry run: {'; '.join(moved)}"

    def check(self) -> None:
        """Raise WarehouseError unless the proof holds."""
        if not self.holds:
            raise WarehouseError(
                self.line,
                fix="Find what wrote it (a table's own Python code, another program) before trusting the plan.",
            )


class Witness:
    """Watches the real warehouse for the time of a `with` block.

    Open it before DuckDB attaches the file and leave it after DuckDB closed it: closing any handle of a file
    gives up the locks that DuckDB holds on it in this process.

    Args:
        path: the real warehouse's file, which may not exist.
        lock_timeout: seconds to wait for a process that is writing.
    """

    def __init__(self, path: Path, *, lock_timeout: float = 30.0) -> None:
        self.path = path.resolve()
        self.lock_timeout = lock_timeout
        self._handle: int | None = None
        self._before: tuple[FileState, ...] = ()

    def __enter__(self) -> Self:
        try:
            self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._handle = None
        except OSError as error:
            raise WarehouseError(f"cannot be read: {error.strerror}", where=str(self.path)) from None
        try:
            if self._handle is not None:
                hold_for_reading(self._handle, self.path, self.lock_timeout)
            self._before = self._states()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def proof(self) -> Proof:
        """Before, and now; call it after DuckDB closed the file, inside the block.

        Raises:
            WarehouseError: a file cannot be read, so that nothing is proven.
        """
        return Proof(self._before, self._states())

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _states(self) -> tuple[FileState, ...]:
        with on_disk(WarehouseError, "cannot be read, so nothing proves that it is left alone", where=str(self.path)):
            return (self._state(), _state_of(self.path.with_name(f"{self.path.name}.wal")))

    def _state(self) -> FileState:
        if self._handle is None:
            return _state_of(self.path)
        named = _identity(self.path)
        if named != _identity(self._handle):
            # Somebody put another file in its place: the open one is no longer what readers see.
            return _state_of(self.path) if named else FileState(self.path.name)
        return _read_state(self.path.name, self._handle)


def hold_for_reading(handle: int, path: Path, lock_timeout: float) -> None:
    """Hold a shared lock on an open file, which belongs to `handle`, until that is closed.

    Raises:
        WarehouseLocked: another process is writing the file, and still is after `lock_timeout` seconds.
    """
    command = getattr(fcntl, "F_OFD_SETLK", None)
    if command is None:
        return
    patience = Patience(path, lock_timeout)
    while True:
        try:
            fcntl.fcntl(handle, command, struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return  # a file system without locks: the bytes still prove it
            patience.wait(f"{_writer(handle)} holds it for writing")


def _writer(handle: int) -> str:
    answer = fcntl.fcntl(handle, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    pid = struct.unpack(_FLOCK, answer)[4]
    return process_name(pid) if pid > 0 else "another process"


def _identity(file: Path | int) -> tuple[int, int] | None:
    try:
        stat = os.fstat(file) if isinstance(file, int) else file.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino


def _state_of(path: Path) -> FileState:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return FileState(path.name)
    try:
        return _read_state(path.name, handle)
    finally:
        os.close(handle)


def _read_state(name: str, handle: int) -> FileState:
    stat = os.fstat(handle)
    digest = hashlib.sha256()
    offset = 0
    while block := os.pread(handle, BLOCK, offset):
        digest.update(block)
        offset += len(block)
    return FileState(name, stat.st_size, stat.st_mtime_ns, digest.hexdigest())
