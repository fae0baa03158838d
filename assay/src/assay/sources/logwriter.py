"""Writing the embedded event log: durable, all or none of an append, one writer a partition."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path

from assay.errors import SourceError
from assay.sources.eventlog import LONGEST, Partition, first_offset, frame
from assay.sources.strict_json import encode

SEGMENT_BYTES = 16 * 1024 * 1024


class LogWriter:
    """Appends to one partition; the only writer while it is open. Use as a context manager.

    Args:
        base: the log's folder, created if missing, as are topic and partition.
        segment_bytes: a segment that has grown this large is followed by a new one.
    """

    def __init__(self, base: str | Path, topic: str, partition: int = 0, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._log = Partition(Path(base) / topic / str(partition))
        self._segment_bytes = segment_bytes
        self._log.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self._log.folder / "writer.lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SourceError(
                "another process is writing", where=str(self._log.folder), fix="A partition has one writer at a time."
            ) from None
        try:
            self._stream, self.offset = self._recover()
        except SourceError:
            self._lock.close()
            raise

    def append(self, events: Iterable[Mapping[str, object] | bytes]) -> int:
        """Append events, as objects or JSON text, durably and all or none; returns the offset after the last.

        Raises:
            SourceError: an event is too large or has a line break, or the disk refuses; nothing was appended.
        """
        lines = []
        for index, event in enumerate(events):
            payload = event if isinstance(event, bytes) else encode(event).encode()
            line = frame(self.offset + index, payload)
            if b"\n" in payload or len(line) >= LONGEST:
                raise SourceError(
                    f"event {index} has a line break, or more than {LONGEST} bytes", where=str(self._log.folder)
                )
            lines.append(line)
        position = self._stream.tell()
        if position >= self._segment_bytes:
            self._stream.close()
            self._stream, position = self._open(self.offset), 0
        try:
            left = memoryview(b"".join(lines))
            while left:
                left = left[self._stream.write(left) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            self._stream.truncate(position)
            self._stream.seek(position)
            raise SourceError(f"cannot be written: {error.strerror}", where=str(self._log.folder)) from None
        self.offset += len(lines)
        return self.offset

    def close(self) -> None:
        """Release the partition. Safe to call twice."""
        self._stream.close()
        self._lock.close()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recover(self) -> tuple[FileIO, int]:
        """Open the last segment behind its last whole event; a torn one is removed."""
        segments = self._log.segments()
        if not segments:
            return self._open(0), 0
        offset, end = first_offset(segments[-1]), 0
        for event, position in self._log.frames(segments[-1], last=True):
            offset, end = event.offset + 1, position
        stream = segments[-1].open("r+b", buffering=0)
        stream.truncate(end)
        stream.seek(end)
        os.fsync(stream.fileno())
        return stream, offset

    def _open(self, offset: int) -> FileIO:
        stream = (self._log.folder / f"{offset:020d}.log").open("x+b", buffering=0)
        # The file's name must be as durable as its content.
        for folder in (self._log.folder, *list(self._log.folder.parents)[:2]):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return stream
