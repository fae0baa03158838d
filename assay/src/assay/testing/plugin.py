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


USUAL = gc.get_threshold()
gc.set_threshold(100_000, 20, 100)  # until all is imported, as the command line does it


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over all that was imported, and write no more byte code.

    That is told from its source by size and second, and tests edit code sooner than that.
    """
    gc.set_threshold(*USUAL)
    gc.collect()
    gc.freeze()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give way to the test of the UI, which is the longest, and which every busy core would make longer.

    Its worker begins with it; the other workers are nice from their first test on, and it is afterwards.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or item.get_closest_marker("ui") or os.nice(0) >= 5:
        return
    if any(each.get_closest_marker("ui") for each in item.session.items):
        os.nice(5)
