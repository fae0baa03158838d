"""A durable, append-only event log in plain files: the embedded default for event streams.

A topic is a folder, a partition a folder in it, and a segment a file named after its first offset:

    <base>/<topic>/<partition>/00000000000000000000.log

One event is one line, `<offset> <length> <crc32 of offset and payload, hex> <JSON payload>`, so that a log reads
well in any pager. Offsets of a partition start at 0 and have no gap. An append is durable once it returned.

A crash may leave the last line torn: cut off, or blank where the disk never got its bytes. It was never
acknowledged; readers stop before it and the next writer removes it. Anything else that does not fit (a gap, a
repeat, a wrong checksum) is damage, and an error.
"""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pipeline_project.framework.errors import SourceError
from pipeline_project.framework.sources.strict_json import encode

SEGMENT_BYTES = 16 * 1024 * 1024
LONGEST = 16 * 1024 * 1024
"""No frame is longer, in bytes."""

_SEGMENT = re.compile(r"\d{20}\.log")
_FRAME = re.compile(rb"(\d{1,20}) (\d{1,9}) ([0-9a-f]{8}) ")


@dataclass(frozen=True)
class Event:
    """One event: where it stands, and its JSON text as it was written."""

    partition: int
    offset: int
    payload: bytes


def frame(offset: int, payload: bytes) -> bytes:
    """The line that holds an event."""
    return b"%d %d %08x %s\n" % (offset, len(payload), _checksum(offset, payload), payload)


def partitions(base: str | Path, topic: str) -> list[int]:
    """The topic's partitions; raises SourceError if there is no such topic."""
    folder = Path(base) / topic
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise SourceError(
            f"cannot be read as an event log ({error.strerror})",
            where=str(folder),
            fix="Check the location and the topic; a writer creates both.",
        ) from None
    return sorted(int(name) for name in names if name.isdecimal())


def ends(base: str | Path, topic: str) -> dict[int, int]:
    """For each partition the offset the next event will get. Reads no more than the last segments."""
    return {partition: Partition(base, topic, partition).end() for partition in partitions(base, topic)}


def lag(base: str | Path, topic: str, offsets: Mapping[int, int]) -> int:
    """How many events of all partitions are not yet consumed."""
    waiting = 0
    for partition in partitions(base, topic):
        log = Partition(base, topic, partition)
        waiting += max(0, log.end() - offsets.get(partition, log.start()))
    return waiting


class Partition:
    """Reads one partition."""

    def __init__(self, base: str | Path, topic: str, partition: int) -> None:
        self.partition = partition
        self.folder = Path(base) / topic / str(partition)

    def start(self) -> int:
        """The first offset still kept."""
        segments = self._segments()
        return _first(segments[0]) if segments else 0

    def end(self) -> int:
        """The offset after the last whole event."""
        segments = self._segments()
        if not segments:
            return 0
        offset = _first(segments[-1])
        for event in self._scan(segments[-1], last=True):
            offset = event.offset + 1
        return offset

    def read(self, offset: int | None = None, limit: int | None = None) -> Iterator[Event]:
        """Events from `offset` (default: the first kept) on, at most `limit`.

        Raises:
            SourceError: the log lacks or repeats an offset, is damaged, or does not reach back or up to `offset`.
        """
        segments = self._segments()
        expected = self.start() if offset is None else offset
        if offset is not None:
            self._check_reach(segments, offset)
        wanted = [
            segment
            for index, segment in enumerate(segments)
            if index + 1 == len(segments) or _first(segments[index + 1]) > expected
        ]
        count = 0
        following: int | None = None
        for segment in wanted:
            if following is not None and _first(segment) != following:
                raise self._broken(following, f"is missing: the next segment starts at {_first(segment)}")
            following = _first(segment)
            for event in self._scan(segment, last=segment is segments[-1]):
                following = event.offset + 1
                if event.offset < expected:
                    continue
                if limit is not None and count >= limit:
                    return
                count += 1
                yield event

    def _check_reach(self, segments: list[Path], offset: int) -> None:
        if not segments and offset > 0:
            raise self._broken(offset, "was expected next, but the log is empty", "Was the log replaced?")
        if segments and offset < _first(segments[0]):
            raise self._broken(
                offset, f"is gone: the log now starts at {_first(segments[0])}", "Events were lost to retention."
            )
        if segments and offset > (end := self.end()):
            raise self._broken(offset, f"was expected next, but the log ends at {end}", "Was the log replaced?")

    def _segments(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if _SEGMENT.fullmatch(path.name))

    def _scan(self, segment: Path, *, last: bool) -> Iterator[Event]:
        with segment.open("rb") as stream:
            for event, _ in self._frames(stream, _first(segment), last=last):
                yield event

    def _frames(self, stream: BinaryIO, offset: int, *, last: bool) -> Iterator[tuple[Event, int]]:
        """Each whole event of a segment with the position after it."""
        position = 0
        while line := stream.readline(LONGEST):
            payload = self._payload(line, offset)
            if payload is None:
                if last and _is_torn(line, stream):
                    return
                raise self._broken(offset, f"is damaged in {segment_name(stream)} at byte {position}")
            position += len(line)
            yield Event(self.partition, offset, payload), position
            offset += 1

    def _payload(self, line: bytes, expected: int) -> bytes | None:
        """The line's payload; None if the line is not whole. A whole line of another offset is an error."""
        head = _FRAME.match(line)
        if head is None or not line.endswith(b"\n"):
            return None
        offset, payload = int(head[1]), line[head.end() : -1]
        if len(payload) != int(head[2]) or _checksum(offset, payload) != int(head[3], 16):
            return None
        if offset < expected:
            raise self._broken(offset, f"appears again where {expected} was expected")
        if offset > expected:
            raise self._broken(expected, f"is missing: {offset} follows {expected - 1}")
        return payload

    def _broken(self, offset: int, what: str, fix: str | None = None) -> SourceError:
        return SourceError(
            f"offset {offset} {what}",
            where=f"{self.folder.parent}, partition {self.partition}",
            fix=fix or "Restore the log from its copy; nothing was consumed.",
        )


