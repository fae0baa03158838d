"""NDJSON files: one JSON object a line, read strictly."""

from __future__ import annotations

from dataclasses import dataclass

from assay.sources.base import Landed, Landing
from assay.sources.casts import normal_types
from assay.sources.columns import check_names
from assay.sources.files import Delivered, Files
from assay.sources.objects import NoRow, RowReader
from assay.sources.rows import TextRows
from assay.sources.strict_json import JsonError, loads
from assay.sources.text import numbered, opened, too_long


@dataclass(frozen=True)
class Ndjson(Files):
    """One or more NDJSON files in UTF-8, plain or compressed with gzip, zstd or zip, whatever they are called.

    Every object holds every column, null included, but for those that are `optional`. The first object decides whether the file's columns are the
    expected ones; later lines that do not fit become malformed rows with the reasons `ndjson.json`,
    `ndjson.encoding`, `ndjson.fields`, `ndjson.unfinished` or `ndjson.cast`. Blank lines hold no row.

    Args:
        location: the name under which settings know the folder.
        path: the file under it, or a pattern such as `orders/*.ndjson.gz`.
        columns: name -> DuckDB type of every field, where that is not the contract.
        optional: fields that an object may leave out; they are null then.
        json_in_strings: JSON columns whose strings hold the document; elsewhere a string is a JSON string.
        last_line_ended, manifest, new_only, extra: as for `Csv`.
    """

    last_line_ended: bool | None = None
    optional: tuple[str, ...] = ()
    json_in_strings: tuple[str, ...] = ()

    def read(self, landing: Landing) -> Landed:
        delivered = self.delivered(landing)
        rows, types = TextRows(landing, "ndjson", self.extra), normal_types(landing.connection, landing.columns)
        reader = RowReader(types, self.optional, self.json_in_strings, rows.beyond)
        for each in delivered:
            each = each.unpacked(landing, None)
            each.check(_read(reader, rows, each))
        size = sum(each.file.stat().st_size for each in delivered)
        return rows.landed("", bytes=size, last_line_ended=self.last_line_ended)


def _read(reader: RowReader, rows: TextRows, each: Delivered) -> int:
    """Read a file; returns how many lines with content it has."""
    first, count, last = True, 0, None
    with opened(each.file, each.where) as text:
        for line in numbered(text.stream):
            if line.text is None:
                raise too_long(line, each.where)
            if not line.text:
                continue
            count += 1
            try:
                item = loads(line.text.decode("utf-8"))
                if first and isinstance(item, dict):
                    found = [*item, *(name for name in reader.optional if name not in item)]
                    where = f"{each.where}, line {line.number}"
                    check_names(found, list(reader.types), where=where, beyond=reader.beyond)
                    first = False
                rows.add(reader.read(item), each.name, line.number)
            except UnicodeDecodeError:
                rows.reject("ndjson.encoding", each.name, line.number, _shown(line.text, "is not UTF-8"))
            except JsonError as error:
                rows.reject("ndjson.json", each.name, line.number, _shown(line.text, str(error)))
            except NoRow as error:
                rows.reject(f"ndjson.{error.kind}", each.name, line.number, _shown(line.text, str(error)))
            last = line
    if last is not None:
        rows.note_end(each.name, last.number, ended=bool(last.end))
    return count


def _shown(line: bytes, error: str) -> dict[str, str]:
    return {"_line": line.decode("utf-8", "backslashreplace"), "_error": error}
