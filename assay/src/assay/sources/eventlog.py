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

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from assay.errors import SourceError

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


class TopicReader:
    """Reads one topic of a log, across its partitions. Use as a context manager.

    Attributes:
        reached: for each partition the offset after what `read` has brought so far.
    """

    def __init__(self, base: str | Path, topic: str) -> None:
        self.folder = Path(base) / topic
        self.reached: dict[int, int] = {}

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is kept open between questions."""

    def partitions(self) -> list[Partition]:
        """The topic's partitions; raises SourceError if there is no such topic."""
        try:
            numbers = sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())
        except OSError as error:
            raise _unreadable(self.folder, error) from None
        return [Partition(self.folder / str(number)) for number in numbers]

    def ends(self) -> dict[int, int]:
        """For each partition the offset the next event will get. Reads no more than the last segments."""
        return {log.partition: log.end() for log in self.partitions()}

    def lag(self, offsets: Mapping[int, int]) -> int:
        """How many events of all partitions are not yet consumed."""
        return sum(max(0, log.end() - offsets.get(log.partition, log.start())) for log in self.partitions())

    def read(self, offsets: Mapping[int, int], limit: int) -> Iterator[Event]:
        """At most `limit` events from `offsets` on; a partition without one is read from its first kept event."""
        known = self.partitions()
        for partition in sorted(offsets.keys() - {log.partition for log in known}):
            raise SourceError(f"partition {partition} is gone", where=str(self.folder), fix="Was the log replaced?")
        for log in known:
            offset = offsets.get(log.partition, log.start())
            self.reached[log.partition] = offset
            for event in log.read(offset, limit):
                limit -= 1
                self.reached[log.partition] = event.offset + 1
                yield event


class Partition:
    """Reads one partition, the folder of its segments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partition = int(folder.name)

    def start(self) -> int:
        """The first offset still kept."""
        segments = self.segments()
        return first_offset(segments[0]) if segments else 0

    def end(self) -> int:
        """The offset after the last whole event."""
        segments = self.segments()
        if not segments:
            return 0
        offset = first_offset(segments[-1])
        for event, _ in self.frames(segments[-1], last=True):
            offset = event.offset + 1
        return offset

    def read(self, offset: int, limit: int) -> Iterator[Event]:
        """At most `limit` events from `offset` on.

        Raises:
            SourceError: the log lacks or repeats an offset, is damaged, or does not reach back or up to `offset`.
        """
        segments = self.segments()
        if segments and offset < (start := first_offset(segments[0])):
            raise self._broken(offset, f"is gone: the log now starts at {start}", "Events were lost to retention.")
        following: int | None = None
        for segment, after in zip_longest(segments, segments[1:]):
            if after is not None and first_offset(after) <= offset:
                continue
            if following is not None and first_offset(segment) != following:
                raise self._broken(following, f"is missing: the next segment starts at {first_offset(segment)}")
            following = first_offset(segment)
            for event, _ in self.frames(segment, last=after is None):
                if event.offset >= offset:
                    if limit <= 0:
                        return
                    limit -= 1
                    yield event
                following = event.offset + 1
        if (end := following or 0) < offset:
            raise self._broken(offset, f"was expected next, but the log ends at {end}", "Was the log replaced?")

    def segments(self) -> list[Path]:
        """The segments' files, oldest first."""
        try:
            return sorted(path for path in self.folder.iterdir() if _SEGMENT.fullmatch(path.name))
        except OSError as error:
            raise _unreadable(self.folder, error) from None

    def frames(self, segment: Path, *, last: bool) -> Iterator[tuple[Event, int]]:
        """Each whole event of a segment with the position after it; `last`: whether its end may be torn."""
        try:
            stream = segment.open("rb")
        except OSError as error:
            raise _unreadable(segment, error) from None
        offset, position = first_offset(segment), 0
        with stream:
            while line := stream.readline(LONGEST):
                payload = self._payload(line, offset)
                if payload is None:
                    if last and _is_torn(line, stream):
                        return
                    raise self._broken(offset, f"is damaged in {segment.name} at byte {position}")
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


def first_offset(segment: Path) -> int:
    """The offset of a segment's first event, which its file is named after."""
    return int(segment.stem)


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"cannot be read as an event log ({error.strerror})",
        where=str(path),
        fix="Check the location and the topic; a writer creates both.",
    )


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
