"""Progress of a run in this process, for whoever shows it. Dagster's log has the same facts for everybody else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from assay.words import harmless

if TYPE_CHECKING:
    from assay.build import Progress

T = TypeVar("T")
_listeners: list[Callable[[Progress], None]] = []
_readers: list[Callable[[str], None]] = []


@contextmanager
def _among(known: list[T], one: T) -> Iterator[None]:
    known.append(one)
    try:
        yield
    finally:
        known.remove(one)


def listening(listener: Callable[[Progress], None]) -> AbstractContextManager[None]:
    """Call `listener` with every `Progress` of this process for the time of the block."""
    return _among(_listeners, listener)


def reading(reader: Callable[[str], None]) -> AbstractContextManager[None]:
    """Call `reader` with every notice as well, for the time of the block."""
    return _among(_readers, reader)


def emit(progress: Progress) -> None:
    """Tell every listener."""
    for listener in _listeners:
        listener(progress)


def notice(text: str) -> None:
    """Say a line while something goes on, such as what is waited for: on standard error, and to every reader."""
    text = harmless(text)
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    for reader in _readers:
        reader(text)
