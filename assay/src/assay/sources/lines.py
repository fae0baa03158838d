"""Reading CSV line by line: the exact, slow way, which knows each line's number and what is wrong with it."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from assay.errors import SourceError, SourceUnavailable
from assay.sources.rows import TextRows
from assay.sources.text import LONGEST, WIDE, Line, numbered, too_long

_ASCII = bytes(range(128)) + rb"\u0041 \x41 +AOQ- ~{VP~} " + b"\x1b$B4A\x1b(B"
"""What encodings that only seem to extend ASCII read as something else."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; see `Csv`."""

    delimiter: str = ","
    quote: str | None = '"'
    null: str | tuple[str, ...] | None = ""
    encoding: str = "utf-8"
    header: bool | int = True
    trailing_delimiter: bool = False
    trailer: str | None = None
    escape: str | None = None
    skip: int = 0
    skip_after: int = 0
    comment: str | None = None
    blanks: bool = False
    line_end: Literal["lf", "cr"] = "lf"

    @property
    def nulls(self) -> tuple[str, ...]:
        """The unquoted texts that mean null."""
        return () if self.null is None else (self.null,) if isinstance(self.null, str) else self.null

    @property
    def usual(self) -> bool:
        """Whether DuckDB may read it; else each line is looked at here."""
        odd = (self.escape, self.skip_after, self.comment, self.blanks, len(self.nulls) > 1, int(self.header) > 1)
        return not any((*odd, self.trailing_delimiter, self.trailer))

    def is_comment(self, line: str) -> bool:
        return self.comment is not None and line.startswith(self.comment)

    def split(self, record: str) -> list[str | None] | None:
        """A record's fields, None for null; no list at all if its quotes do not fit."""
        if self.quote is None or self.quote not in record:
            texts = [field.lstrip(" ") if self.blanks else field for field in record.split(self.delimiter)]
            fields: list[str | None] = [None if field in self.nulls else field for field in texts]
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
        escape = re.escape(self.escape) if self.escape and self.escape != self.quote else ""
        inner = rf"[^{quote}{escape}]+|{quote}{quote}" + (rf"|{escape}." if escape else "")
        blank = " *" if self.blanks else ""
        pattern = re.compile(
            rf"{blank}(?:{quote}((?:{inner})*+){quote}|([^{quote}{delimiter}]*))({delimiter}|\Z)", re.S
        )
        fields: list[str | None] = []
        position = 0
        while (match := pattern.match(record, position)) is not None:
            if match[1] is not None:
                fields.append(self._unquoted(match[1], escape))
            else:
                fields.append(None if match[2] in self.nulls else match[2])
            position = match.end()
            if not match[3]:
                return fields
        return None

    def _unquoted(self, text: str, escape: str) -> str:
        quote = self.quote or ""
        if not escape:
            return text.replace(quote * 2, quote)
        return re.sub(rf"{escape}(.)|({re.escape(quote)}){re.escape(quote)}", lambda m: m[1] or m[2], text, flags=re.S)

    def is_open(self, line: str) -> bool:
        """Whether a quoted value is open behind the line that was not before it, or the other way round."""
        if self.escape and self.escape != self.quote:
            line = re.sub(re.escape(self.escape) + ".", "", line, flags=re.S)
        return self.quote is not None and line.count(self.quote) % 2 == 1

    def check(self, where: str) -> None:
        """Raise SourceError for a dialect that cannot be."""
        try:
            wide = self.encoding.lower().replace("_", "-") in WIDE
            plain = wide or _ASCII.decode(self.encoding, "surrogateescape") == _ASCII.decode("ascii")
        except (LookupError, UnicodeError):
            plain = False
        if not plain:
            raise SourceError(f"encoding '{self.encoding}' is unknown or does not extend ASCII", where=where)
        marks = [self.delimiter] if self.quote is None else [self.delimiter, self.quote]
        if any(len(mark) != 1 or mark in "\r\n\0" for mark in marks) or len(set(marks)) < len(marks):
            raise SourceError("delimiter and quote must be one character each, two different ones", where=where)
        if (self.escape is not None and len(self.escape) != 1) or self.comment == "":
            raise SourceError("escape is one character, and comment one or more", where=where)
        try:
            re.compile(self.trailer or "")
        except re.error as error:
            raise SourceError(f"the trailer {self.trailer!r} is no regular expression: {error}", where=where) from None


