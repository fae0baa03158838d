"""The only room that knows Dagster: tables as assets with checks, jobs, schedules, and the history of runs.

Belongs here: whatever imports `dagster`. Does not belong here: what a build does (`build.py`); an asset's body calls it.
"""
