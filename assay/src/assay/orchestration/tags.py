"""The tags of a run that say what it builds."""

from __future__ import annotations

PARTITION_TAG = "pipeline/partition"
"""What a run of a job is to build, as `--partition` has it; without it a job's run builds all of every table."""

FULL_TAG = "pipeline/full"
"""Of a run whose incremental tables take all rows, whatever their watermarks: `true`, as `--full` has it."""

UNREAD_TAG = "pipeline/unread"
"""Of a run that a sensor asked for: the table, how far it was read then, and how much waited."""
