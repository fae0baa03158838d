"""Files as sources: finding them, checking that they are whole, and telling whether they changed."""

from __future__ import annotations

import csv
import dataclasses
import glob
import hashlib
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assay.errors import SourceError, SourceUnavailable, WiringError
from assay.sources.auth import Auth
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.columns import Extra
from assay.sources.remote import STORES, Remote, is_pattern, pattern, scheme
from assay.sources.seen import Mark, Seen
from assay.sources.text import is_zip, opened, unzipped
from assay.sources.web import Http
from assay.sql import quoted

if TYPE_CHECKING:
    import httpx

    from assay.settings import BaseSettings

SMALL = 32 * 1024 * 1024
"""Files up to this many bytes are fingerprinted by content, larger ones by size and modification time."""
_MANIFEST = 16 * 1024 * 1024
DOWNLOAD = Http(deadline=3600.0, total_bytes=64 * 1024**3)
"""How patient a source of files is with a store or a web server."""


@dataclass(frozen=True)
class Files(ReadWhole):
    """What sources share that read files; see each of them for the arguments.

    A `manifest` is a CSV file under the location with the column `file`, named from the manifest's folder, and `rows`
    or `bytes` or both. What it announces of the source's files must be there, all of it and no more.

    The location is a folder, or the address of an object store (`s3://`, `gs://`, `az://`; the extra `stores`) or of a web server
    (`https://`): from there the files are copied for the time of the build, within `limits`, with the credentials `auth`.

    With `new_only` each build reads the files that were not read yet, and adds their rows to the published ones. What was read is
    remembered with the rows, by name, size and time or ETag: a file that changed since stops the build, one that is gone
    does not. `pipeline run --full` reads all that are there.

    Columns that nobody expects stop a build. `extra="ignore"` leaves them out, and tells them once a build; `extra="add"` takes them
    as text that may be null, and tells them.
    """

    location: str
    path: str
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    manifest: str | None = field(default=None, kw_only=True)
    limits: Http = field(default=DOWNLOAD, kw_only=True)
    auth: Auth | None = field(default=None, kw_only=True)
    new_only: bool = field(default=False, kw_only=True)
    extra: Extra = field(default="stop", kw_only=True)

    def __post_init__(self) -> None:
        if self.new_only and (self.manifest or not is_pattern(self.path)):
            told = "a manifest announces all files" if self.manifest else f"'{self.path}' is one file"
            raise WiringError(f"new_only= takes a pattern's new files, but {told}", fix="Leave one of them.")

    @property
    def incremental(self) -> bool:
        """Whether each landing brings only the files that are new."""
        return self.new_only

    @property
    def told_by_landing(self) -> bool:
        """Which files are new is known with what was read."""
        return self.new_only

    @property
    def tells_lag(self) -> bool:
        """New files are counted."""
        return self.new_only

    def lag(self, base: str, offsets: Mapping[int, int]) -> int:
        """How many files are new."""
        if not self.new_only:
            return 0
        remote = self._remote(base, None, None, None) if scheme(base) else None
        return len(self._fresh(base, remote, offsets, None)[0])

    def fingerprint(
        self, base: str, transport: httpx.BaseTransport | None = None, settings: BaseSettings | None = None
    ) -> str:
        if scheme(base):
            with TemporaryDirectory() as folder:
                return self._remote(base, None, settings, transport).mark(self._paths, Path(folder))
        return fingerprint(base, self.find(base))

    def land(self, landing: Landing) -> Landed:
        remote = None
        if scheme(landing.base):
            remote = self._remote(landing.base, landing.table, landing.settings, landing.transport)
        if self.new_only:
            names, seen = self._fresh(landing.base, remote, landing.offsets, landing.table)
            landed = self._new(landing, remote, names)
            return dataclasses.replace(landed, fingerprint=seen.fingerprint, offsets={0: seen.offset})
        if remote is None:
            self.find(landing.base, landing.table)  # which names the table where it fails
            mark = self.fingerprint(landing.base)
            return dataclasses.replace(self.read(landing), fingerprint=mark)
        return self._copied(landing, remote, self._paths)

    def _new(self, landing: Landing, remote: Remote | None, names: Sequence[str]) -> Landed:
        """The rows of the files `names` alone."""
        if not names:
            nothing = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in landing.columns.items())
            return Landed(f"SELECT {nothing} WHERE false", "")
        if remote is not None:
            return self._copied(landing, remote, [glob.escape(name) for name in names])
        return self.read(dataclasses.replace(landing, files=[Path(landing.base) / name for name in names]))

    def _fresh(
        self, base: str, remote: Remote | None, offsets: Mapping[int, int], table: str | None
    ) -> tuple[list[str], Seen]:
        """The files that were not read yet, and what is to be remembered once they are."""
        where, place = _where(Path(base), table) if remote is None else remote.where("").rstrip("/"), Path(base)
        fix = f"Read all files again: pipeline run {table or 'TABLE'} --full."
        seen = Seen.committed(offsets, where, fix)
        if remote is not None:
            return seen.fresh(remote.listed(self.path, none=bool(seen.marks)), lambda _: "", where, fix)
        if not place.is_dir():
            raise SourceError("no such folder", where=where, fix="Check the location in the settings.")
        now = {}
        for file in matching(base, self.path, table) if not seen.marks else _matching(base, self.path):
            with suppress(FileNotFoundError):  # taken away just now
                status = file.stat()
                now[relative(base, file)] = Mark(status.st_size, str(status.st_mtime_ns))

        def digest(name: str) -> str:
            _check(place / name, table)
            return _digest(place / name) if now[name].size <= SMALL else ""

        return seen.fresh(now, digest, where, fix)

    def _copied(self, landing: Landing, remote: Remote, paths: Sequence[str]) -> Landed:
        copy = landing.scratch / "copy"
        copy.mkdir()
        mark = remote.copy(paths, copy)
        # Behind the ? of a web server's address are parameters, which are no part of the copy's name.
        path = self.path if scheme(landing.base) in STORES else glob.escape(self.path.partition("?")[0])
        with remote.naming(copy):
            landed = dataclasses.replace(self, path=path).read(dataclasses.replace(landing, base=str(copy)))
        recheck = remote.naming(copy)(landed.recheck) if landed.recheck else None
        return dataclasses.replace(landed, fingerprint=mark, recheck=recheck)

    def read(self, landing: Landing) -> Landed:
        """The rows of the files below the landing's base, a folder; the fingerprint is the caller's."""
        raise NotImplementedError

    @property
    def _paths(self) -> list[str]:
        return [self.path, *([self.manifest] if self.manifest else [])]

    def _remote(
        self,
        base: str,
        table: str | None,
        settings: BaseSettings | None,
        transport: httpx.BaseTransport | None,
    ) -> Remote:
        return Remote(base, table, self.limits, self.auth, settings, transport)

    def find(self, base: str, table: str | None = None) -> list[Path]:
        """The files, the manifest last; raises SourceError unless they are as announced, as far as one look tells."""
        found = find(base, self.path, table=table)
        if self.manifest is None:
            return found
        manifest = find(base, self.manifest, table=table)[0]
        return [*(file for file in found if file != manifest), manifest]

    def delivered(self, landing: Landing) -> list[Delivered]:
        """The source's files with what the manifest, if there is one, announces of their rows."""
        found = landing.files or self.find(landing.base, landing.table)
        if self.manifest is None:
            return [Delivered(file, relative(landing.base, file), f"{landing.table}: {file}") for file in found]
        *found, manifest = found
        announced = _announced(manifest, landing.table)
        where = f"{landing.table}: {manifest}"
        for file in announced.keys() - set(found):
            if pattern(self.path).fullmatch(relative(landing.base, file)):
                raise SourceUnavailable(f"announces '{file.name}', which is not there", where=where, fix=_AGAIN)
        for file in found:
            if file not in announced:
                raise SourceError(f"does not announce '{file.name}', which is there", where=where, fix=_AGAIN)
            _compare(file.stat().st_size, announced[file][1], "bytes", f"{landing.table}: {file}")
        return [
            Delivered(file, relative(landing.base, file), f"{landing.table}: {file}", announced[file][0])
            for file in found
        ]


