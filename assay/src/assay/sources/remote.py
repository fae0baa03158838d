"""Files that lie in an object store or on a web server: copied beside the build, then read like any others.

`s3://`, `gs://`, `az://` are read by obstore, with the credentials that every tool for them takes from the surroundings
(`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, ..., or the machine's role); `https://` as pages are.
"""

from __future__ import annotations

import datetime as dtm
import hashlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from assay.errors import SettingsError, SourceError, SourceUnavailable
from assay.sources.addresses import join, shown, split
from assay.sources.auth import Auth
from assay.sources.seen import Mark
from assay.sources.web import Fetcher, Http

if TYPE_CHECKING:
    import httpx

    from assay.settings import BaseSettings

STORES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""Schemes of object stores, and how the variables of their credentials begin."""


@dataclass(frozen=True)
class Remote:
    """Where files lie, and who may read them.

    Args:
        table: named in messages; None where whoever tells them names it already.
        transport: replaces the network for web servers.
    """

    base: str
    table: str | None
    limits: Http
    auth: Auth | None
    settings: BaseSettings | None
    transport: httpx.BaseTransport | None

    def mark(self, paths: Sequence[str], scratch: Path) -> str:
        """Changes when a file may have changed. A store tells it; what a web server has is fetched."""
        if scheme(self.base) in STORES:
            return _mark(each for path in paths for each in self._found(self._store(), path))
        return self.copy(paths, scratch)

    def copy(self, paths: Sequence[str], target: Path) -> str:
        """Copy the files that `paths` (names or patterns) mean below `target`; returns their mark.

        Raises:
            SourceUnavailable: the store or server does not answer, or a file changed while it was listed and read.
            SourceError: no file is there, or the credentials are refused.
        """
        if scheme(self.base) not in STORES:
            return self._from_web(paths, target)
        store, marks = self._store(), []
        for path in paths:
            for found in self._found(store, path):
                with self._told(found["path"]):
                    answer = _obstore().get(store, found["path"])
                    if answer.meta["e_tag"] != found["e_tag"]:
                        raise SourceUnavailable("changed while it was read", where=self.where(path), fix="Run again.")
                    with _created(target, found["path"]).open("wb") as file:
                        for chunk in answer:
                            file.write(chunk)
                marks.append(found)
        return _mark(marks)

    def listed(self, path: str, *, none: bool) -> dict[str, Mark]:
        """The files that a pattern means, by name, as the store has them.

        Args:
            none: whether there may be none.
        """
        if scheme(self.base) not in STORES:
            raise SourceError("a web server lists no files", where=self.where(path), fix="Leave new_only= off.")
        found = self._found(self._store(), path, none=none)
        return {each["path"]: Mark(each["size"], str(each["e_tag"] or each["last_modified"])) for each in found}

    def where(self, path: str) -> str:
        place = f"{shown(self.base).rstrip('/')}/{path.lstrip('/')}"
        return f"{self.table}: {place}" if self.table else place

    @contextmanager
    def naming(self, copy: Path) -> Iterator[None]:
        """Errors about the copy name where it comes from."""
        try:
            yield
        except SourceError as error:
            error.where = (error.where or "").replace(str(copy), shown(self.base).rstrip("/"))
            raise

    def _from_web(self, paths: Sequence[str], target: Path) -> str:
        total = hashlib.sha256()
        asked = Fetcher(self.limits, self.table, self.transport, base=self.base, auth=self.auth, settings=self.settings)
        with asked as fetcher:
            for path in paths:
                if is_pattern(path.partition("?")[0]):
                    raise SourceError("a web server lists no files", where=self.where(path), fix="Name one file.")
                file = _created(target, path.partition("?")[0])
                with file.open("wb") as stream:
                    fetcher.save(join(self.base, path), stream)
                with file.open("rb") as stream:
                    total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    def _store(self) -> Any:
        with self._told(""):
            # An endpoint of the team's own may speak plain HTTP; the stores' never do.
            seconds: Any = {"timeout": f"{self.limits.deadline}s", "connect_timeout": f"{self.limits.connect}s"}
            seconds["allow_http"] = True
            patience: Any = {
                "max_retries": self.limits.attempts - 1,
                "retry_timeout": dtm.timedelta(seconds=self.limits.deadline),
                "backoff": {
                    "init_backoff": dtm.timedelta(seconds=self.limits.wait),
                    "max_backoff": dtm.timedelta(seconds=self.limits.longest_wait),
                    "base": 2,
                },
            }
            from obstore.store import from_url

            return from_url(self.base, client_options=seconds, retry_config=patience)

    def _found(self, store: Any, path: str, *, none: bool = False) -> list[dict[str, Any]]:
        """What the store says of the files, in the order of their names."""
        with self._told(path):
            if not is_pattern(path):
                return [_obstore().head(store, path)]
            plain = PurePosixPath(*(part for part in _until_pattern(path))).as_posix()
            listed = [each for chunk in _obstore().list(store, None if plain == "." else plain) for each in chunk]
        matching = pattern(path)
        found = sorted((each for each in listed if matching.fullmatch(each["path"])), key=lambda each: each["path"])
        if not found and not none:
            raise SourceError("no file matches", where=self.where(path), fix="Check the location and the pattern.")
        return found

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of this machine's disk: a store's have none
                what = f"cannot be copied here: {error.strerror}"
                raise SourceError(what, where=self.where(path), fix="Free the disk, or mend the keys.") from None
            text, variables = str(error), STORES[scheme(self.base)]
            status = int(found[1]) if (found := re.search(r"status code: (\d{3})", text)) else 0
            if isinstance(error, FileNotFoundError) or status == 404:
                what, fix = "the bucket or the file does not exist", "Check the location and the path."
            elif (
                isinstance(error, PermissionError) or status in (401, 403) or "Unauthenticated" in type(error).__name__
            ):
                what, fix = "refuses the credentials", f"Check the variables {variables}... and the role."
            elif "credential" in text.lower():
                what, fix = "found no credentials", f"Set the variables {variables}..., or give the machine a role."
            else:
                what, fix = "the store does not answer", "Check the location, or run again later."
                raise SourceUnavailable(what, where=self.where(path), fix=fix) from None
            raise SourceError(what, where=self.where(path), fix=fix) from None


def scheme(base: str) -> str:
    """The address's scheme; empty for a folder."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", base)
    return found[1].lower() if found else ""


