"""Tests see no setting of the shell they are started from, or of a file, and let the test of the UI go first."""

from __future__ import annotations

import gc
import os
import sys

import pytest

for name in list(os.environ):
    if name.startswith("PIPELINE_") or name == "DAGSTER_HOME":
        del os.environ[name]
os.environ["PIPELINE_ENV_FILE"] = os.devnull


gives_way = False
USUAL = gc.get_threshold()
gc.set_threshold(100_000, 20, 100)  # until all is imported, as the command line does it


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the collector of garbage pass over all that was imported, and write no more byte code.

    That is told from its source by size and second, and tests edit code sooner than that.
    """
    global gives_way
    gives_way = "PYTEST_XDIST_WORKER" in os.environ and any(map(is_ui, session.items))
    gc.set_threshold(*USUAL)
    gc.collect()
    gc.freeze()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def is_ui(item: pytest.Item) -> bool:
    return item.get_closest_marker("ui") is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give way to the test of the UI, which is the longest, and which every busy core would make longer.

    Its worker begins with it; the other workers are nice from their first test on, and it is afterwards.
    """
    if gives_way and not is_ui(item) and os.nice(0) < 5:
        os.nice(5)