@dataclass(frozen=True)
class Delivered:
    """A file of a source: where it is, its name in the source, in messages, and how many rows are announced."""

    file: Path
    name: str
    where: str
    rows: int | None = None

    def unpacked(self, landing: Landing, member: str | None) -> Delivered:
        """The same, or the file inside it if it is a zip archive."""
        if member is None and not is_zip(self.file):
            return self
        file, inner = unzipped(self.file, member, landing.scratch, where=self.where)
        return Delivered(file, f"{self.name}/{inner}", f"{self.where}/{inner}", self.rows)

    def check(self, rows: int) -> None:
        """Raise SourceUnavailable if the manifest announces another number of rows."""
        _compare(rows, self.rows, "rows", self.where)


_AGAIN = "Run again once the delivery is whole, or ask the source's owner."


def _compare(found: int, announced: int | None, what: str, where: str) -> None:
    if announced is not None and found != announced:
        raise SourceUnavailable(f"has {found} {what}, but {announced} were announced", where=where, fix=_AGAIN)


def _announced(manifest: Path, table: str) -> dict[Path, tuple[int | None, int | None]]:
    """By file: rows and bytes, None where the manifest does not say."""
    where = f"{table}: {manifest}"
    found: dict[Path, tuple[int | None, int | None]] = {}
    try:
        with opened(manifest, where) as text:
            lines = csv.DictReader(text.stream.read(_MANIFEST).decode("utf-8", "replace").splitlines(), strict=True)
            if "file" not in (names := lines.fieldnames or ()) or not {"rows", "bytes"} & set(names):
                raise SourceError("is no manifest", where=where, fix="It has the columns file, and rows or bytes.")
            for line in lines:
                rows, size = (line.get(name) or None for name in ("rows", "bytes"))
                if any((count and not count.isdecimal()) or len(count or "") > 18 for count in (rows, size)):
                    raise SourceError(f"line {lines.line_num} has no count", where=where, fix="Ask the source's owner.")
                file = manifest.parent / (line["file"] or "")
                announced = (int(rows) if rows else None, int(size) if size else None)
                if found.setdefault(file, announced) != announced:
                    raise SourceError(f"announces '{file.name}' twice, and differently", where=where, fix=_AGAIN)
    except csv.Error as error:
        raise SourceError(f"is no CSV: {error}", where=where, fix=_AGAIN) from None
    return found