@dataclass(frozen=True)
class Survey:
    """What a look at the bytes tells, of the lines after the header if there is one.

    Attributes:
        first: the fields of the first line, which are the columns' names if it is to have them.
        before: how many lines stand before the first row.
        rows: how many rows there are if each line is one.
        content: how many bytes belong to values then: neither line end, nor delimiter, nor quote.
        simple: whether each line may well be a row: no blank line in between, no odd control character.
        ended: whether the last line has an end.
    """

    first: list[str]
    before: int
    rows: int
    content: int
    quotes: int
    simple: bool
    ended: bool


def survey(stream: BinaryIO, dialect: Dialect, width: int, *, where: str) -> Survey:
    """Read the whole file once; raises SourceError if it is damaged, or its first line is unreadable."""
    lines, before = _begun(stream, dialect, where)
    texts = [_first_line(line, dialect, where) for line in lines]
    first = [" ".join(filter(None, parts)) for parts in itertools.zip_longest(*texts, fillvalue="")]
    head, width = lines[-1], len(first) if dialect.header else width
    marks = dict.fromkeys((b"\n", b"\r", b"\r\n", b"\x00"), 0)
    quote = (dialect.quote or "").encode(dialect.encoding)
    size = quotes = line = 0
    blank, tail = False, b"\n"
    chunk = b"" if dialect.header else head
    while chunk or (chunk := stream.read(1 << 20)):
        joined = tail[-2:] + chunk
        blank = blank or b"\n\n" in joined or b"\n\r\n" in joined
        size += len(chunk)
        quotes += chunk.count(quote) if quote else 0
        for mark in marks:
            # A mark of two bytes may begin in the chunk before.
            marks[mark] += (tail[-1:] + chunk).count(mark) if len(mark) > 1 else chunk.count(mark)
        end = chunk.rfind(b"\n")
        line = line + len(chunk) if end < 0 else len(chunk) - end - 1
        if line > LONGEST:
            raise too_long(Line(marks[b"\n"] + 1 + before, None, b"", line), where)
        tail, chunk = chunk, b""
    rows = marks[b"\n"] + (0 if tail.endswith(b"\n") else 1)
    odd = marks[b"\0"] > 0 or marks[b"\r"] != marks[b"\r\n"] or marks[b"\r"] not in (0, marks[b"\n"])
    return Survey(
        first=first,
        before=before,
        rows=rows,
        content=size - marks[b"\n"] - marks[b"\r"] - quotes - rows * (width - 1),
        quotes=quotes,
        simple=width > 1 and not blank and not odd,
        ended=(tail if size else head).endswith(b"\n"),
    )


_SEPARATOR = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)


def _begun(stream: BinaryIO, dialect: Dialect, where: str) -> tuple[list[bytes], int]:
    """The lines of the header, or the first row's if there is none, and how many lines stand before the first row."""
    head: list[bytes] = []
    before = dialect.skip
    for _ in range(before):
        stream.readline(LONGEST)
    while len(head) < (int(dialect.header) or 1):
        line = stream.readline(LONGEST)
        text = _decoded(line, dialect.encoding)
        if not head and (match := _SEPARATOR.fullmatch(text)) is not None:
            if match[1] != dialect.delimiter:
                raise SourceError(
                    f"says that its delimiter is {match[1]!a}", where=where, fix="Declare the source's `delimiter`."
                )
        elif not line or not dialect.is_comment(text):
            head.append(line)
            continue
        before += 1
    return head, before + int(dialect.header)


def _first_line(head: bytes, dialect: Dialect, where: str) -> list[str]:
    """The first line's fields; raises SourceError saying why there are none."""
    text = _decoded(head, dialect.encoding).removesuffix("\n").removesuffix("\r")
    fix = "Declare the file's dialect in the source, or ask its owner."
    if "\r" in text and not head.endswith(b"\n"):
        raise SourceError("its lines end with a carriage return alone", where=where, fix='Declare line_end="cr".')
    if len(head) >= LONGEST:
        raise too_long(Line(1, None, b"", len(head)), where)
    if b"\0" in head:
        raise SourceError("the first line holds a NUL byte, as no CSV does", where=where, fix=fix)
    if _undecodable(text):
        raise SourceError(f"the first line is not {dialect.encoding}", where=where, fix="Declare its `encoding`.")
    fields = dialect.split(text)
    if fields is None and dialect.is_open(text):
        raise SourceError("a quote opens in the first line and does not end in it", where=where, fix=fix)
    if fields is None:
        raise SourceError("the quotes of the first line do not fit", where=where, fix=fix)
    return [field or "" for field in fields]


