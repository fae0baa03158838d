"""The outline in a file, with digests of all code it was drawn from: one byte of that changes, and it is drawn anew.

Loading tables takes seconds of the processor, and a monitor asks each minute. What code reads elsewhere while it is
imported, such as the environment or the clock, is in no digest: tables must not, see docs/decisions.md.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from assay.disk import write_atomically
from assay.health.outline import Outline

FILE = "outline.json"


@dataclass(frozen=True)
class Kept:
    """An outline, and what it was drawn from.

    Attributes:
        project: what the project itself says, which may differ by environment: its stages, and by when tables are built.
        installed: the interpreter, and the versions of all that is installed, as one digest.
        files: of the project's package, and of modules that are not installed -> digest.
    """

    project: str
    installed: str
    files: Mapping[str, str]
    outline: Outline

    def holds(self, package: str) -> bool:
        """Whether the code of `package`, and what it imports, is still what the outline was drawn from."""
        try:
            return self.installed == _installed() and self.files == _digests([*self.files, *_own(package)])
        except OSError:
            return False


def drawn(package: str, project: str, draw: Callable[[], Outline]) -> Kept:
    """What `draw` makes by loading the tables, with the digests of all that was loaded."""
    before = _digests(_files(package))  # what changes while it is loaded has another digest from then on
    outline = draw()
    return Kept(project, _installed(), {**_digests(_files(package)), **before}, outline)


def read(home: Path, package: str, project: str) -> Kept | None:
    """The one in `home`; None where there is none, or where the code of `package` is another one by now."""
    try:
        kept = TypeAdapter(Kept).validate_json((home / FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return kept if kept.project == project and kept.holds(package) else None


def write(home: Path, kept: Kept, since: float) -> None:
    """Keep it, unless some of its code has changed after `since` (a time), when it may have been loaded already."""
    try:
        if max(Path(file).stat().st_mtime for file in kept.files) >= since:
            return
        write_atomically(home / FILE, TypeAdapter(Kept).dump_json(kept))
    except OSError:
        return  # a folder that nobody may write to, a full disk, or code that is gone: it is drawn anew each time


def _files(package: str) -> set[str]:
    installed = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    modules = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {*_own(package), *(file for file in modules if file and not file.startswith(installed))}


def _own(package: str) -> list[str]:
    """All files of the package: a new one may be a table's."""
    folders = {Path(folder) for folder in sys.modules[package].__path__}
    found = (file for folder in folders for file in folder.rglob("*") if "__pycache__" not in file.parts)
    return [str(file) for file in found if file.is_file()]


def _digests(files: Iterable[str]) -> dict[str, str]:
    return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in set(files)}


def _installed() -> str:
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    names = sorted(entry.name for folder in folders for entry in Path(folder).iterdir() if entry.suffix == ".dist-info")
    return hashlib.sha256("\n".join([sys.version, *names]).encode()).hexdigest()
