"""Progress of a run in this process, for whoever shows it. Dagster's log has the same facts for everybody else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from assay.notices import among

if TYPE_CHECKING:
    from assay.build import Progress

_listeners: list[Callable[[Progress], None]] = []
_lock = threading.RLock()


def listening(listener: Callable[[Progress], None]) -> AbstractContextManager[None]:
    """Call `listener` with every `Progress` of this process for the time of the block."""
    return among(_listeners, listener)


def emit(progress: Progress) -> None:
    """Tell every listener, one thing after the other, whichever thread says it."""
    with _lock:
        for listener in _listeners:
            listener(progress)
