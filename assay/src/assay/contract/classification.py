"""How sensitive a column is. Put one of these into a field: `pa.Field(metadata=internal, ...)`."""

from __future__ import annotations

from typing import Any

public = {"classification": "public"}
"""May be shown to anybody."""
internal = {"classification": "internal"}
"""May be shown to colleagues, in logs and in reports."""
personal = {"classification": "personal"}
"""About a person: masked in logs, check metadata, reports and golden files."""
secret = {"classification": "secret"}
"""Masked everywhere."""

CLASSIFICATIONS = ("public", "internal", "personal", "secret")


def is_masked(classification: str | None) -> bool:
    """Whether values of a column of this class stay hidden; an unclassified column counts as personal."""
    return classification not in ("public", "internal")


def mask(value: Any, classification: str | None) -> Any:
    """The value, or `***` in its place; None stays None, for a missing value tells nothing."""
    return "***" if value is not None and is_masked(classification) else value
