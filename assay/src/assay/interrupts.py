"""Which of Ctrl-C and SIGTERM arrived, whoever handled it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Arrived:
    """The signals that came during a block, in order."""

    def __init__(self, reading: int | None = None) -> None:
        self._reading = reading
        self._numbers: list[int] = []

    @property
    def number(self) -> int | None:
        """The number of the first signal that ends programs; None if none came."""
        if self._reading is not None:
            with suppress(BlockingIOError):
                self._numbers += os.read(self._reading, 512)
        return next((number for number in self._numbers if number in (signal.SIGINT, signal.SIGTERM)), None)


@contextmanager
def noted() -> Iterator[Arrived]:
    """Note which signals arrive during the block, without handling them; SIGTERM raises what Ctrl-C does.

    Dagster gives both signals one handler, which does not say which one it was. Outside of the main thread
    nothing is noted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Arrived()
        return
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    terminated = signal.getsignal(signal.SIGTERM)
    if terminated is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    arrived = Arrived(reading)
    try:
        yield arrived
    finally:
        _ = arrived.number
        arrived._reading = None
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGTERM, terminated)
        os.close(reading)
        os.close(writing)
