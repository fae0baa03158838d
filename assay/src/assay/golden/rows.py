"""Rows as text, from CSV or NDJSON written by people, and into typed DuckDB tables, with the line of every complaint.

A value's text is DuckDB's own, but for a list, struct or map within another one: DuckDB cannot read back its text of
these where a leaf holds `]` or `}`. They are JSON whose leaves are texts, as the quarantine's payloads are.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from assay.errors import GoldenError
from assay.golden.yaml_file import shown
from assay.sources.strict_json import JsonError, Number, loads
from assay.sql import quoted as quote

NULL = "\\N"
"""What stands for null in a CSV file; an empty value is the empty text."""


_NESTS = re.compile(r"\[|\b(?:STRUCT|MAP)\(", re.IGNORECASE)


@dataclass(frozen=True)
class CaseRows:
    """Rows of text and null: `rows[i]` stands on line `lines[i]` of `path`."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    lines: tuple[int, ...]

    def error(self, what: str, row: int | None = None, fix: str | None = None) -> GoldenError:
        """An error about a row, by its index, or about the file."""
        line = "" if row is None else f":{self.lines[row]}"
        return GoldenError(what, where=shown(self.path) + line, fix=fix)


def read_rows(path: Path) -> CaseRows:
    """Read a `.csv` or `.ndjson` file; raises GoldenError naming file and line."""
    return read_csv(path) if path.suffix == ".csv" else read_ndjson(path)


def read_csv(path: Path) -> CaseRows:
    """A CSV file with a header, `,` and `"`; `\\N` is null."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    rows: list[tuple[str | None, ...]] = []
    lines: list[int] = []
    header: list[str] = []
    begins = 1
    try:
        for values in reader:
            line, begins = begins, reader.line_num + 1
            if not values:
                continue
            if not header:
                header = values
                continue
            if len(values) != len(header):
                raise GoldenError(
                    f"has {len(values)} values, the header has {len(header)}", where=f"{shown(path)}:{line}"
                )
            rows.append(tuple(None if value == NULL else value for value in values))
            lines.append(line)
    except csv.Error as error:
        raise GoldenError(f"is no CSV: {error}", where=f"{shown(path)}:{begins}") from None
    if not header:
        raise GoldenError("has no header", where=f"{shown(path)}:1", fix="The first line names the columns.")
    _check_names(header, path)
    return CaseRows(path, tuple(header), tuple(rows), tuple(lines))


def read_ndjson(path: Path, *, columns: Sequence[str] = ()) -> CaseRows:
    """One JSON object a line. With `columns`, every object has exactly these; else the first one names them."""
    rows: list[tuple[str | None, ...]] = []
    lines: list[int] = []
    names = tuple(columns)
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{shown(path)}:{number}"
        try:
            found = loads(line)
        except JsonError as error:
            raise GoldenError(str(error), where=where, fix="Every line is one JSON object.") from None
        if not isinstance(found, dict):
            raise GoldenError("is no JSON object", where=where, fix='Write {"column": "value"}.')
        names = names or tuple(found)
        if set(found) != set(names):
            wrong = sorted(set(found) ^ set(names))
            verb = "is missing" if wrong[0] in names else "is unknown"
            raise GoldenError(f"column '{wrong[0]}' {verb}", where=where, fix=f"Columns: {', '.join(names)}.")
        rows.append(tuple(as_text(found[name]) for name in names))
        lines.append(number)
    _check_names(names, path)
    return CaseRows(path, names, tuple(rows), tuple(lines))


def as_text(value: Any) -> str | None:
    """A parsed JSON value as the text to cast; numbers as they were written, objects and lists as compact JSON."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    return compact(value) if not isinstance(value, Number) else str(value)


def compact(value: Any) -> str:
    """A parsed JSON value as JSON without spaces, numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        parts = (f"{json.dumps(key, ensure_ascii=False)}:{compact(part)}" for key, part in value.items())
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def is_deep(type_: str) -> bool:
    """Whether a DuckDB type nests lists, structs or maps in each other."""
    return _leaves_as_text(type_) is not None


def text_sql(expression: str, type_: str) -> str:
    """SQL of an expression's text; `load` reads it back."""
    texts = _leaves_as_text(type_)
    return (
        f"CAST({expression} AS VARCHAR)"
        if texts is None
        else f"CAST(to_json(CAST({expression} AS {texts})) AS VARCHAR)"
    )


