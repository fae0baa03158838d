"""CSV files with a pinned dialect: nothing is sniffed, no row is shifted, and every line is accounted for.

A file is read twice. The first pass only looks at bytes: is the file whole, does its header fit, how many lines
has it? Then DuckDB reads it, all columns as text. If DuckDB is content and found exactly one row per line, that
is the result; otherwise `lines.py` reads the file again, slowly, and says which lines are wrong and why.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import duckdb

from assay.errors import SourceChanged, SourceError
from assay.sources import files
from assay.sources.base import Landed, Landing
from assay.sources.columns import check_names
from assay.sources.lines import Dialect, Survey, other_delimiter, read_lines, survey
from assay.sources.rows import TextRows, temporary_name
from assay.sources.text import Text, opened
from assay.sql import literal


@dataclass(frozen=True)
class Csv(Dialect, files.Files):
    """One or more CSV files, plain or compressed with gzip, zstd or zip, whatever they are called.

    Columns are matched by the header's names; without a header, by position. Lines that do not fit become
    malformed rows with the reasons `csv.columns`, `csv.quote`, `csv.encoding`, `csv.header` (the header again),
    `csv.unfinished` or `csv.cast`. Blank lines hold no row and are skipped (a file of one column has none: there they
    are empty values). A byte order mark says the encoding, whatever is declared.

    Args:
        location: the name under which settings know the folder.
        path: the file under it, or a pattern such as `prices/*.csv.gz`.
        columns: name -> DuckDB type of every column in the file, where that is not the contract.
        delimiter, quote: one character each; a quote inside a quoted value is written twice. `quote=None`: no quoting.
        null: the unquoted text that means null, or a tuple of them; None if no text does.
        encoding: any that extends ASCII, such as utf-8, latin-1 or cp1252, and utf-16-le, utf-16-be; a byte order mark tells.
        header: whether the first line names the columns; 2 for a header of two lines, whose texts are joined by a blank.
        headers: header text -> column name, where they differ.
        ignore: columns of the file that are left out, by name.
        escape: the character before a quote inside a quoted value, such as a backslash, beside doubling it.
        skip, skip_after: so many lines before the header, and at the end, are none. A first line `sep=;` is none either.
        comment: how lines begin that are none, such as `#`.
        blanks: whether blanks after a delimiter are left out.
        line_end: `"cr"` for lines that end with a carriage return alone.
        trailing_delimiter: whether every line ends with one delimiter too many.
        trailer: a regular expression for a last line that is no row; its group `rows`, if it has one, is their number.
            A file without it, or with another number of rows, is cut and not read.
        member: the file inside the zip archive `path`; not needed if it holds only one.
        last_line_ended: whether a last line without a line end was cut off, and is set aside as `csv.unfinished`. None:
            if the last line of another file of this source has one. Of a single file nothing can be told.
        manifest: a file that announces the files with their rows or bytes; see `Files`.
        new_only: whether a build reads only the files that were not read yet; see `Files`.
        extra: what becomes of columns that nobody expects; see `Files`.
    """

    member: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    ignore: tuple[str, ...] = ()
    last_line_ended: bool | None = None

    def read(self, landing: Landing) -> Landed:
        delivered = self.delivered(landing)
        rows = TextRows(landing, "csv", self.extra)
        for each in delivered:
            each = each.unpacked(landing, self.member)
            each.check(self._read(rows, each))
        size = sum(each.file.stat().st_size for each in delivered)
        return rows.landed("", bytes=size, last_line_ended=self.last_line_ended)

    def _read(self, rows: TextRows, each: files.Delivered) -> int:
        """Read a file; returns how many records it has, be they rows or not."""
        expected, where = list(rows.landing.columns), each.where
        self.check(where)
        opening = partial(opened, each.file, where, encoding=self.encoding, cr=self.line_end == "cr")
        with opening() as text:
            dialect = dataclasses.replace(self, encoding="utf-8") if text.marked else self
            seen = survey(text.stream, dialect, len(expected), where=where)
        if (mark := other_delimiter(seen.first, self, len(expected))) is not None:
            raise SourceError(
                f"the first line is one field; its delimiter seems to be {mark!a}",
                where=where,
                fix="Declare the source's `delimiter`.",
            )
        order: list[int | None] = list(range(len(expected)))
        if self.header:
            names = [self.headers.get(text, text) for text in seen.first]
            if not {name.strip().casefold() for name in names} & {name.casefold() for name in expected}:
                raise SourceChanged(  # which may be a row, with values that nobody is to see
                    f"its first line names none of the columns {', '.join(expected)}",
                    where=where,
                    fix="Declare the source with header=False if it has none, else adapt its `columns` or ask its owner.",
                )
            kept = [name for name in names if name not in self.ignore]
            check_names(kept, expected, where=where, beyond=rows.beyond)
            order = [names.index(column) if column in kept else None for column in (*expected, *rows.added)]
        elif sorted(seen.first) == sorted(expected):
            raise SourceError("the first line is a header", where=where, fix="Declare the source with header=True.")
        elif len(seen.first) != len(expected) and self.trailer is None:
            raise SourceError(
                f"the first line has {len(seen.first)} fields, expected {len(expected)}: {', '.join(expected)}",
                where=where,
                fix="Declare the source's `columns`, or ask its owner.",
            )
        count, last = seen.rows, seen.rows + seen.before
        if not dialect._fast(rows, each, seen, order, text):
            with opening() as text:
                count, last = read_lines(text.stream, dialect, rows, each.name, seen, order, where=where)
        rows.note_end(each.name, last, ended=seen.ended or self.trailer is not None)
        return count

    def _fast(self, rows: TextRows, each: files.Delivered, seen: Survey, order: list[int | None], text: Text) -> bool:
        """Let DuckDB read the file; False (and nothing kept) unless each line is one sound row.

        It ignores errors, as an error would end the caller's transaction; none gets past `_conserved`.
        """
        plain = (
            self.encoding.lower() in {"utf-8", "utf8", "latin-1"} and not text.recoded and (self.quote or "").isascii()
        )
        if not seen.simple or not plain or not self.usual or text.packed in {"bzip2", "xz"}:
            return False
        connection = rows.landing.connection
        width = len(seen.first) if self.header else len(order)
        columns = ", ".join(f"'f{index}': 'VARCHAR'" for index in range(width))
        table = temporary_name("csv")
        query = (
            f"CREATE TEMP TABLE {table} AS FROM read_csv({literal(files.plain(each.file))}, "
            f"auto_detect = false, columns = {{{columns}}}, delim = {literal(self.delimiter)}, "
            f"quote = {literal(self.quote or '')}, escape = {literal(self.quote or '')}, "
            f"header = false, skip = {seen.before}, encoding = {literal(self.encoding)}, "
            f"nullstr = {literal(''.join(self.nulls) if self.nulls else uuid.uuid4().hex)}, allow_quoted_nulls = false, "
            f"compression = '{text.packed}', strict_mode = true, null_padding = false, ignore_errors = true, "
            "max_line_size = 16777216)"
        )
        try:
            connection.execute(query)
        except duckdb.Error as error:
            detail = str(error).splitlines()[0]
            raise SourceError(f"DuckDB cannot read it: {detail}", where=each.where, fix="Check the file.") from None
        if not self._conserved(rows, table, seen, width):
            connection.execute(f"DROP TABLE {table}")
            return False
        texts = ["NULL" if index is None else f"f{index}" for index in order]
        rows.include(texts, each.name, f"rowid + {seen.before + 1}", table)
        return True

    def _conserved(self, rows: TextRows, table: str, seen: Survey, width: int) -> bool:
        """Whether the rows DuckDB made hold every byte of the file, in exactly one row per line, and none is the header.

        DuckDB takes a quote inside an unquoted value as it is, and drops an empty last field too many at the
        file's end; neither gets past this count.
        """
        names = [f"f{index}" for index in range(width)]
        size = "strlen" if self.encoding.lower().startswith("utf") else "length"
        null = len("".join(self.nulls).encode(self.encoding))
        content = " + ".join(f"coalesce({size}({name}), {null})" for name in names)
        odd = [f"contains({name}, {literal(self.quote)})" for name in names] if self.quote and seen.quotes else []
        if self.header:
            pairs = zip(names, seen.first, strict=True)
            odd.append(f"({' AND '.join(f'{name} = {literal(column)}' for name, column in pairs)})")
        query = f"SELECT count(*), coalesce(sum({content}), 0), count(*) FILTER ({' OR '.join(odd) or 'false'}) FROM {table}"
        return rows.landing.connection.execute(query).fetchone() == (seen.rows, seen.content, 0)
