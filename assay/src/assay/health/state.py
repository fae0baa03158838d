"""What is known of a pipeline at a moment, as plain data: what was built, checked, run and scheduled."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Run_ = Literal["queued", "running", "done", "failed", "canceled"]


@dataclass(frozen=True)
class Checked:
    """The latest evaluation of a check."""

    table: str
    name: str
    passed: bool
    severity: Literal["error", "warn"]
    summary: str
    at: dtm.datetime
    learning: bool = False


@dataclass(frozen=True)
class Built:
    """The latest build of a table or export.

    Attributes:
        newest: column -> its largest value, as text.
        partitions: keys of all partitions that were ever built.
    """

    at: dtm.datetime
    newest: Mapping[str, str] = field(default_factory=dict)
    partitions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunSeen:
    """A run. `failures` has a message for each table it failed at, None where nobody looked; `dead` says why its process is gone."""

    id: str
    job: str
    status: Run_
    created: dtm.datetime
    started: dtm.datetime | None = None
    ended: dtm.datetime | None = None
    failures: Mapping[str, str] | None = field(default_factory=dict)
    dead: str | None = None


@dataclass(frozen=True)
class Unread:
    """The events of a table's log, or the files of its folder, that nobody has read; `problem` where that cannot be told."""

    table: str
    events: int
    since: dtm.datetime | None
    problem: str | None = None


@dataclass(frozen=True)
class State:
    """Everything that a verdict is made of.

    Attributes:
        schedules: `schedule daily` or `sensor health` -> whether it is on.
        daemon: the oldest of the last heartbeats of Dagster's daemon; None where none ever came.
        runs: the newest, and each table's last one, newest first.
        first: when the history begins, where it is longer than these.
    """

    now: dtm.datetime
    built: Mapping[str, Built] = field(default_factory=dict)
    checked: Sequence[Checked] = ()
    runs: Sequence[RunSeen] = ()
    schedules: Mapping[str, bool] = field(default_factory=dict)
    daemon: dtm.datetime | None = None
    unread: Sequence[Unread] = ()
    first: dtm.datetime | None = None