def find(base: str, path: str, *, table: str | None = None) -> list[Path]:
    """The files `path` (a name or a glob) means under `base`, sorted; each exists, is readable and not empty.

    Args:
        table: named in messages; None where whoever tells them names it already.
    """
    if is_pattern(path):
        files = matching(base, path, table)
    else:
        files = [Path(base) / path]
    for file in files:
        _check(file, table)
    return files


def matching(base: str, path: str, table: str | None) -> list[Path]:
    """The files that a pattern means, sorted; raises SourceError if there are none."""
    if files := _matching(base, path):
        return files
    raise SourceError(
        "no file matches", where=_where(Path(base) / path, table), fix="Check the location and the pattern."
    )


def _matching(base: str, path: str) -> list[Path]:
    return sorted(found for found in Path(base).glob(path) if not found.is_dir())


def _where(place: Path, table: str | None) -> str:
    return f"{table}: {place}" if table else str(place)


def _check(file: Path, table: str | None) -> None:
    where = _where(file, table)
    try:
        # A pipe would be waited for, a device never ends.
        if not (stat.S_ISREG(mode := file.stat().st_mode) or stat.S_ISDIR(mode)):
            raise SourceError("is a pipe or a device, not a file", where=where, fix="Write it to a file first.")
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
    except ValueError as error:  # a NUL in its name
        raise SourceError(f"is no path: {error}", where=where) from None
    if not first:
        raise SourceError("the file is empty", where=where, fix="Ask the source's owner for the whole file.")


def relative(base: str, file: Path) -> str:
    """The file as rows name it: its path under the location, the same on every machine."""
    return file.relative_to(base).as_posix() if file.is_relative_to(base) else str(file)


def fingerprint(base: str, files: list[Path]) -> str:
    """Changes when a file's content may have changed, or when files are added, removed or renamed."""
    total = hashlib.sha256()
    for file in files:
        status = file.stat()
        if status.st_size <= SMALL:
            mark = _digest(file)
        else:
            mark = f"{status.st_size}:{status.st_mtime_ns}"
        total.update(f"{relative(base, file)}\0{mark}\n".encode())
    return total.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def plain(file: Path) -> str:
    """The path for DuckDB, with the characters it would read as a pattern taken literally."""
    return "".join(f"[{mark}]" if mark in "*?[" else mark for mark in str(file))
