"""JSON objects as rows: lines of NDJSON files, items of API pages, events of a log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from types import NoneType
from typing import Any

from assay.sources.columns import Beyond
from assay.sources.strict_json import Number, dumps


class NoRow(ValueError):
    """Why an object is no row of the expected columns; names fields and types, never values.

    Attributes:
        kind: `fields` (wrong ones) or `cast` (a value of another JSON type).
    """

    def __init__(self, kind: str, error: str) -> None:
        super().__init__(error)
        self.kind = kind


class RowReader:
    """Turns parsed objects into the texts that are cast to the columns' types.

    A JSON string may hold a value of any type, since that is how decimals and dates travel. A number or boolean
    is never turned into text, nor a list or object into anything but a nested type. A JSON column keeps the value as
    it is, of whatever type: the string "42" stays a string.

    Args:
        types: column name -> DuckDB type as DuckDB spells it.
        optional: fields that an object may leave out; such a one is null.
        json_in_strings: JSON columns whose strings hold the document, as some senders write it.
        beyond: takes up the names of fields beside these; None: such an object is no row.
    """

    def __init__(
        self,
        types: Mapping[str, str],
        optional: Collection[str] = (),
        json_in_strings: Collection[str] = (),
        beyond: Beyond | None = None,
    ) -> None:
        self.types = dict(types)
        self.optional = frozenset(optional) & types.keys()
        self.beyond = beyond
        self._in_strings = frozenset(json_in_strings)
        self._names = self.types.keys()
        self._columns = [(name, kind, is_nested(kind), kind.startswith("DECIMAL")) for name, kind in types.items()]

    def read(self, item: Any) -> list[str | None]:
        """The item's texts in the columns' order, those of added columns last; raises NoRow unless it has these fields, of fitting types."""
        if not isinstance(item, dict):
            raise NoRow("fields", "is no JSON object")
        if item.keys() != self._names:
            self._check_fields(item)
        texts: list[str | None] = []
        for name, kind, nested, decimal in self._columns:
            value = item.get(name)
            found = type(value)
            if value is None:
                texts.append(None)
            elif kind == "JSON":
                texts.append(value if found is str and name in self._in_strings else dumps(value))
            elif found is str and not nested:
                texts.append(value)
            elif found is Number and kind != "VARCHAR" and not nested:
                texts.append(_plain(value) if decimal else value)
            elif found is bool and kind == "BOOLEAN":
                texts.append("true" if value else "false")
            elif found in (list, dict) and nested:
                texts.append(dumps(value))
            else:
                raise NoRow("cast", f"{name} is no {kind}")
        if self.beyond is not None:
            texts += [_text(item.get(name)) for name in self.beyond.added]
        return texts

    def _check_fields(self, item: Mapping[str, Any]) -> None:
        """Raise NoRow unless the item has the fields, and others only where they are left out."""
        missing = [name for name in self._names if name not in item and name not in self.optional]
        others = [name for name in item if name not in self._names]
        problems = [f"missing field '{name}'" for name in missing]
        problems += [f"unexpected field '{name}'" for name in others if self.beyond is None]
        if problems:
            raise NoRow("fields", "; ".join(problems))
        if self.beyond is not None:
            for name in others:
                self.beyond.meet(name)

    def read_all(self, items: Sequence[Any]) -> list[list[str | None]] | None:
        """The texts of all items, column by column; None if they are to be read one by one.

        The quick way for items that are all as they should be, with nothing to convert.
        """
        if any(type(item) is not dict or item.keys() != self._names for item in items):
            return None
        columns: list[list[str | None]] = []
        for name, kind, nested, decimal in self._columns:
            texts = [item[name] for item in items]
            found = set(map(type, texts)) - {NoneType}
            if nested or (kind == "VARCHAR" and found - {str}) or found - {str, Number}:
                return None
            if decimal and Number in found:
                texts = [text and _plain(text) for text in texts]
            columns.append(texts)
        return columns


_DIGITS = 100  # more than a DECIMAL has, with zeros to spare


def _text(value: Any) -> str | None:
    """A value as text, as it was served: a string's own, and of all else its JSON."""
    return value if value is None or isinstance(value, str) else dumps(value)


def is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "JSON"))


def _plain(text: str) -> str:
    """A JSON number without an exponent; any other text as it is, and so is a number that no DECIMAL could hold."""
    if type(text) is not Number or not ("e" in text or "E" in text):
        return text
    mantissa, _, exponent = text.lower().partition("e")
    fits = len(mantissa) <= _DIGITS and len(exponent) <= 5 and abs(int(exponent)) <= _DIGITS
    return format(Decimal(text), "f") if fits else text
