"""Something that is wrong, as everybody who shows, tells or silences it has it."""

from __future__ import annotations

import datetime as dtm
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        key: the same for as long as it is the same failure, such as `late:orders`.
        fatal: whether the pipeline is not well, or only something is worth knowing.
        also: subjects that follow from it.
        covers: the keys that those have where they stand alone.
        silenced: by whom, until when and why nobody is told.
    """

    key: str
    fatal: bool
    subject: str
    what: str
    since: dtm.datetime | None
    expected: str
    actual: str
    todo: str
    owner: str | None = None
    also: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    silenced: str | None = None
