"""The only room that knows Dagster: tables as assets with checks, jobs, schedules, and the history of runs.

Belongs here: whatever imports `dagster`. Does not belong here: what a build does (`build.py`); an asset's body calls it.
"""

from __future__ import annotations

import atexit
import gc

# A code location makes hundreds of thousands of objects that stay; see `assay.cli`, which does the same.
gc.set_threshold(100_000, 20, 100)
atexit.register(gc.freeze)
