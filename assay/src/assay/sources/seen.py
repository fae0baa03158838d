"""Which files of a folder were read, so that each brings its rows once.

They are kept as the place of an `Offset`, and so committed in the transaction that publishes their rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from assay.errors import SourceError
from assay.sources.base import Offset


class Mark(NamedTuple):
    """How a file was when it was read.

    Attributes:
        size: bytes.
        stamp: the modification time in nanoseconds, or a store's ETag.
        digest: of its content; empty where nobody computed one.
    """

    size: int
    stamp: str
    digest: str = ""


@dataclass(frozen=True)
class Seen:
    """The files that were read, by name, those that are gone since included."""

    marks: Mapping[str, Mark] = field(default_factory=dict)

    @classmethod
    def committed(cls, offsets: Mapping[int, int], where: str, fix: str) -> Seen:
        """What `offsets` hold; raises SourceError if another kind of source wrote them."""
        if not offsets:
            return cls()
        try:
            kept = json.loads(getattr(offsets.get(0), "place", ""))["files"]
        except (ValueError, TypeError, KeyError):
            raise SourceError("was read as another kind of source", where=where, fix=fix) from None
        return cls({name: Mark(*mark) for name, mark in kept.items()})

    def fresh(
        self, now: Mapping[str, Mark], digest: Callable[[str], str], where: str, fix: str
    ) -> tuple[list[str], Seen]:
        """Those of the files there are `now` that were not read, and what is to be remembered once they are.

        Args:
            digest: of a file's content, asked of new files, and of known ones of another stamp: copied back, they are the same.

        Raises:
            SourceError: a file that was read has other content now.
        """
        fresh, changed, marks = [], [], dict(self.marks)
        for name, mark in sorted(now.items()):
            known = self.marks.get(name)
            if known is not None and known[:2] == mark[:2]:
                continue
            if known is None or (known.digest and known.size == mark.size):
                mark = mark._replace(digest=digest(name))
            if known is None:
                fresh.append(name)
            elif not mark.digest or mark.digest != known.digest:
                changed.append(name)
            marks[name] = mark
        if changed:
            more = f", and {len(changed) - 1:,} more" if len(changed) > 1 else ""
            raise SourceError(f"was read, and has changed since{more}", where=f"{where}/{changed[0]}", fix=fix)
        return fresh, Seen(marks)

    @property
    def offset(self) -> Offset:
        """What is committed."""
        return Offset(len(self.marks), json.dumps({"files": dict(sorted(self.marks.items()))}))

    @property
    def fingerprint(self) -> str:
        """Changes with the files that were read, not with what else is known of them."""
        known = sorted((name, mark.digest or f"{mark.size}:{mark.stamp}") for name, mark in self.marks.items())
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()
