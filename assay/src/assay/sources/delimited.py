"""CSV files with a pinned dialect: nothing is sniffed, no row is shifted, and every line is accounted for.

A file is read twice. The first pass only looks at bytes: is the file whole, does its header fit, how many lines
has it? Then DuckDB reads it, all columns as text. If DuckDB is content and found exactly one row per line, that
is the result; otherwise `lines.py` reads the file again, slowly, and says which lines are wrong and why.
"""

from __future__ import annotations

import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import SourceError
from assay.sources import files
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.casts import literal
from assay.sources.columns import check_names
from assay.sources.lines import Dialect, Survey, read_lines, survey
from assay.sources.rows import TextRows, temporary_name

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Csv(ReadWhole):
    """One or more CSV files, plain, gzip (`.gz`) or zstd (`.zst`), or a member of a zip archive.

    Columns are matched by the header's names; without a header, by position. Lines that do not fit become
    malformed rows with the reasons `csv.columns`, `csv.quote`, `csv.encoding` or `csv.cast`. Blank lines hold
    no row and are skipped (a file of one column has none: there they are empty values).

    Args:
        location: the name under which settings know the folder.
        path: the file under it, or a pattern such as `prices/*.csv.gz`.
        columns: name -> DuckDB type of every column in the file, where that is not the contract.
        delimiter, quote: one character each; a quote inside a quoted value is written twice. `quote=None`: no quoting.
        null: the unquoted text that means null; None if no text does.
        encoding: any that extends ASCII, such as utf-8, latin-1 or cp1252.
        header: whether the first line names the columns.
        member: the file inside the zip archive `path`.
        trailing_delimiter: whether every line ends with one delimiter too many.
    """

    location: str
    path: str
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    delimiter: str = ","
    quote: str | None = '"'
    null: str | None = ""
    encoding: str = "utf-8"
    header: bool = True
    member: str | None = None
    trailing_delimiter: bool = False

    def fingerprint(self, base: str, transport: httpx.BaseTransport | None = None) -> str:
        return files.fingerprint(base, files.find(base, self.path))

    def land(self, landing: Landing) -> Landed:
        found = files.find(landing.base, self.path, table=landing.table)
        fingerprint = files.fingerprint(landing.base, found)
        rows = TextRows(landing, "csv.cast")
        for index, file in enumerate(found):
            name, plain = files.relative(landing.base, file), file
            if self.member is not None:
                name, plain = f"{name}/{self.member}", self._extract(landing, file, index)
            self._read(landing, rows, plain, name, where=f"{landing.table}: {Path(landing.base) / name}")
        return rows.landed(fingerprint, bytes=sum(file.stat().st_size for file in found))

    @property
    def dialect(self) -> Dialect:
        return Dialect(self.delimiter, self.quote, self.null, self.encoding, self.header, self.trailing_delimiter)

    def _read(self, landing: Landing, rows: TextRows, file: Path, name: str, *, where: str) -> None:
        expected = list(landing.columns)
        with files.opened(file, table=landing.table) as stream:
            seen = survey(stream, self.dialect, len(expected), where=where)
        order = list(range(len(expected)))
        if seen.header is not None:
            check_names(seen.header, expected, where=where)
            order = [seen.header.index(column) for column in expected]
        elif sorted(seen.first) == sorted(expected):
            raise SourceError("the first line is a header", where=where, fix="Declare the source with header=True.")
        elif len(seen.first) != len(expected):
            raise SourceError(
                f"the first line has {len(seen.first)} fields, expected {len(expected)}: {', '.join(expected)}",
                where=where,
                fix="Declare the source's `columns`, or ask its owner.",
            )
        if not self._fast(rows, file, name, seen, order):
            with files.opened(file, table=landing.table) as stream:
                read_lines(stream, self.dialect, rows, name, order, where=where)

    def _fast(self, rows: TextRows, file: Path, name: str, seen: Survey, order: list[int]) -> bool:
        """Let DuckDB read the file; False (and nothing kept) unless each line is one sound row.

        It ignores errors, as an error would end the caller's transaction; none gets past `_conserved`.
        """
        if not seen.simple or self.encoding.lower() not in {"utf-8", "utf8", "latin-1"} or self.trailing_delimiter:
            return False
        connection = rows.landing.connection
        columns = ", ".join(f"'f{index}': 'VARCHAR'" for index in range(len(order)))
        picked = ", ".join(f"f{index}" for index in order)
        first = 2 if self.header else 1
        table = temporary_name("csv")
        query = (
            f"CREATE TEMP TABLE {table} AS SELECT {picked} FROM read_csv({literal(files.plain(file))}, "
            f"auto_detect = false, columns = {{{columns}}}, delim = {literal(self.delimiter)}, "
            f"quote = {literal(self.quote or '')}, escape = {literal(self.quote or '')}, "
            f"header = {str(self.header).lower()}, encoding = {literal(self.encoding)}, "
            f"nullstr = {literal(uuid.uuid4().hex if self.null is None else self.null)}, allow_quoted_nulls = false, "
            "strict_mode = true, null_padding = false, ignore_errors = true, max_line_size = 16777216)"
        )
        connection.execute(query)
        if not self._conserved(rows, table, seen):
            connection.execute(f"DROP TABLE {table}")
            return False
        rows.include(f"SELECT *, {literal(name)}, rowid + {first} FROM {table}", table)
        return True

    def _conserved(self, rows: TextRows, table: str, seen: Survey) -> bool:
        """Whether the rows DuckDB made hold every byte of the file, in exactly one row per line.

        DuckDB takes a quote inside an unquoted value as it is, and drops an empty last field too many at the
        file's end; neither gets past this count.
        """
        names = [f"f{index}" for index in range(len(rows.landing.columns))]
        size = "strlen" if self.encoding.lower().startswith("utf") else "length"
        null = len((self.null or "").encode(self.encoding))
        content = " + ".join(f"coalesce({size}({name}), {null})" for name in names)
        quoted = " OR ".join(f"contains({name}, {literal(self.quote)})" for name in names) if self.quote else "false"
        query = (
            f"SELECT count(*), coalesce(sum({content}), 0), count_if({quoted if seen.quotes else 'false'}) FROM {table}"
        )
        return rows.landing.connection.execute(query).fetchone() == (seen.rows, seen.content, 0)

    def _extract(self, landing: Landing, archive: Path, index: int) -> Path:
        where = f"{landing.table}: {archive}"
        target = landing.scratch / f"{temporary_name('member')}{Path(self.member or '').suffix}"
        try:
            with zipfile.ZipFile(archive) as opened:
                names = opened.namelist()
                if self.member not in names:
                    raise SourceError(
                        f"no member '{self.member}' in the archive (it holds {', '.join(names[:5]) or 'nothing'})",
                        where=where,
                    )
                with opened.open(self.member) as source, target.open("wb") as copy:
                    while chunk := source.read(1 << 20):
                        copy.write(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise SourceError(
                f"is no readable zip archive ({str(error).rstrip('.')})", where=where, fix="Fetch it again."
            ) from None
        return target
