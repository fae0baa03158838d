"""Materializations of many partitions, which differ in key, rows and time alone.

Ten years of days are 3,653 of them for each table. Dagster sends each through its log handlers and serializes it: 0.4 ms.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)

from assay.orchestration.metadata import PARTITION_ROWS

Row = dict[str, Any]


def materialize(context: dg.AssetExecutionContext, asset: dg.AssetKey, partitions: Mapping[str, Row]) -> None:
    """Tell Dagster that each of `partitions` was built, with its metadata.

    The first is logged, as `context.log_event` does. The others are stored as it is, and not handed to loggers.
    """
    step, batch, first = context.get_step_execution_context(), uuid.uuid4().hex, None
    for number, (key, metadata) in enumerate(partitions.items(), start=1):
        event = dg.AssetMaterialization(asset, partition=key, metadata=metadata)
        place = DagsterEventBatchMetadata(batch, number == len(partitions))
        if first is None:
            first = DagsterEvent.asset_materialization(step, event, place)
            continue
        entry = dg.EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=logging.DEBUG,
            user_message=first.message,
            run_id=context.run.run_id,
            timestamp=time.time(),
            step_key=first.step_key,
            job_name=first.job_name,
            dagster_event=first._replace(event_specific_data=StepMaterializationData(event)),
        )
        context.instance.handle_new_event(entry, batch_metadata=place)


def rows(
    events: Iterable[dg.EventLogEntry], row_of: Callable[[dg.EventLogEntry], Row], at: Callable[[dg.EventLogEntry], Any]
) -> Iterator[tuple[dg.EventLogEntry, Row]]:
    """Each event with what `row_of` says of it; of those that are alike it is asked for the first and the last.

    Args:
        at: an event's timestamp, as a row has it.
    """
    for _, group in groupby(events, key=_in_common):
        alike = [*group]
        first, *others = alike
        row = row_of(first)
        yield first, row
        if not others:
            continue
        marks = _marks(first)
        filled = [_filled(row, marks, event, at(event)) for event in others]
        # Proven with the last one: where Dagster writes something else, it writes all of them.
        proven = filled[-1] == row_of(others[-1]) and all(row["event"].count(mark) == 1 for mark in marks)
        yield from zip(others, filled if proven else map(row_of, others), strict=True)


def is_untagged(event: dg.EventLogEntry) -> bool:
    """Whether it tells of a partition, and has no tags."""
    done = _of_partition(event)
    return done is not None and not getattr(done, "tags", None)


def _of_partition(event: dg.EventLogEntry) -> Any:
    """What tells of a partition that is, or is to be, materialized."""
    data = event.dagster_event and event.dagster_event.event_specific_data
    if isinstance(data, StepMaterializationData):
        return data.materialization
    return data if isinstance(data, AssetMaterializationPlannedData) else None


def _in_common(event: dg.EventLogEntry) -> Any:
    """All of an event but what those of other partitions do not share; one of no partition has nothing in common."""
    done, told = _of_partition(event), event.dagster_event
    if done is None or told is None:
        return id(event)
    changed: dict[str, Any] = {"partition": done.partition and ""}
    if metadata := getattr(done, "metadata", None):
        changed["metadata"] = {**metadata, PARTITION_ROWS: type(metadata.get(PARTITION_ROWS))}
    lineage = getattr(told.event_specific_data, "asset_lineage", None)
    bare = event._replace(timestamp=0.0, dagster_event=None)
    return done._replace(**changed), lineage, told._replace(event_specific_data=None), bare


def _marks(event: dg.EventLogEntry) -> list[str]:
    """The places of the text where events alike differ."""
    done = _of_partition(event)
    found = [f'"timestamp": {event.timestamp!r}', f'"partition": {json.dumps(done.partition)}']
    if (rows := getattr(done, "metadata", {}).get(PARTITION_ROWS)) is not None:
        found.append(f'"value": {rows.value}}}, "label": "{PARTITION_ROWS}"')
    return found


def _filled(row: Row, marks: list[str], event: dg.EventLogEntry, at: Any) -> Row:
    text = row["event"]
    for mark, other in zip(marks, _marks(event), strict=True):
        text = text.replace(mark, other)
    return {**row, "event": text, "timestamp": at, "partition": _of_partition(event).partition or None}
