"""A row as JSON text and back, without losing anything.

JSON has one kind of number and neither NaN nor bytes, so every leaf value is written as DuckDB's text for it,
a string; lists, structs and maps keep their shape. Reading back casts each leaf to its type again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from assay.sql import literal, quoted

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from assay.contract.columns import Column


def free(name: str, taken: Iterable[str]) -> str:
    """`name`, for a value that stands beside a row's own; `__name`, which no column is called, where one has it."""
    return f"__{name}" if name in {other.lower() for other in taken} else name


def to_payload(columns: Iterable[Column]) -> str:
    """SQL: the columns of a row as the text of a JSON object."""
    pairs = ", ".join(f"{literal(column.name)}, {_as_text(column)}" for column in columns)
    return f"CAST(json_object({pairs}) AS VARCHAR)"


def from_payload(columns: Iterable[Column], payload: str) -> list[str]:
    """SQL: one expression per column that reads `to_payload`'s text in column `payload`."""
    return [
        f"CAST(struct_extract(from_json({quoted(payload)}, {_structure(column)}), {literal(column.name)}) "
        f"AS {column.sql_type}) AS {quoted(column.name)}"
        for column in columns
    ]


def _as_text(column: Column) -> str:
    name, dtype = quoted(column.name), column.dtype
    text = f"CAST({name} AS {_text_type(dtype)})"
    if dtype.is_timestamp() and dtype.timezone:
        # The text of an instant is in the session's zone; the same row must have the same text, and so the same id.
        return f"if(isfinite({name}), CAST(timezone('UTC', {name}) AS VARCHAR) || '+00', {text})"
    return text


def _structure(column: Column) -> str:
    return literal(json.dumps({column.name: _json_structure(column.dtype)}, ensure_ascii=False))


def _text_type(dtype: dt.DataType) -> str:
    """The type with VARCHAR in place of every leaf."""
    kind: Any = dtype
    if dtype.is_array():
        return f"{_text_type(kind.value_type)}[]"
    if dtype.is_struct():
        fields = ", ".join(f"{quoted(name)} {_text_type(value)}" for name, value in kind.fields.items())
        return f"STRUCT({fields})"
    if dtype.is_map():
        return f"MAP(VARCHAR, {_text_type(kind.value_type)})"
    return "VARCHAR"


def _json_structure(dtype: dt.DataType) -> Any:
    kind: Any = dtype
    if dtype.is_array():
        return [_json_structure(kind.value_type)]
    if dtype.is_struct():
        return {name: _json_structure(value) for name, value in kind.fields.items()}
    if dtype.is_map():
        return f"MAP(VARCHAR, {_text_type(kind.value_type)})"
    return "VARCHAR"