def other_delimiter(head: list[str], dialect: Dialect, width: int) -> str | None:
    """What seems to be the delimiter of a first line that came as one field."""
    if len(head) != 1 or width == 1:
        return None
    return next((mark for mark in ";\t|,:" if mark != dialect.delimiter and head[0].count(mark) == width - 1), None)


def read_lines(
    stream: BinaryIO, dialect: Dialect, rows: TextRows, name: str, seen: Survey, order: list[int | None], *, where: str
) -> tuple[int, int]:
    """Read every record into `rows`, or into its rejects; returns how many there were, and the last one's line.

    Args:
        seen: what the first look told.
        order: for each column of the landing, and those that were added, its position in the file; None if it has none.
    """
    lines = _Lines(stream, dialect.encoding, where, dialect.skip_after)
    for _ in range(seen.before):
        next(lines, None)
    width = len(seen.first) if dialect.header else len(order)
    count = number = 0
    trailer = None if dialect.trailer is None else re.compile(dialect.trailer)
    for number, line, end in lines:
        if (line == "" and width > 1) or dialect.is_comment(line):
            continue
        if trailer is not None and (match := trailer.fullmatch(line)) is not None and not lines.more():
            _check_trailer(match, count, where)
            return count, number
        count += 1
        parts, record = [(number, line, end)], line
        size, is_open = len(line), dialect.is_open(line)
        while is_open and size < LONGEST and (more := next(lines, None)) is not None:
            parts.append(more)
            size += len(more[1])
            is_open ^= dialect.is_open(more[1])
        if len(parts) > 1:
            record = "".join(itertools.chain.from_iterable(part[1:] for part in parts)).removesuffix(parts[-1][2])
        fields = dialect.split(record)
        if fields is None or (
            len(fields) != width and any(len(dialect.split(part[1]) or ()) == width for part in parts[1:])
        ):
            # Only this line is to blame; those that an open quote swallowed are read again.
            lines.push_back(parts[1:])
            ends = "never ends" if is_open else f"ends in line {parts[-1][0]}, past whole rows"
            error = f"the quote that is open at its end {ends}" if len(parts) > 1 or is_open else "quotes do not fit"
            rows.reject("csv.quote", name, number, {"_line": _shown(line), "_error": error})
        elif _undecodable(record):
            rows.reject("csv.encoding", name, number, {"_line": _shown(record), "_error": f"is not {dialect.encoding}"})
        elif len(fields) != width:
            error = f"expected {width} fields, found {len(fields)}"
            rows.reject("csv.columns", name, number, {"_line": _shown(record), "_error": error})
        elif int(dialect.header) == 1 and fields == seen.first:
            rows.reject("csv.header", name, number, {"_line": record, "_error": "is the header again"})
        else:
            rows.add([None if position is None else fields[position] for position in order], name, number)
    if trailer is not None:
        raise SourceUnavailable("ends without its trailer line", where=where, fix=_CUT)
    return count, number


_CUT = "The file is cut, or still being written: run again, or ask its owner."


def _check_trailer(match: re.Match[str], count: int, where: str) -> None:
    announced = match.groupdict().get("rows")
    if announced is not None and announced.lstrip("0") != str(count).lstrip("0"):
        raise SourceUnavailable(f"has {count} rows, but its trailer line says {announced}", where=where, fix=_CUT)


class _Lines(Iterator[tuple[int, str, str]]):
    """Number, text and end of each line; bytes that are no text stay as lone surrogates."""

    def __init__(self, stream: BinaryIO, encoding: str, where: str, drop: int = 0) -> None:
        self._lines, self._encoding, self._where = _without_last(numbered(stream), drop), encoding, where
        self._back: list[tuple[int, str, str]] = []

    def __next__(self) -> tuple[int, str, str]:
        if self._back:
            return self._back.pop()
        line = next(self._lines)
        if line.text is None:
            raise too_long(line, self._where)
        return line.number, _decoded(line.text, self._encoding), line.end.decode()

    def push_back(self, lines: list[tuple[int, str, str]]) -> None:
        self._back.extend(reversed(lines))

    def more(self) -> bool:
        """Whether a line that is not blank follows."""
        for line in self:
            if line[1]:
                self.push_back([line])
                return True
        return False


def _without_last(lines: Iterator[Line], drop: int) -> Iterator[Line]:
    held: deque[Line] = deque()
    for line in lines:
        held.append(line)
        if len(held) > drop:
            yield held.popleft()


def _decoded(raw: bytes, encoding: str) -> str:
    return raw.decode(encoding, errors="surrogateescape")


def _undecodable(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= mark <= "\udcff" for mark in text)


def _shown(text: str) -> str:
    """The text with undecodable bytes written as \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