def load(
    connection: duckdb.DuckDBPyConnection,
    rows: CaseRows,
    types: Mapping[str, str],
    name: str,
    *,
    target: str | None = None,
) -> str:
    """Make a temporary table `name` of the rows, each column cast to its type; returns its quoted name.

    A temporary table of that name is replaced.

    Args:
        types: may have columns that the rows do not have; these become null.
        target: the quoted name of a table that is made in the place of a temporary one.

    Raises:
        GoldenError: a value is not of its column's type; names file, line and column.
    """
    deep = [column in types and is_deep(types[column]) for column in rows.columns]
    values = [[_as_payload(v) if d else v for v, d in zip(row, deep, strict=True)] for row in rows.rows]
    places = {column: f"__values[{place}]" for place, column in enumerate(rows.columns, start=1)}
    casts = ", ".join(
        f"{_cast_sql(places.get(column, 'NULL'), type_)} AS {quote(column)}" for column, type_ in types.items()
    )
    # As one text: DuckDB asks of every value of a list whether it is one of those with which pandas says that one is missing.
    source = "SELECT unnest(CAST(CAST($1 AS JSON) AS VARCHAR[][])) AS __values"
    made = f"TABLE {target}" if target else f"OR REPLACE TEMP TABLE {quote(name)}"
    try:
        connection.execute(f"CREATE {made} AS SELECT {casts} FROM ({source})", [json.dumps(values)])
    except duckdb.Error:
        raise _wrong_value(connection, rows, types) from None
    return target or f"temp.{quote(name)}"


def _wrong_value(connection: duckdb.DuckDBPyConnection, rows: CaseRows, types: Mapping[str, str]) -> GoldenError:
    """The first value, by line, that is not of its column's type."""
    wrong: list[tuple[int, str, str]] = []
    for name, type_ in types.items():
        values = [row[rows.columns.index(name)] for row in rows.rows] if name in rows.columns else []
        query = (
            f"SELECT list_transform($1::VARCHAR[], lambda x: x IS NOT NULL AND TRY({_cast_sql('x', type_)}) IS NULL)"
        )
        given = [_as_payload(value) for value in values] if is_deep(type_) else values
        try:
            (flags,) = connection.execute(query, [given]).fetchall()[0]
        except duckdb.Error:
            return rows.error(f"column '{name}' has the unknown type {type_}")
        wrong += [(index, name, str(values[index])) for index, flag in enumerate(flags) if flag][:1]
    if not wrong:
        return rows.error("its values do not fit the columns")
    index, name, value = min(wrong, key=lambda each: each[0])
    return rows.error(f"'{value[:60]}' in column '{name}' is no {types[name]}", index)


def _cast_sql(text: str, type_: str) -> str:
    plain, texts = f"CAST({text} AS {type_})", _leaves_as_text(type_)
    if texts is None:
        return plain
    return f"coalesce(TRY(CAST(CAST(TRY_CAST({text} AS JSON) AS {texts}) AS {type_})), {plain})"


@cache
def _leaves_as_text(type_: str) -> str | None:
    """A deep type with text in the place of every leaf; None for another one."""
    if len(_NESTS.findall(type_)) < 2:
        return None
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            kind = connection.type(type_)
    except duckdb.Error:
        return None  # told where a value is cast to it
    deep = _is_nested(kind) and any(_is_nested(child) for _, child in _children(kind))
    return _texts(kind) if deep else None


def _is_nested(kind: Any) -> bool:
    return kind.id in ("list", "array", "struct", "map")


def _children(kind: Any) -> list[tuple[str, Any]]:
    return kind.children[:1] if kind.id == "array" else kind.children  # an array's second is its size


def _texts(kind: Any) -> str:
    if not _is_nested(kind):
        return "VARCHAR"
    parts = [(name, _texts(child)) for name, child in _children(kind)]
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quote(name)} {text}' for name, text in parts)})"
    return f"MAP(VARCHAR, {parts[1][1]})" if kind.id == "map" else f"{parts[0][1]}[]"


def _as_payload(text: str | None) -> str | None:
    """JSON with every leaf as a text, numbers as they were written; any other text as it is."""
    try:
        parsed = loads(text) if text is not None and text.startswith(("{", "[")) else None
    except JsonError:
        return text
    return text if parsed is None else json.dumps(_with_texts(parsed), ensure_ascii=False)


def _with_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_texts(part) for key, part in value.items()}
    return [_with_texts(part) for part in value] if isinstance(value, list) else as_text(value)


def _check_names(names: Sequence[str], path: Path) -> None:
    folded = [name.casefold() for name in names]
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise GoldenError(f"names the column '{name}' twice", where=f"{shown(path)}:1")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # `read_text` would change the line breaks within values
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise GoldenError("is no UTF-8 text", where=f"{shown(path)}:{line}") from None
    except OSError as error:
        raise GoldenError(f"cannot be read: {error.strerror}", where=shown(path)) from None
