"""Where every reader of text begins: the first bytes say what a file is, whatever its name says.

Compressed files are unpacked, up to a bound that is kept while they are unpacked; UTF-16 and UTF-32 with a byte order
mark become UTF-8; a mark is never part of the first value. What is no text is named.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

from assay.errors import SourceError

LONGEST = 16 * 1024 * 1024
"""No line and no quoted record is longer, in bytes."""
UNPACKED = 1024 * 1024 * 1024
"""A compressed file may always hold so many bytes; beyond that no more than `RATIO` times its own size."""
RATIO = 200

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\xfd7zXZ\0": "xz",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
}
_NO_TEXT = {
    b"PAR1\x15": "a Parquet file",
    b"SQLite format 3\0": "an SQLite database",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"%PDF-": "a PDF",
}
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
WIDE = frozenset(_WIDE.values())
"""Encodings that do not extend ASCII and are read all the same."""
_CHUNK = 128 * 1024


@dataclass(frozen=True)
class Text:
    """A file's text.

    Attributes:
        stream: its bytes, unpacked, behind any byte order mark.
        marked: whether a mark says that it is UTF-8, or it is now, having been wider.
        recoded: whether it was wider, so that nobody else can read the file as it is.
    """

    stream: BinaryIO
    packed: Literal["none", "gzip", "zstd", "bzip2", "xz"] = "none"
    marked: bool = False
    recoded: bool = False


class Line(NamedTuple):
    """A line: its number, its bytes without the end (None if longer than `LONGEST`), its end, and its size with it."""

    number: int
    text: bytes | None
    end: bytes
    size: int


@contextmanager
def opened(file: Path, where: str | None = None, *, encoding: str = "", cr: bool = False) -> Iterator[Text]:
    """The file's text; one that is damaged, cut off, larger than it may be or no text raises SourceError when found.

    Args:
        where: how messages name the file, where that is not its path.
        encoding: what the text is said to be; only a wider one than UTF-8 matters here.
        cr: whether its lines end with a carriage return alone, which becomes a line feed.
    """
    where = where or str(file)
    try:
        with file.open("rb") as raw:
            packed = _kind(raw, where)
            if packed == "zip":
                raise SourceError("is a zip archive", where=where, fix="Unpack it.")
            stream = raw if packed == "none" else _unpacked(raw, packed, file.stat().st_size, where)
            if packed != "none" and (inner := _kind(stream, where)) != "none":
                raise SourceError(f"holds {inner} inside {packed}", where=where, fix="Unpack it once.")
            text = _decoded(stream, cast(Any, packed), where, encoding.lower().replace("_", "-"))
            if cr:
                text = replace(text, stream=io.BufferedReader(_Lined(text.stream), _CHUNK), recoded=True)
            yield text
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise _damaged(where, error) from None
    except OSError as error:
        if error.errno is not None:
            raise SourceError(f"cannot be read: {error.strerror}", where=where) from None
        raise _damaged(where, error) from None


def is_zip(file: Path) -> bool:
    """Whether the file is a zip archive, by its first bytes."""
    with file.open("rb") as stream:
        return _PACKED.get(stream.read(4)) == "zip"


def unzipped(archive: Path, member: str | None, scratch: Path, *, where: str) -> tuple[Path, str]:
    """A copy of an archive's member in `scratch`, and the member's name; without one, of the only file in it."""
    try:
        with zipfile.ZipFile(archive) as found:
            names = [name for name in found.namelist() if not name.endswith("/")]
            shown = ", ".join(names[:5]) or "nothing"
            if "xl/workbook.xml" in names:
                raise SourceError("is an Excel workbook", where=where, fix="Save it as CSV.")
            if member is None and len(names) != 1:
                raise SourceError(
                    f"is a zip archive of {len(names)} files ({shown})", where=where, fix="Name one as the `member`."
                )
            name = names[0] if member is None else member
            if name not in names:
                raise SourceError(f"no member '{name}' in the archive (it holds {shown})", where=where)
            if names.count(name) > 1:
                raise SourceError(
                    f"holds {names.count(name)} files '{name}'", where=where, fix="Ask its owner for one."
                )
            info = found.getinfo(name)
            bound = _Bounded(None, _bound(info.compress_size), where)
            bound.count(info.file_size)
            target = scratch / f"{len(list(scratch.iterdir()))}{Path(name).suffix}"
            with found.open(name) as source, target.open("wb") as copy:
                bound.inner, bound.left = cast(Any, source), _bound(info.compress_size)
                while chunk := bound.read(1 << 20):
                    copy.write(chunk)
            return target, name
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        detail = str(error).rstrip(".")
        raise SourceError(f"is no readable zip archive ({detail})", where=where, fix="Fetch it again.") from None


@contextmanager
def growing(file: Path) -> Iterator[BinaryIO]:
    """A plain UTF-8 file that others append to, behind any byte order mark; it can be sought in."""
    with opened(file) as text:
        if text.packed != "none" or text.recoded:
            raise SourceError("is no plain UTF-8 file", where=str(file), fix="Only such a file can be appended to.")
        yield text.stream


def numbered(stream: BinaryIO, first: int = 1) -> Iterator[Line]:
    """The stream's lines, counted from `first`. Only a line feed ends a line; a carriage return before it is its part."""
    number = first
    while raw := stream.readline(LONGEST + 1):
        size = len(raw)
        end = b"\r\n" if raw.endswith(b"\r\n") else b"\n" if raw.endswith(b"\n") else b""
        if size <= LONGEST:
            yield Line(number, raw[: -len(end)] if end else raw, end, size)
        else:
            while not raw.endswith(b"\n") and (raw := stream.readline(LONGEST)):
                size += len(raw)
            yield Line(number, None, raw[-1:], size)
        number += 1


