"""Strict casts: text becomes a value only if nothing is lost on the way.

DuckDB's own casts round '1.5' to the integer 2, cut '1.239' to DECIMAL 1.24, turn '1e400' into infinity and
forget a time zone's offset; they take NaN for JSON. Here each of those is no value at all, so that the row counts as malformed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
_INTEGERS |= {f"U{name}" for name in _INTEGERS}
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_REAL = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_SHAPES = {
    "DATE": _DAY,
    "TIME": _CLOCK,
    "TIMESTAMP": rf"{_DAY}[ T]{_CLOCK}",
    "TIMESTAMP WITH TIME ZONE": rf"{_DAY}[ T]{_CLOCK} ?{_ZONE}",
    "BOOLEAN": r"(?i:true|false)",
}


_spelled: dict[str, str] = {}


def normal_types(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> dict[str, str]:
    """The columns with their types as DuckDB itself spells them, e.g. TIMESTAMPTZ -> TIMESTAMP WITH TIME ZONE."""
    if new := [kind for kind in dict.fromkeys(columns.values()) if kind not in _spelled]:
        names = ", ".join(f"NULL::{kind} AS c{index}" for index, kind in enumerate(new))
        described = connection.execute(f"DESCRIBE SELECT {names}").fetchall()
        _spelled.update((kind, row[1]) for kind, row in zip(new, described, strict=True))
    return {name: _spelled[kind] for name, kind in columns.items()}


def strict_cast(text: str, kind: str) -> str:
    """An SQL expression: the VARCHAR expression `text` as `kind`, or NULL where that would lose or invent anything.

    Args:
        text: a VARCHAR expression.
        kind: a DuckDB type as `normal_types` spells it.
    """
    if kind == "VARCHAR":
        return text
    cast = f"TRY_CAST({text} AS {kind})"
    if kind in {"DOUBLE", "FLOAT"}:
        named = rf"regexp_full_match({text}, '[+-]?(?i:nan|inf|infinity)')"
        lost = f"{cast} = 0 AND regexp_matches({text}, '^[^eE]*[1-9]')"  # too near to 0
        finite = f"(regexp_full_match({text}, '{_REAL}') AND isfinite({cast}) AND NOT ({lost}))"
        return f"CASE WHEN {finite} OR {named} THEN {cast} END"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return f"TRY_CAST({_json(text)} AS {kind})"
    if kind == "JSON":
        return _json(text)
    shape = _shape(kind)
    return cast if shape is None else f"CASE WHEN regexp_full_match({text}, '{shape}') THEN {cast} END"


def _json(text: str) -> str:
    """The text as JSON. DuckDB takes NaN, Infinity and a comma after the last element, which are none: looked for outside strings."""
    outside = rf"""regexp_replace({text}, '"(\\.|[^"\\])*"', '""', 'g')"""
    return rf"CASE WHEN NOT regexp_matches({outside}, '(?i:nan|inf)|,\s*[\]}}]') THEN TRY_CAST({text} AS JSON) END"


def _shape(kind: str) -> str | None:
    if kind in _INTEGERS:
        return r"[+-]?[0-9]+"
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        scale = int(decimal[2])
        return rf"[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{max(scale, 1)}}}0*)"
    return _SHAPES.get(kind)
