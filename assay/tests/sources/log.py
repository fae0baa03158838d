"""Appends to an event log as any program would."""

from __future__ import annotations

import json
from pathlib import Path


def append(base: Path, topic: str, *events: object, partition: int | None = None) -> Path:
    """Append events, as objects or as bytes, one a line; returns the partition's file."""
    file = base / (f"{topic}.ndjson" if partition is None else f"{topic}/{partition}.ndjson")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        for event in events:
            stream.write((event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n")
    return file
