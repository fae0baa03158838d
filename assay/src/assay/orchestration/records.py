"""Dagster's history as rows of its tables, read without Dagster: importing that takes 1.6 s, and reading an event through it 3 ms.

The tables and the JSON in them are those of Dagster 1.13, to which the framework is pinned; a test compares what is read
here with what Dagster says of the same history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assay.orchestration.processes import is_local

if TYPE_CHECKING:
    import dagster as dg

RUNS, EVENTS, SCHEDULES = "runs", "events", "schedules"
FILES = {RUNS: "history/runs.db", EVENTS: "history/runs/index.db", SCHEDULES: "schedules/schedules.db"}


class Ask(Protocol):
    """Asks for rows: in RUNS, EVENTS (of assets), SCHEDULES, or in a run, whose id stands for the place."""

    def __call__(self, place: str, sql: str, values: Mapping[str, Any] = ...) -> list[Any]: ...


@dataclass(frozen=True)
class Records:
    """A history.

    Attributes:
        ask: `:name` in the SQL stands for a value.
        here: whoever runs has run on this machine.
    """

    ask: Ask
    here: bool


@contextmanager
def of_files(home: Path) -> Iterator[Records]:
    """The history in SQLite in `home`, which is only read; where there is none yet there are no rows."""
    opened: dict[Path, sqlite3.Connection] = {}
    with ExitStack() as stack:

        def ask(place: str, sql: str, values: Mapping[str, Any] = {}) -> list[Any]:
            file = home / FILES.get(place, f"history/runs/{place}.db")
            if file not in opened and not file.exists():
                return []
            if file not in opened:
                connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=60)
                opened[file] = stack.enter_context(closing(connection))
            return opened[file].execute(sql, values).fetchall()

        yield Records(ask, here=True)


def of_instance(instance: dg.DagsterInstance) -> Records:
    """The history of `instance`, in whatever database it is."""
    from sqlalchemy import text

    events: Any = instance.event_log_storage
    runs: Any = instance.run_storage
    schedules: Any = instance.schedule_storage

    def ask(place: str, sql: str, values: Mapping[str, Any] = {}) -> list[Any]:
        connects = {RUNS: runs.connect, EVENTS: events.index_connection, SCHEDULES: schedules.connect}
        with connects[place]() if place in connects else events.run_connection(place) as connection:
            return list(connection.execute(text(sql), values).fetchall())

    return Records(ask, here=is_local(instance))
