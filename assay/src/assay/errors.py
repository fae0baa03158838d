"""Errors a person can act on: what is wrong, where, and what to do.

Every failure the project foresees is a `PipelineError`. The command line prints it as one line on
standard error, without a traceback, and leaves with the error's `exit_code`. An exception that is not
a `PipelineError` keeps its traceback; while a table is built, `mishaps.py` turns it into one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from assay.words import harmless


class PipelineError(Exception):
    """What is wrong, where, and what to do, in one line.

    Args:
        what: the fact, a short sentence without a full stop.
        where: the file, table, column, source or row it is about.
        fix: what the reader can do next.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        """In one line, in which nothing acts or hides: names and places can be anybody's."""
        line = f"{self.where}: {self.what}" if self.where else self.what
        if self.fix:
            line = f"{line.rstrip('.')}. {self.fix}"
        return harmless(" ".join(line.split()))


def did_you_mean(name: str, known: Iterable[str], otherwise: str, *, most: int = 3, written: str = "{}") -> str:
    """What to do about an unknown name: the near ones, else those it is a part of, else `otherwise`."""
    names = list(known)
    near = near_names(name, names, most=most) or [other for other in names if name and name in other][:most]
    return f"Did you mean {' or '.join(map(written.format, near))}?" if near else otherwise


def near_names(name: str, known: Iterable[str], *, most: int) -> list[str]:
    """Those of `known` that may be meant by `name`, the nearest first; case makes no difference."""
    import difflib

    folded = {other.lower(): other for other in known}
    return [folded[near] for near in difflib.get_close_matches(name.lower(), folded, n=most)]


@contextmanager
def on_disk(error: type[PipelineError], what: str, *, where: str, fix: str | None = None) -> Iterator[None]:
    """Raise `error`, with the system's reason behind `what`, where the block cannot read or write a file."""
    try:
        yield
    except OSError as found:
        raise error(f"{what}: {found.strerror}", where=where, fix=fix) from None


class SettingsError(PipelineError):
    """An environment variable is unknown or malformed."""


class ContractError(PipelineError):
    """A contract cannot be enforced inside the database, or is incomplete. Raised when code loads."""


class WiringError(PipelineError):
    """Tables do not fit together: an unknown upstream, another contract, a cycle. Raised when code loads."""


class SourceError(PipelineError):
    """A source is missing, malformed or does not answer. Nothing was published."""


class SourceUnavailable(SourceError):
    """A source does not answer, or not to its end. It may be whole in a moment, so Dagster tries again."""


class SourceChanged(SourceError):
    """A source has other columns than its table's contract, or of other types."""


class CodeError(PipelineError):
    """The code of a table raised an exception. Nothing was published; the exception is the cause of this error."""


class Interrupted(PipelineError):
    """Ctrl-C or SIGTERM ended a command. Its exit code is 128 and the signal's number, as shells have it.

    Args:
        signal_number: 2 for Ctrl-C, 15 for SIGTERM.
    """

    def __init__(self, what: str, signal_number: int, *, fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.exit_code = 128 + signal_number


class WarehouseError(PipelineError):
    """The warehouse cannot be opened, read or written."""


class WarehouseLocked(WarehouseError):
    """Another process holds the warehouse's file."""


class EngineError(PipelineError):
    """Spark is not installed or does not answer, or would compute a table otherwise than DuckDB."""


class GoldenError(PipelineError):
    """A golden case cannot be read or run. (A difference is a result, not an error.)"""


class PlanError(PipelineError):
    """A plan cannot be made, read or applied."""
