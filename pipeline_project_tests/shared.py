"""What is expensive to make and read by many tests: made once, for all processes that run tests."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` of this session, in which `make` was called once. Who would change it takes a copy."""
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared" / name
    place.parent.mkdir(exist_ok=True)
    with place.with_suffix(".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            place.mkdir()  # fails where an earlier attempt did not get through
            make(place)
            lock.write("made")
    return place
