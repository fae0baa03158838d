"""What of a project's code says whether it is well, as plain data: kept in a file, no table has to be loaded for it."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from assay.tables.fresh import Fresh
from assay.tables.partitions import Partitions


@dataclass(frozen=True)
class Check:
    """A check: what it says holds, where somebody wrote that down, and whose it is."""

    says: str | None
    owner: str | None


@dataclass(frozen=True)
class Watched:
    """A table or export.

    Attributes:
        upstream: what must be published before it.
        fresh: by when it is built, the project's default included.
        newest: the column whose largest value has an age, and how old that may be.
        log: location and topic of the event log it reads.
        files: location and pattern of the files of which it reads those that are new.
    """

    name: str
    stage: str
    owner: str | None
    upstream: tuple[str, ...]
    checks: Mapping[str, Check]
    fresh: Fresh | None = None
    newest: tuple[str, dtm.timedelta] | None = None
    partitions: Partitions | None = None
    log: tuple[str, str] | None = None
    files: tuple[str, str] | None = None

    @property
    def full_name(self) -> str:
        return f"{self.stage}.{self.name}"


@dataclass(frozen=True)
class Outline:
    """All tables and exports by name, upstream first.

    Attributes:
        owners: everybody who owns something.
        schedules: those that are off until somebody turns them on, which leaves no trace in a history.
    """

    nodes: Mapping[str, Watched]
    owners: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()

    def above(self, name: str) -> list[str]:
        """Everything upstream of `name`, the nearest first."""
        wanted, waiting = set[str](), [name]
        while waiting:
            new = set(self.nodes[waiting.pop()].upstream) - wanted
            wanted |= new
            waiting += new
        return [each for each in reversed(list(self.nodes)) if each in wanted]

    def __iter__(self) -> Iterator[Watched]:
        return iter(self.nodes.values())
