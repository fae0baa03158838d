"""What is said while something goes on: notices of what is waited for, and how far a build is."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from assay.words import harmless

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
_readers: list[Callable[[str], None]] = []
_tellers: list[Callable[[str], None]] = []


@dataclass(eq=False)
class _Build:
    connection: duckdb.DuckDBPyConnection
    phase: str = ""


_builds: list[_Build] = []
_own = threading.local()


@contextmanager
def among(known: list[T], one: T) -> Iterator[None]:
    """Have `one` in the list for the time of the block."""
    known.append(one)
    try:
        yield
    finally:
        known.remove(one)


def reading(reader: Callable[[str], None]) -> AbstractContextManager[None]:
    """Call `reader` with every notice as well, for the time of the block."""
    return among(_readers, reader)


def telling(teller: Callable[[str], None]) -> AbstractContextManager[None]:
    """Let `teller` print notices for the time of the block."""
    return among(_tellers, teller)


def notice(text: str) -> None:
    """Say a line while something goes on, such as what is waited for: on standard error, and to every reader."""
    text = harmless(text)
    if _tellers:
        _tellers[-1](text)
    else:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    for reader in _readers:
        reader(text)


def phase(text: str) -> None:
    """Say which part of a build goes on, such as `computing rows`, for `how_far`."""
    if (build := getattr(_own, "build", None)) is not None:
        build.phase = text


@contextmanager
def watched(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let `how_far` tell of the build that this thread does with `connection` in the block."""
    before, _own.build = getattr(_own, "build", None), _Build(connection)
    try:
        with among(_builds, _own.build):
            yield
    finally:
        _own.build = before


def how_far() -> str:
    """The part of the build that goes on here, of several of the oldest, and how much of its query is done: `checking, 57%`."""
    build = next(iter(_builds), None)
    try:
        share = build.connection.query_progress() if build is not None else -1
    except Exception:  # noqa: BLE001 - it is asked from another thread, and may be closed by now
        share = -1
    return ", ".join(filter(None, (build.phase if build else "", f"{share:.0f}%" if 0 < share < 100 else "")))
