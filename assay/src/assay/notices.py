"""What is said while something goes on: notices of what is waited for, and how far a build is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assay.words import harmless

if TYPE_CHECKING:
    import duckdb

_readers: list[Callable[[str], None]] = []
_tellers: list[Callable[[str], None]] = []
_connection: list[duckdb.DuckDBPyConnection] = []
_phase = ""


@contextmanager
def reading(reader: Callable[[str], None]) -> Iterator[None]:
    """Call `reader` with every notice as well, for the time of the block."""
    _readers.append(reader)
    try:
        yield
    finally:
        _readers.remove(reader)


@contextmanager
def telling(teller: Callable[[str], None]) -> Iterator[None]:
    """Let `teller` print notices for the time of the block."""
    _tellers.append(teller)
    try:
        yield
    finally:
        _tellers.remove(teller)


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
    global _phase
    _phase = text


@contextmanager
def watched(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let `how_far` ask `connection` for the time of the block."""
    phase("")
    _connection.append(connection)
    try:
        yield
    finally:
        _connection.remove(connection)


def how_far() -> str:
    """The part of the build that goes on in this process, and how much of its query DuckDB has done: `checking, 57%`."""
    try:
        share = _connection[-1].query_progress() if _connection else -1
    except Exception:  # noqa: BLE001 - it is asked from another thread, and may be closed by now
        share = -1
    return ", ".join(filter(None, (_phase, f"{share:.0f}%" if 0 < share < 100 else "")))
