"""YAML files read strictly: every complaint names file and line."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import GoldenError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlFile:
    """A parsed YAML mapping that knows where each of its parts stands."""

    path: Path
    values: dict[str, Any]
    lines: dict[Place, int]

    def error(self, what: str, *place: str | int, fix: str | None = None) -> GoldenError:
        """An error about the part at `place`."""
        line = next((self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines), None)
        return GoldenError(what, where=shown(self.path) + (f":{line}" if line else ""), fix=fix)

    def check_keys(self, known: Collection[str], required: Collection[str] = ()) -> None:
        """Raises GoldenError on an unknown or missing key."""
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."
                raise self.error(f"unknown key '{key}'", key, fix=hint)
        for key in required:
            if self.values.get(key) in (None, "", [], {}):
                raise self.error(f"'{key}' is missing")

    def names(self, *place: str) -> tuple[str, ...]:
        """The list of names at a place; empty if it is not there."""
        value: Any = self.values
        for part in place:
            value = (value or {}).get(part)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"'{'.'.join(place)}' is no list of names", *place, fix="Write [name, name].")
        repeated = {item for item in value if value.count(item) > 1}
        if repeated:
            raise self.error(f"'{min(repeated)}' stands twice in '{'.'.join(place)}'", *place)
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """The mapping under a key; empty if it is not there."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.error(f"'{key}' is no mapping", key, fix="Write name: value lines under it.")
        return value

    def text(self, key: str) -> str | None:
        """The text under a key; None if it is not there."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(f"'{key}' is no text", key, fix='Put it in "quotes".')
        return value


def read(path: Path) -> YamlFile:
    """Parse a file that holds one mapping; raises GoldenError naming file and line."""
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        lines = dict(_lines(node, (), path)) if node is not None else {}
        values = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise GoldenError(f"is no YAML: {error.problem}", where=f"{shown(path)}:{line}") from None
    except ValueError as error:
        raise GoldenError(f"cannot be read: {error}", where=shown(path)) from None
    except OSError as error:
        raise GoldenError(f"cannot be read: {error.strerror}", where=shown(path)) from None
    if not isinstance(values, dict):
        raise GoldenError("holds no mapping", where=f"{shown(path)}:1", fix="Write key: value lines.")
    return YamlFile(path, values, lines)


def shown(path: Path) -> str:
    """The path from the folder that holds `golden/` on, the same on every machine."""
    parts = path.parts
    return "/".join(parts[parts.index("golden") :]) if "golden" in parts else str(path)


def _lines(node: Any, place: Place, path: Path) -> Iterator[tuple[Place, int]]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise GoldenError(
                    f"the key '{key.value}' stands twice", where=f"{shown(path)}:{key.start_mark.line + 1}"
                )
            seen.add(key.value)
            yield (*place, key.value), key.start_mark.line + 1
            yield from _lines(value, (*place, key.value), path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1
            yield from _lines(value, (*place, index), path)
