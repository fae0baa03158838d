"""Tests see no setting of the shell they are started from."""

from __future__ import annotations

import os

for name in list(os.environ):
    if name.startswith("PIPELINE_") or name == "DAGSTER_HOME":
        del os.environ[name]
