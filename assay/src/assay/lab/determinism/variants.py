"""A case's inputs in another order, or only the first part of its events: what a run must not depend on."""

from __future__ import annotations

import codecs
import dataclasses
import io
import random
import shutil
from pathlib import Path
from typing import Any

from assay.golden.case import Case
from assay.golden.rows import compact
from assay.sources.events import EventLog
from assay.sources.strict_json import JsonError, loads
from assay.tables.graph import Graph


def shuffled(case: Case, graph: Graph, folder: Path) -> Case:
    """The case with the rows of its files in another order, in `folder`.

    Order is meaning in an event log (an event's offset) and unknown in a page or an archive: these stay.
    """
    copied = _copy(case, folder)
    logs = _log_folders(copied, graph)
    for path in sorted(path for path in copied.inputs.rglob("*") if path.is_file()):
        if not any(path.is_relative_to(log) for log in logs):
            _shuffle(path, random.Random(f"{case.seed} {path.relative_to(copied.inputs).as_posix()}"))
    return copied


def first_events(case: Case, graph: Graph, folder: Path) -> Case | None:
    """The case with the first half of each partition of its event logs; None if no log has two events."""
    copied = _copy(case, folder)
    halved = False
    for log in _log_folders(copied, graph):
        for path in sorted(log.rglob("*.ndjson")):
            lines = io.BytesIO(path.read_bytes()).readlines()
            halved = halved or len(lines) > 1
            path.write_bytes(b"".join(lines[: -(-len(lines) // 2)]))
    return copied if halved else None


def _copy(case: Case, folder: Path) -> Case:
    target = folder / case.name
    if case.inputs.is_dir():
        shutil.copytree(case.inputs, target / "inputs")
    else:
        target.mkdir(parents=True)
    return dataclasses.replace(case, folder=target)


def _log_folders(case: Case, graph: Graph) -> list[Path]:
    locations = {each.source.location for each in graph.tables.values() if isinstance(each.source, EventLog)}
    return [case.inputs / name for name in sorted(locations) if (case.inputs / name).is_dir()]


def _shuffle(path: Path, chance: random.Random) -> None:
    if path.suffix == ".json":
        _shuffle_json(path, chance)
    elif path.suffix in (".csv", ".ndjson"):
        header, records = split_records(path.read_bytes(), has_header=path.suffix == ".csv")
        chance.shuffle(records)
        path.write_bytes(header + b"".join(records))


def split_records(content: bytes, *, has_header: bool) -> tuple[bytes, list[bytes]]:
    """A file's beginning and its records with their line ends, each as it is; no records where they cannot be told.

    A line break, or an empty line, within quotes belongs to its record.
    """
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    records: list[bytes] = []
    within = False
    # Not `splitlines`, for which a carriage return alone ends a line as well.
    for line in io.BytesIO(content.removeprefix(mark)).readlines():
        records[-1:] = [records[-1] + line] if within else [*records[-1:], line]
        within ^= has_header and bool(line.count(b'"') % 2)
    if within or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content, []
    header = b""
    while has_header and records and not header.strip():
        header += records.pop(0)
    return mark + header, [record if record.endswith(b"\n") else record + b"\n" for record in records]


def _shuffle_json(path: Path, chance: random.Random) -> None:
    try:
        found = loads(path.read_text(encoding="utf-8"))
    except (JsonError, UnicodeDecodeError):
        return
    lists: list[Any] = [found, *(found.values() if isinstance(found, dict) else ())]
    for items in lists:
        if isinstance(items, list):
            chance.shuffle(items)
    path.write_text(compact(found), encoding="utf-8")