def too_long(line: Line, where: str) -> SourceError:
    """The error for a line that is longer than any may be."""
    return SourceError(
        f"line {line.number} is longer than {LONGEST} bytes", where=where, fix="Check the file and its dialect."
    )


def _kind(stream: BinaryIO, where: str) -> str:
    head = cast(io.BufferedReader, stream).peek(64)[:64]
    for mark, name in _NO_TEXT.items():
        if head.startswith(mark):
            raise SourceError(f"is {name}, no text", where=where, fix="Check the source's path and its connector.")
    return next((name for mark, name in _PACKED.items() if head.startswith(mark)), "none")


def _unpacked(raw: BinaryIO, packed: str, size: int, where: str) -> BinaryIO:
    if packed == "gzip":
        inner: Any = gzip.GzipFile(fileobj=raw, mode="rb")
    elif packed == "bzip2":
        inner = bz2.BZ2File(raw)
    elif packed == "xz":
        inner = lzma.LZMAFile(raw)  # noqa: SIM115  closed with what it reads
    else:
        import pyarrow as pa

        inner = pa.CompressedInputStream(pa.PythonFile(raw), "zstd")
    return io.BufferedReader(_Bounded(inner, _bound(size), where), _CHUNK)


def _decoded(
    stream: BinaryIO, packed: Literal["none", "gzip", "zstd", "bzip2", "xz"], where: str, declared: str
) -> Text:
    head = cast(io.BufferedReader, stream).peek(64)[:64]
    if head.startswith(codecs.BOM_UTF8):
        stream.read(3)
        return Text(stream, packed, marked=True)
    for mark, encoding in _WIDE.items():
        if head.startswith(mark):
            stream.read(len(mark))
            return Text(io.BufferedReader(_Recoded(stream, encoding, where), _CHUNK), packed, marked=True, recoded=True)
    if declared in WIDE:
        wide = _Recoded(stream, declared, where, "it is declared as")
        return Text(io.BufferedReader(wide, _CHUNK), packed, marked=True, recoded=True)
    # No text begins with a NUL or has one behind its first character, but for what has wider characters.
    if (unmarked := re.match(rb"(?s)(\0\0\0[^\0]|[^\0]\0\0\0)|(\0[^\0]|[^\0]\0)", head)) is not None:
        name, fix = ("UTF-32", "Ask") if unmarked[1] else ("UTF-16", "Declare its `encoding`, utf-16-le or -be; or ask")
        raise SourceError(f"is {name} without a byte order mark", where=where, fix=f"{fix} for UTF-8, or for the mark.")
    return Text(stream, packed)


def _bound(size: int) -> int:
    return max(UNPACKED, RATIO * size)


def _damaged(where: str, error: Exception) -> SourceError:
    detail = str(error).rstrip(".")
    return SourceError(f"the compressed file is truncated or damaged ({detail})", where=where, fix="Fetch it again.")


class _Raw(io.RawIOBase):
    """A raw stream of what `take` gives."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.take(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def take(self, size: int) -> bytes:
        raise NotImplementedError


class _Bounded(_Raw):
    """What `inner` gives, which may be `left` bytes at most."""

    def __init__(self, inner: Any, left: int, where: str) -> None:
        self.inner, self.left, self.most, self.where = inner, left, left, where

    def take(self, size: int) -> bytes:
        found = cast(bytes, self.inner.read(size))
        self.count(len(found))
        return found

    def count(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise SourceError(
                f"unpacks to more than {self.most} bytes, {RATIO} times its size",
                where=self.where,
                fix="If that is right, unpack it before it is read.",
            )


class _Recoded(_Raw):
    """Text of a wider encoding as UTF-8."""

    def __init__(self, inner: BinaryIO, encoding: str, where: str, why: str = "its byte order mark says") -> None:
        self.inner, self.where, self.encoding, self.why = inner, where, encoding, why
        self.decoder, self.waiting, self.ended = codecs.getincrementaldecoder(encoding)(), b"", False

    def take(self, size: int) -> bytes:
        while not self.waiting and not self.ended:
            found = self.inner.read(_CHUNK)
            self.ended = not found
            try:
                self.waiting = self.decoder.decode(found, self.ended).encode()
            except UnicodeError:
                name = self.encoding.upper()
                raise SourceError(
                    f"{self.why} {name}, which it is not", where=self.where, fix="Fetch it again."
                ) from None
        found, self.waiting = self.waiting[:size], self.waiting[size:]
        return found


class _Lined(_Raw):
    """Text whose lines end with a carriage return, with line feeds."""

    def __init__(self, inner: BinaryIO) -> None:
        self.inner = inner

    def take(self, size: int) -> bytes:
        return self.inner.read(size).replace(b"\r", b"\n")
