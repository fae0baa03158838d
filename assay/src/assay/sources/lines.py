"""Reading CSV line by line: the exact, slow way, which knows each line's number and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from assay.errors import SourceError
from assay.sources.rows import TextRows

LONGEST = 16 * 1024 * 1024
"""No line and no quoted record is longer, in bytes."""
_BOM = "\ufeff"


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; see `Csv`."""

    delimiter: str
    quote: str | None
    null: str | None
    encoding: str
    header: bool
    trailing_delimiter: bool

    def split(self, record: str) -> list[str | None] | None:
        """A record's fields, None for null; no list at all if its quotes do not fit."""
        if self.quote is None or self.quote not in record:
            fields: list[str | None] = [None if field == self.null else field for field in record.split(self.delimiter)]
        else:
            found = self._split_quoted(record)
            if found is None:
                return None
            fields = found
        if self.trailing_delimiter and len(fields) > 1 and fields[-1] in (None, ""):
            fields.pop()
        return fields

    def _split_quoted(self, record: str) -> list[str | None] | None:
        quote, delimiter = re.escape(self.quote or ""), re.escape(self.delimiter)
        pattern = re.compile(
            rf"(?:{quote}((?:[^{quote}]|{quote}{quote})*){quote}|([^{quote}{delimiter}]*))({delimiter}|\Z)"
        )
        fields: list[str | None] = []
        position = 0
        while (match := pattern.match(record, position)) is not None:
            if match[1] is not None:
                fields.append(match[1].replace((self.quote or "") * 2, self.quote or ""))
            else:
                fields.append(None if match[2] == self.null else match[2])
            position = match.end()
            if not match[3]:
                return fields
        return None

    def is_open(self, record: str) -> bool:
        """Whether a quoted value has begun and not ended."""
        return self.quote is not None and record.count(self.quote) % 2 == 1


@dataclass(frozen=True)
class Survey:
    """What a look at the bytes tells, of the lines after the header if there is one.

    Attributes:
        header: the column names of the first line, if it is to have any.
        first: the fields of the first line.
        rows: how many rows there are if each line is one.
        content: how many bytes belong to values then: neither line end, nor delimiter, nor quote.
        quotes: how many quotes there are.
        simple: whether each line may well be a row: no blank line in between, no odd control character.
    """

    header: list[str] | None
    first: list[str]
    rows: int
    content: int
    quotes: int
    simple: bool


def survey(stream: BinaryIO, dialect: Dialect, width: int, *, where: str) -> Survey:
    """Read the whole file once; raises SourceError if it is damaged, or its first line is unreadable."""
    _check_dialect(dialect, where)
    head = stream.readline(LONGEST)
    text = _decoded(head, dialect.encoding).removeprefix(_BOM).rstrip("\r\n")
    fields = dialect.split(text)
    if fields is None or _undecodable(text):
        raise SourceError(f"the first line is no readable {dialect.encoding} CSV", where=where)
    names = [field or "" for field in fields]
    marks = dict.fromkeys((b"\n", b"\r", b"\r\n", b"\x00"), 0)
    quote = (dialect.quote or "").encode(dialect.encoding)
    size = quotes = 0
    blank, tail = False, b"\n"
    chunk = b"" if dialect.header else head.removeprefix(_BOM.encode())
    while chunk or (chunk := stream.read(1 << 20)):
        joined = tail[-2:] + chunk
        blank = blank or b"\n\n" in joined or b"\n\r\n" in joined
        size += len(chunk)
        quotes += chunk.count(quote) if quote else 0
        for mark in marks:
            # A mark of two bytes may begin in the chunk before.
            marks[mark] += (tail[-1:] + chunk).count(mark) if len(mark) > 1 else chunk.count(mark)
        tail, chunk = chunk, b""
    rows = marks[b"\n"] + (0 if tail.endswith(b"\n") else 1)
    odd = marks[b"\0"] > 0 or marks[b"\r"] != marks[b"\r\n"] or marks[b"\r"] not in (0, marks[b"\n"])
    return Survey(
        header=names if dialect.header else None,
        first=names,
        rows=rows,
        content=size - marks[b"\n"] - marks[b"\r"] - quotes - rows * (width - 1),
        quotes=quotes,
        simple=width > 1 and not blank and not odd,
    )


def read_lines(stream: BinaryIO, dialect: Dialect, rows: TextRows, name: str, order: list[int], *, where: str) -> None:
    """Read every record into `rows`, or into its rejects.

    Args:
        order: for each column of the landing, its position in the file.
    """
    lines = _Lines(stream, dialect.encoding, where)
    if dialect.header:
        next(lines, None)
    for number, line in lines:
        if line == "" and len(order) > 1:
            continue
        record, parts = line, [(number, line)]
        while dialect.is_open(record) and len(record) < LONGEST and (more := next(lines, None)) is not None:
            parts.append(more)
            record = f"{record}\n{more[1]}"
        fields = dialect.split(record)
        if fields is None:
            # Only this line is to blame; those that an open quote swallowed are read again.
            lines.push_back(parts[1:])
            rows.reject("csv.quote", name, number, {"_line": _shown(line), "_error": "quotes do not fit"})
        elif _undecodable(record):
            rows.reject("csv.encoding", name, number, {"_line": _shown(record), "_error": f"is not {dialect.encoding}"})
        elif len(fields) != len(order):
            error = f"expected {len(order)} fields, found {len(fields)}"
            rows.reject("csv.columns", name, number, {"_line": _shown(record), "_error": error})
        else:
            rows.add([fields[position] for position in order], name, number)


class _Lines(Iterator[tuple[int, str]]):
    """Numbered lines without their ends; bytes that are no text stay as lone surrogates."""

    def __init__(self, stream: BinaryIO, encoding: str, where: str) -> None:
        self._stream, self._encoding, self._where = stream, encoding, where
        self._number = 0
        self._back: list[tuple[int, str]] = []

    def __next__(self) -> tuple[int, str]:
        if self._back:
            return self._back.pop()
        raw = self._stream.readline(LONGEST)
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) == LONGEST and not raw.endswith(b"\n"):
            raise SourceError(
                f"line {self._number} is longer than {LONGEST} bytes",
                where=self._where,
                fix="Check the file and its dialect.",
            )
        text = _decoded(raw, self._encoding)
        if self._number == 1:
            text = text.removeprefix(_BOM)
        text = text.removesuffix("\n").removesuffix("\r")
        return self._number, text

    def push_back(self, lines: list[tuple[int, str]]) -> None:
        self._back.extend(reversed(lines))


def _decoded(raw: bytes, encoding: str) -> str:
    return raw.decode(encoding, errors="surrogateescape")


def _undecodable(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= mark <= "\udcff" for mark in text)


def _shown(text: str) -> str:
    """The text with undecodable bytes written as \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _check_dialect(dialect: Dialect, where: str) -> None:
    try:
        plain = "\n,".encode(dialect.encoding) == b"\n,"
    except LookupError:
        plain = False
    if not plain:
        raise SourceError(f"encoding '{dialect.encoding}' is unknown or does not extend ASCII", where=where)
    if len(dialect.delimiter) != 1 or (dialect.quote is not None and len(dialect.quote) != 1):
        raise SourceError("delimiter and quote must be one character each", where=where)
