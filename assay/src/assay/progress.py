"""Progress of a run in this process, for whoever shows it. Dagster's log has the same facts for everybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.build import Progress

_listeners: list[Callable[[Progress], None]] = []


@contextmanager
def listening(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Call `listener` with every `Progress` of this process for the time of the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def emit(progress: Progress) -> None:
    """Tell every listener."""
    for listener in _listeners:
        listener(progress)