class LogWriter:
    """Appends to one partition; the only writer while it is open. Use as a context manager.

    Args:
        base: the log's folder, created if missing, as are topic and partition.
        segment_bytes: a segment that has grown this large is followed by a new one.
    """

    def __init__(self, base: str | Path, topic: str, partition: int = 0, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._log = Partition(base, topic, partition)
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
        self._stream, self.offset = self._recover()

    def append(self, events: Iterable[Mapping[str, object] | bytes]) -> int:
        """Append events, as objects or JSON text, durably; returns the offset the next event will get."""
        for event in events:
            payload = event if isinstance(event, bytes) else encode(event).encode()
            if b"\n" in payload:
                raise SourceError(
                    "an event contains a line break", where=str(self._log.folder), fix="Write it compactly."
                )
            line = frame(self.offset, payload)
            if len(line) >= LONGEST:
                raise SourceError(f"an event is larger than {LONGEST} bytes", where=str(self._log.folder))
            if self._stream.tell() >= self._segment_bytes:
                self._rotate()
            self._stream.write(line)
            self.offset += 1
        self._sync()
        return self.offset

    def close(self) -> None:
        """Release the partition. Safe to call twice."""
        self._stream.close()
        self._lock.close()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _recover(self) -> tuple[BinaryIO, int]:
        """Open the last segment behind its last whole event; a torn one is removed."""
        segments = self._log._segments()
        if not segments:
            return self._open(0), 0
        offset, position = _first(segments[-1]), 0
        stream = segments[-1].open("r+b")
        for event, position in self._log._frames(stream, offset, last=True):  # noqa: B007
            offset = event.offset + 1
        stream.seek(position)
        stream.truncate()
        os.fsync(stream.fileno())
        return stream, offset

    def _rotate(self) -> None:
        self._sync()
        self._stream.close()
        self._stream = self._open(self.offset)

    def _open(self, offset: int) -> BinaryIO:
        stream = (self._log.folder / f"{offset:020d}.log").open("x+b")
        # The file's name must be as durable as its content.
        for folder in (self._log.folder, *list(self._log.folder.parents)[:2]):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return stream

    def _sync(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())


def segment_name(stream: BinaryIO) -> str:
    return Path(stream.name).name


def _first(segment: Path) -> int:
    return int(segment.stem)


def _checksum(offset: int, payload: bytes) -> int:
    return zlib.crc32(b"%d " % offset + payload)


def _is_torn(line: bytes, stream: BinaryIO) -> bool:
    """Whether a line that is not whole is the unacknowledged end of the log, not damage."""
    if line.endswith(b"\n"):
        return False
    head = _FRAME.match(line)
    rest = line.rstrip(b"\0")
    incomplete = head is None or len(line) < head.end() + int(head[2]) + 1 or rest != line
    return incomplete and not stream.read(1)
