"""Event logs as sources: each landing brings what was appended since the last, in order, exactly once.

The framework commits the returned offsets in the transaction that publishes the rows. A landing only reads, so
one that fails or is killed changes nothing, and the next brings the same events again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pipeline_project.framework.sources import eventlog
from pipeline_project.framework.sources.base import Landed, Landing
from pipeline_project.framework.sources.casts import normal_types
from pipeline_project.framework.sources.eventlog import Event
from pipeline_project.framework.sources.objects import NoRow, row_of
from pipeline_project.framework.sources.rows import TextRows
from pipeline_project.framework.sources.strict_json import JsonError, loads

if TYPE_CHECKING:
    import httpx

PARTITION_COLUMN = "event_partition"
OFFSET_COLUMN = "event_offset"


@dataclass(frozen=True)
class EventLog:
    """The new events of a topic: of the embedded log, or of Kafka where the location is `kafka://host:port`.

    A table that declares the columns `event_partition` (INTEGER) or `event_offset` (BIGINT) gets them filled with
    where each event stood. Events that do not fit become malformed rows with the reasons `event.json`,
    `event.fields` or `event.cast`; their file is `topic/partition` and their line is the offset.

    Args:
        location: the name under which settings know the log.
        topic: the topic.
        columns: name -> DuckDB type of every field of an event, where that is not the contract.
        limit: the most events one landing brings; the rest waits for the next.
    """

    location: str
    topic: str
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    limit: int = 1_000_000
    incremental: ClassVar[bool] = True

    def fingerprint(self, base: str, transport: httpx.BaseTransport | None = None) -> str:
        return _mark(self._log(base).ends())

    def lag(self, base: str, offsets: Mapping[int, int]) -> int:
        """How many events wait behind the committed `offsets`."""
        return self._log(base).lag(offsets)

    def land(self, landing: Landing) -> Landed:
        log = self._log(landing.base)
        types = normal_types(landing.connection, landing.columns)
        own = [name for name in (PARTITION_COLUMN, OFFSET_COLUMN) if name in types]
        fields = {name: kind for name, kind in types.items() if name not in own}
        rows, offsets, size = TextRows(landing, "event.cast"), dict(landing.offsets), 0
        for event in log.read(landing.offsets, self.limit):
            offsets[event.partition] = event.offset + 1
            size += len(event.payload)
            place = f"{self.topic}/{event.partition}"
            try:
                found = dict(zip(fields, row_of(loads(event.payload), fields), strict=True))
            except (JsonError, NoRow) as error:
                kind = error.kind if isinstance(error, NoRow) else "json"
                payload = {"_event": event.payload.decode("utf-8", "backslashreplace"), "_error": str(error)}
                rows.reject(f"event.{kind}", place, event.offset, payload)
                continue
            found[PARTITION_COLUMN], found[OFFSET_COLUMN] = str(event.partition), str(event.offset)
            rows.add([found[name] for name in types], place, event.offset)
        return rows.landed(_mark(offsets), offsets=offsets, bytes=size)

    def _log(self, base: str) -> _Embedded:
        return _Embedded(base, self.topic)


class _Embedded:
    """The embedded log, behind the few questions a connector asks."""

    def __init__(self, base: str, topic: str) -> None:
        self.base, self.topic = Path(base), topic

    def ends(self) -> dict[int, int]:
        return eventlog.ends(self.base, self.topic)

    def lag(self, offsets: Mapping[int, int]) -> int:
        return eventlog.lag(self.base, self.topic, offsets)

    def read(self, offsets: Mapping[int, int], limit: int) -> Iterator[Event]:
        left = limit
        for partition in eventlog.partitions(self.base, self.topic):
            for event in eventlog.Partition(self.base, self.topic, partition).read(offsets.get(partition), left):
                left -= 1
                yield event


def _mark(offsets: Mapping[int, int]) -> str:
    text = ",".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))
    return hashlib.sha256(text.encode()).hexdigest()
