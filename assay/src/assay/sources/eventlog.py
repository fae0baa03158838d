"""An event log in plain files, one JSON event a line: the embedded default for event streams.

    <base>/<topic>.ndjson        a topic of one partition, which is number 0
    <base>/<topic>/<n>.ndjson    a topic of several

Whatever appends whole lines is a writer. An event's offset is how many lines stand before its own. A last line without
an end is still being written and not read yet; a writer that was killed there and goes on behind it spoils that one
line, which is no JSON then and set aside.

With an offset the warehouse keeps the position in bytes and a digest of the bytes just before it. The next reading goes
on from there: it reads nothing twice, and refuses a file that is shorter now, or has other bytes there. A change further
back than `COMPARED`, of the same length, is not seen.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from assay.errors import SourceError
from assay.sources.base import Offset
from assay.sources.text import growing, numbered

COMPARED = 1024 * 1024
"""So many bytes before a committed offset must be what they were."""


@dataclass(frozen=True)
class Event:
    """One event: where it stands, and its JSON text as it was written.

    Attributes:
        file, line: where a person finds it.
        payload: None if the line is too long to be looked at.
    """

    partition: int
    offset: int
    payload: bytes | None
    file: str
    line: int


class TopicReader:
    """Reads one topic of a log, across its partitions. Use as a context manager.

    Attributes:
        reached: for each partition the offset after what `read` has brought, once it is through.
        positions: the same in bytes, to be compared with `ends`.
    """

    def __init__(self, base: str | Path, topic: str) -> None:
        self.base, self.topic = Path(base), topic
        self.reached: dict[int, int] = {}
        self.positions: dict[int, int] = {}

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is kept open between questions."""

    def partitions(self) -> dict[int, Path]:
        """The topic's files by partition; raises SourceError if there are none."""
        single, folder = self.base / f"{self.topic}.ndjson", self.base / self.topic
        files = {int(file.stem): file for file in folder.glob("*.ndjson") if _NUMBER.fullmatch(file.stem)}
        if single.exists():
            if files:
                raise SourceError(f"{single.name} is there as well", where=str(folder), fix="Keep one of them.")
            files = {0: single}
        if not files:
            raise SourceError(
                f"no such event log: neither {self.topic}.ndjson nor {self.topic}/0.ndjson is there",
                where=str(self.base),
                fix="Check the location and the topic.",
            )
        return dict(sorted(files.items()))

    def ends(self) -> dict[int, int]:
        """For each partition how many bytes its whole lines have. Reads no more than the last line."""
        found = {}
        for partition, file in self.partitions().items():
            with growing(file) as stream:
                found[partition] = _end(stream)
        return found

    def lag(self, offsets: Mapping[int, int]) -> int:
        """How many lines of all partitions are not yet consumed."""
        waiting = 0
        for partition, file in self._known(offsets).items():
            with growing(file) as stream:
                self._go_to(stream, file, offsets.get(partition, 0))
                while chunk := stream.read(COMPARED):
                    waiting += chunk.count(b"\n")
        return waiting

    def read(self, offsets: Mapping[int, int], limit: int) -> Iterator[Event]:
        """At most `limit` events from `offsets` on; a partition without one is read from its start.

        Raises:
            SourceError: a file is gone, or is not the one that was read up to its offset.
        """
        for partition, file in self._known(offsets).items():
            offset = offsets.get(partition, 0)
            name = file.relative_to(self.base).as_posix()
            with growing(file) as stream:
                position = self._go_to(stream, file, offset)
                for line in numbered(stream, offset + 1) if limit > 0 else ():
                    if not line.end:
                        break
                    offset, position = line.number, position + line.size
                    if line.text is None or line.text:
                        yield Event(partition, offset - 1, line.text, name, line.number)
                        limit -= 1
                        if limit == 0:
                            break
                place = f"{position}:{_digest(stream, position)}"
            self.reached[partition], self.positions[partition] = Offset(offset, place), position

    def _known(self, offsets: Mapping[int, int]) -> dict[int, Path]:
        known = self.partitions()
        for partition in sorted(offsets.keys() - known.keys()):
            raise SourceError(f"partition {partition} is gone", where=str(self.base / self.topic), fix=_REPLACED)
        return known

    def _go_to(self, stream: BinaryIO, file: Path, offset: int) -> int:
        """Go to the offset's line; returns its position."""
        place, position = getattr(offset, "place", ""), stream.tell()
        if place:
            position = int(place.partition(":")[0])
            if (size := os.fstat(stream.fileno()).st_size) < position:
                raise SourceError(f"has {size} bytes, but {position} were read", where=str(file), fix=_REPLACED)
            if _digest(stream, position) != place.partition(":")[2]:
                raise SourceError(f"changed before line {offset + 1}", where=str(file), fix=_REPLACED)
        elif offset:  # Only its number is known.
            lines = [line.size for line in itertools.islice(numbered(stream), offset) if line.end]
            if len(lines) < offset:
                raise SourceError(
                    f"has {len(lines)} lines, but {int(offset)} were read", where=str(file), fix=_REPLACED
                )
            position += sum(lines)
        stream.seek(position)
        return position


_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_REPLACED = "Restore the log; one that was replaced on purpose is read from its start once the table is dropped."


def _digest(stream: BinaryIO, position: int) -> str:
    """A digest of the bytes before `position`."""
    stream.seek(max(0, position - COMPARED))
    return hashlib.sha256(stream.read(min(position, COMPARED))).hexdigest()[:32]


def _end(stream: BinaryIO) -> int:
    position = stream.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - COMPARED)
        stream.seek(start)
        found = stream.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0