def check_location(name: str, base: str, prefix: str) -> None:
    """Raise SettingsError for an address at which no files can be: when it is set, not as a file that is missing."""
    where, kind = f"{prefix}SOURCE_{name.upper()}", scheme(base)
    if kind in STORES:
        if importlib.util.find_spec("obstore") is None:
            raise SettingsError(
                f"is in an object store ({kind}://)", where=where, fix="Install the extra: dagster-assay[stores]."
            )
        if not re.match(r"\w+://[^/]", base):
            raise SettingsError(f"{shown(base)} names no bucket", where=where, fix=f"Set {kind}://BUCKET/FOLDER.")
    elif kind in {"http", "https"}:
        split(base)
    elif kind:
        known = ", ".join(f"{each}://" for each in (*STORES, "https"))
        raise SettingsError(f"{kind}:// leads to no files", where=where, fix=f"Set a folder, or {known}.")


def _obstore() -> Any:
    import obstore

    return obstore


def _created(target: Path, path: str) -> Path:
    file = target / path.lstrip("/")
    if not file.resolve().is_relative_to(target.resolve()):
        raise SourceError(f"the path {path[:80]!a} leads out of the location", fix="Check the source's path.")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _mark(found: Any) -> str:
    text = "\n".join(f"{each['path']}\0{each['size']}\0{each['e_tag'] or each['last_modified']}" for each in found)
    return hashlib.sha256(text.encode()).hexdigest()


def is_pattern(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _until_pattern(path: str) -> Iterator[str]:
    for part in path.split("/")[:-1]:
        if is_pattern(part):
            return
        yield part


def pattern(path: str) -> re.Pattern[str]:
    """The pattern as a regular expression: as `Path.glob` reads it, a star stays within a folder."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^]]+\]|.", path)
    texts = (
        parts.get(each) or (_set(each) if each[0] == "[" and len(each) > 2 else re.escape(each)) for each in tokens
    )
    return re.compile("".join(texts))


def _set(text: str) -> str:
    """A pattern's set such as `[!ab]`, with what means more in a regular expression taken literally."""
    inner = re.sub(r"[\\\[&~|^]", r"\\\g<0>", text[1:-1].removeprefix("!"))
    return f"[{'^' if text[1] == '!' else ''}{inner}]"
