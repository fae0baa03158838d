"""The rows of an input file as bytes, for putting some of them elsewhere without changing one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Records:
    """A CSV or NDJSON file: `header` is b"" in the latter; a record keeps its line end."""

    path: Path
    header: bytes
    records: tuple[bytes, ...]

    def write(self, records: list[bytes]) -> None:
        """Replace the file's records."""
        self.path.write_bytes(self.header + b"".join(records))

    def values(self, record: bytes) -> Mapping[str, object]:
        """A record's values by column; empty where it cannot be read."""
        try:
            if not self.header:
                found = json.loads(record)
                return found if isinstance(found, dict) else {}
            text = (self.header + record).decode()
            return next(csv.DictReader(io.StringIO(text, newline="")), {})
        except (ValueError, csv.Error):
            return {}


def read_records(path: Path) -> Records | None:
    """The records of a `.csv` or `.ndjson` file; None for another file, or one that is broken within quotes."""
    if path.suffix not in (".csv", ".ndjson"):
        return None
    lines = io.BytesIO(path.read_bytes()).readlines()  # `splitlines` would end a line at a carriage return as well
    if path.suffix == ".ndjson":
        return Records(path, b"", tuple(_ended(line) for line in lines if line.strip()))
    found: list[bytes] = []
    open_quote = False
    for line in lines:
        if open_quote:
            found[-1] += line
        elif line.strip():
            found.append(line)
        open_quote ^= bool(line.count(b'"') % 2)
    if open_quote or not found:
        return None
    header, *records = map(_ended, found)
    return Records(path, header, tuple(records))


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"
