"""Event logs as sources: each landing brings what was appended since the last, in order, exactly once.

The framework commits the returned offsets in the transaction that publishes the rows. A landing only reads, so
one that fails or is killed changes nothing, and the next brings the same events again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from assay.sources.base import Landed, Landing
from assay.sources.casts import normal_types
from assay.sources.columns import Extra
from assay.sources.eventlog import TopicReader
from assay.sources.kafka import KafkaLog
from assay.sources.objects import NoRow, RowReader
from assay.sources.rows import TextRows
from assay.sources.strict_json import JsonError, loads
from assay.sources.text import LONGEST

if TYPE_CHECKING:
    import httpx

    from assay.settings import BaseSettings

PARTITION_COLUMN = "event_partition"
OFFSET_COLUMN = "event_offset"


@dataclass(frozen=True)
class EventLog:
    """The new events of a topic: of NDJSON files that are appended to, or of Kafka where the location is `kafka://host:port`.

    Under a folder the topic is `<topic>.ndjson`, or `<topic>/0.ndjson`, `<topic>/1.ndjson`: one event a line, and the
    offset is the number of lines before it. See `eventlog.py` for what a writer may do.

    A table that declares the columns `event_partition` (INTEGER) or `event_offset` (BIGINT) gets them filled with
    where each event stood; offsets count from 0. Events that do not fit become malformed rows with the reasons
    `event.json`, `event.fields` or `event.cast`, found by their file and line (in Kafka `topic/partition` and offset).

    Args:
        location: the name under which settings know the log.
        topic: the topic.
        columns: name -> DuckDB type of every field of an event, where that is not the contract.
        limit: the most events one landing brings; the rest waits for the next.
        optional: fields that an event may leave out; they are null then.
        json_in_strings: JSON columns whose strings hold the document; elsewhere a string is a JSON string.
        extra: what becomes of fields that nobody expects; see `Files`. By default they make an event malformed.
    """

    location: str
    topic: str
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    limit: int = 1_000_000
    optional: tuple[str, ...] = ()
    json_in_strings: tuple[str, ...] = ()
    extra: Extra = "stop"
    incremental: ClassVar[bool] = True
    told_by_landing: ClassVar[bool] = False
    tells_lag: ClassVar[bool] = True

    def fingerprint(
        self, base: str, transport: httpx.BaseTransport | None = None, settings: BaseSettings | None = None
    ) -> str:
        with self._log(base) as log:
            return _mark(log.ends())

    def lag(self, base: str, offsets: Mapping[int, int]) -> int:
        """How many events wait behind the committed `offsets`."""
        with self._log(base) as log:
            return log.lag(offsets)

    def land(self, landing: Landing) -> Landed:
        types = normal_types(landing.connection, landing.columns)
        fields = {name: kind for name, kind in types.items() if name not in (PARTITION_COLUMN, OFFSET_COLUMN)}
        # Where each column comes from: a field of the event, its partition or its offset.
        own = {PARTITION_COLUMN: len(fields), OFFSET_COLUMN: len(fields) + 1}
        order = [own[name] if name in own else list(fields).index(name) for name in types]
        rows, size = TextRows(landing, "event", self.extra), 0
        reader = RowReader(fields, self.optional, self.json_in_strings, rows.beyond)
        with self._log(landing.base) as log:
            for event in log.read(landing.offsets, self.limit):
                text = event.payload or b""
                size += len(text)
                try:
                    if event.payload is None:
                        raise JsonError(f"is longer than {LONGEST} bytes")
                    texts = reader.read(loads(text))
                except (JsonError, NoRow) as error:
                    kind = error.kind if isinstance(error, NoRow) else "json"
                    payload = {"_event": text.decode("utf-8", "backslashreplace"), "_error": str(error)}
                    rows.reject(f"event.{kind}", event.file, event.line, payload)
                    continue
                own_texts = [*texts[: len(fields)], str(event.partition), str(event.offset)]
                added = texts[len(fields) :]
                rows.add([*(own_texts[position] for position in order), *added], event.file, event.line)
            return rows.landed(_mark(log.positions), offsets=dict(log.reached), bytes=size)

    def _log(self, base: str) -> TopicReader | KafkaLog:
        if base.startswith("kafka://"):
            return KafkaLog(base, self.topic)
        return TopicReader(base, self.topic)


def _mark(offsets: Mapping[int, int]) -> str:
    text = ",".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))
    return hashlib.sha256(text.encode()).hexdigest()
