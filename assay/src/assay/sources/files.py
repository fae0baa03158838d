"""Files as sources: finding them, checking that they are whole, and telling whether they changed."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from assay.errors import SourceError

SMALL = 32 * 1024 * 1024
"""Files up to this many bytes are fingerprinted by content, larger ones by size and modification time."""


def find(base: str, path: str, *, table: str | None = None) -> list[Path]:
    """The files `path` (a name or a glob) means under `base`, sorted; each exists, is readable and not empty.

    Args:
        table: named in messages; None where whoever tells them names it already.
    """
    if any(mark in path for mark in "*?["):
        files = sorted(found for found in Path(base).glob(path) if not found.is_dir())
        if not files:
            raise SourceError(
                "no file matches", where=_where(Path(base) / path, table), fix="Check the location and the pattern."
            )
    else:
        files = [Path(base) / path]
    for file in files:
        _check(file, table)
    return files


def _where(place: Path, table: str | None) -> str:
    return f"{table}: {place}" if table else str(place)


def _check(file: Path, table: str | None) -> None:
    where = _where(file, table)
    try:
        with file.open("rb") as stream:
            first = stream.read(1)
    except FileNotFoundError:
        raise SourceError("the file does not exist", where=where, fix="Check the location in the settings.") from None
    except IsADirectoryError:
        raise SourceError("is a folder, not a file", where=where, fix="Name a file or a pattern of files.") from None
    except PermissionError:
        raise SourceError("permission denied", where=where, fix="Let this user read the file.") from None
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", where=where) from None
    if not first:
        raise SourceError("the file is empty", where=where, fix="Ask the source's owner for the whole file.")


def relative(base: str, file: Path) -> str:
    """The file as rows name it: its path under the location, the same on every machine."""
    return file.relative_to(base).as_posix() if file.is_relative_to(base) else str(file)


def fingerprint(base: str, files: list[Path]) -> str:
    """Changes when a file's content may have changed, or when files are added, removed or renamed."""
    total = hashlib.sha256()
    for file in files:
        stat = file.stat()
        if stat.st_size <= SMALL:
            with file.open("rb") as stream:
                mark = hashlib.file_digest(stream, "sha256").hexdigest()
        else:
            mark = f"{stat.st_size}:{stat.st_mtime_ns}"
        total.update(f"{relative(base, file)}\0{mark}\n".encode())
    return total.hexdigest()


@contextmanager
def opened(file: Path, *, table: str) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed by suffix; a truncated or damaged file raises SourceError when it is found."""
    try:
        with _stream(file) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(file, table, str(error)) from None
    except OSError as error:
        if error.errno is not None:
            raise SourceError(f"cannot be read: {error.strerror}", where=f"{table}: {file}") from None
        raise _damaged(file, table, str(error)) from None


def _stream(file: Path) -> BinaryIO:
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if file.suffix in {".zst", ".zstd"}:
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(file)), "zstd")))
    return file.open("rb")


def _damaged(file: Path, table: str, detail: str) -> SourceError:
    return SourceError(
        f"the compressed file is truncated or damaged ({detail.rstrip('.')})",
        where=f"{table}: {file}",
        fix="Fetch it again.",
    )


def plain(file: Path) -> str:
    """The path for DuckDB, with the characters it would read as a pattern taken literally."""
    return "".join(f"[{mark}]" if mark in "*?[" else mark for mark in str(file))
