"""Tests see no setting of the shell they are started from, or of a file, and let the test of the UI go first."""

from __future__ import annotations

import os

import pytest

for name in list(os.environ):
    if name.startswith("PIPELINE_") or name == "DAGSTER_HOME":
        del os.environ[name]
os.environ["PIPELINE_ENV_FILE"] = os.devnull


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give way to the test of the UI, which is the longest, and which every busy core would make longer.

    Its worker begins with it; the other workers are nice from their first test on, and it is afterwards.
    """
    if item.get_closest_marker("ui") is None and "PYTEST_XDIST_WORKER" in os.environ and os.nice(0) < 5:
        os.nice(5)
