"""NDJSON files: one JSON object a line, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from assay.errors import SourceError
from assay.sources import files
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.casts import normal_types
from assay.sources.columns import check_names
from assay.sources.lines import LONGEST
from assay.sources.objects import NoRow, RowReader
from assay.sources.rows import TextRows
from assay.sources.strict_json import JsonError, dumps, loads

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Ndjson(ReadWhole):
    """One or more NDJSON files, plain, gzip (`.gz`) or zstd (`.zst`), in UTF-8.

    Every object holds every column, null included. The first object decides whether the file's columns are the
    expected ones; later lines that do not fit become malformed rows with the reasons `ndjson.json`,
    `ndjson.encoding`, `ndjson.fields` or `ndjson.cast`. Blank lines hold no row.

    Args:
        location: the name under which settings know the folder.
        path: the file under it, or a pattern such as `orders/*.ndjson.gz`.
        columns: name -> DuckDB type of every field, where that is not the contract.
    """

    location: str
    path: str
    columns: Mapping[str, str] | None = field(default=None, hash=False)

    def fingerprint(self, base: str, transport: httpx.BaseTransport | None = None) -> str:
        return files.fingerprint(base, files.find(base, self.path))

    def land(self, landing: Landing) -> Landed:
        found = files.find(landing.base, self.path, table=landing.table)
        fingerprint = files.fingerprint(landing.base, found)
        reader = RowReader(normal_types(landing.connection, landing.columns))
        rows = TextRows(landing, "ndjson.cast")
        for file in found:
            with files.opened(file, table=landing.table) as stream:
                name = files.relative(landing.base, file)
                _read(stream, reader, rows, name, where=f"{landing.table}: {file}")
        return rows.landed(fingerprint, bytes=sum(file.stat().st_size for file in found))


def _read(stream: BinaryIO, reader: RowReader, rows: TextRows, name: str, *, where: str) -> None:
    first, number = True, 0
    while raw := stream.readline(LONGEST):
        number += 1
        if len(raw) == LONGEST and not raw.endswith(b"\n"):
            raise SourceError(f"line {number} is longer than {LONGEST} bytes", where=where, fix="Check the file.")
        if not (raw := raw.rstrip(b"\r\n")):
            continue
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            shown = raw.decode("utf-8", "backslashreplace")
            rows.reject("ndjson.encoding", name, number, {"_line": shown, "_error": "is not UTF-8"})
            continue
        try:
            item = loads(text)
        except JsonError as error:
            rows.reject("ndjson.json", name, number, {"_line": text, "_error": str(error)})
            continue
        if first and isinstance(item, dict):
            check_names(list(item), list(reader.types), where=f"{where}, line {number}")
            first = False
        try:
            rows.add(reader.read(item), name, number)
        except NoRow as error:
            rows.reject(f"ndjson.{error.kind}", name, number, {"_line": dumps(item), "_error": str(error)})
