"""JSON objects as rows: lines of NDJSON files, items of API pages, events of a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline_project.framework.sources.strict_json import as_text, misplaced


class NoRow(ValueError):
    """Why an object is no row of the expected columns; names fields and types, never values.

    Attributes:
        kind: `fields` (wrong ones) or `cast` (a value of another JSON type).
    """

    def __init__(self, kind: str, error: str) -> None:
        super().__init__(error)
        self.kind = kind


def row_of(item: Any, types: Mapping[str, str]) -> list[str | None]:
    """The item's texts in the order of `types`; raises NoRow unless it has exactly those fields, of fitting types."""
    if not isinstance(item, dict):
        raise NoRow("fields", "is no JSON object")
    if item.keys() != types.keys():
        problems = [f"missing field '{name}'" for name in types if name not in item]
        problems += [f"unexpected field '{name}'" for name in item if name not in types]
        raise NoRow("fields", "; ".join(problems))
    for name, kind in types.items():
        if misplaced(item[name], kind):
            raise NoRow("cast", f"{name} is no {kind}")
    return [as_text(item[name], kind) for name, kind in types.items()]
