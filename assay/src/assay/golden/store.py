"""Golden files: `<name>.ndjson` with the rows and `<name>.schema.yml` with everything else.

`<name>` is a table's name, or `<table>.rejects` for the rows that its contract set aside. Every value is DuckDB's
text for it, null is null; a JSON column's object or array stands as it is, and so do lists, structs and maps within
each other, with texts as their leaves. Rows are sorted by the key.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from assay.compare.model import SqlColumn, Tolerance
from assay.disk import write_atomically
from assay.errors import GoldenError, PipelineError, on_disk
from assay.golden.rows import CaseRows, as_text, is_deep, read_ndjson
from assay.golden.yaml_file import Names, Strict, YamlFile, read, shown, told
from assay.sources.strict_json import JsonError, loads

MAX_ROWS = 500
MAX_BYTES = 256 * 1024
REJECTS = ".rejects"
_HEADER = "# Written by `pipeline golden accept`; tolerance and volatile are yours to edit.\n"

Values = tuple[str | None, ...]


@dataclass(frozen=True)
class Schema:
    """What a golden says besides its rows.

    Attributes:
        columns: with types and nullability, in order.
        key: the columns that identify a row; none compares multisets.
        tolerance, volatile: see `assay/compare`.
        masked: columns whose values stand masked, see `mask.py`.
    """

    columns: tuple[SqlColumn, ...]
    key: tuple[str, ...] = ()
    tolerance: Mapping[str, Tolerance] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def stored_types(self) -> dict[str, str]:
        """The types in which the file's values compare: masked ones are text."""
        return {column.name: "VARCHAR" if column.name in self.masked else column.type for column in self.columns}


@dataclass(frozen=True)
class Golden:
    """One expected table. `pinned` is whether it has a schema file."""

    rows: CaseRows
    schema: Schema
    pinned: bool


def rows_path(folder: Path, name: str) -> Path:
    """Where the rows of `name` stand."""
    return folder / f"{name}.ndjson"


def schema_path(folder: Path, name: str) -> Path:
    """Where the schema of `name` stands."""
    return folder / f"{name}.schema.yml"


def read_golden(folder: Path, name: str, default: Schema) -> Golden | None:
    """The golden called `name`; None if there is none. Without a schema file, the schema is `default`.

    Raises:
        GoldenError: a file is malformed, over the cap, or its rows are not those the schema file was written for.
    """
    path, beside = rows_path(folder, name), schema_path(folder, name)
    if not path.exists():
        if beside.exists():
            raise GoldenError("has no rows beside it", where=shown(beside), fix=f"Restore {path.name} or delete it.")
        return None
    if path.stat().st_size > MAX_BYTES:
        raise too_large(f"has {path.stat().st_size:,} bytes", shown(path))
    source = read(beside) if beside.exists() else None
    schema = _schema(source) if source is not None else default
    rows = read_ndjson(path, columns=schema.names)
    if len(rows.rows) > MAX_ROWS:
        raise too_large(f"has {len(rows.rows):,} rows", shown(path))
    if source is not None:
        _check_whole(source, rows, path)
    return Golden(rows, schema, source is not None)


def write_golden(folder: Path, name: str, schema: Schema, rows: Sequence[Values]) -> None:
    """Write both files, each by a rename; raises GoldenError where the folder cannot be written."""
    with on_disk(GoldenError, "cannot be written", where=shown(folder)):
        write_atomically(rows_path(folder, name), rows_text(schema, rows).encode())
        write_atomically(schema_path(folder, name), schema_text(schema, rows).encode())


def rows_text(schema: Schema, rows: Iterable[Values]) -> str:
    """The rows as NDJSON."""
    types = [column.type for column in schema.columns]
    return "".join(
        _escape(
            json.dumps(
                {name: _json(value, type_) for name, value, type_ in zip(schema.names, row, types, strict=True)},
                ensure_ascii=False,
            )
        )
        + "\n"
        for row in rows
    )


def schema_text(schema: Schema, rows: Sequence[Values]) -> str:
    """Everything but the rows, as YAML."""
    block: dict[str, Any] = {"columns": {column.name: declared(column) for column in schema.columns}}
    flow: dict[str, Any] = {"key": list(schema.key)}
    if schema.tolerance:
        flow["tolerance"] = {name: _tolerance(given) for name, given in schema.tolerance.items()}
    if schema.volatile:
        flow["volatile"] = list(schema.volatile)
    if schema.masked:
        flow["masked"] = list(schema.masked)
    flow |= {"rows": len(rows), "content_hash": content_hash(rows)}
    return _HEADER + _dump(block, False) + _dump(flow, None)


def content_hash(rows: Iterable[Values]) -> str:
    """Changes when any value does; does not depend on the order of rows or on how the file is written."""
    lines = sorted(json.dumps(row) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def too_large(what: str, where: str) -> GoldenError:
    """The error for a golden over the cap."""
    return GoldenError(
        f"{what}; a golden holds at most {MAX_ROWS} rows and {MAX_BYTES // 1024} KB",
        where=where,
        fix="Make the case's input smaller: one row for each thing it teaches.",
    )


def declared(column: SqlColumn) -> str:
    """`BIGINT NOT NULL`, or `BIGINT`."""
    return f"{column.type} NOT NULL" if column.nullable is False else column.type


def parse_column(name: str, text: str) -> SqlColumn:
    """The column that `declared` wrote."""
    type_ = text.removesuffix(" NOT NULL")
    return SqlColumn(name, type_, nullable=type_ == text)


class _SchemaFile(Strict):
    """What may stand in a `.schema.yml`."""

    columns: Annotated[dict[str, Annotated[str, told("column '{key}' has no type")]], Field(min_length=1)]
    key: Names = []
    tolerance: dict[str, Any] = {}
    volatile: Names = []
    masked: Names = []
    rows: Any = None
    content_hash: Any = None


def _schema(source: YamlFile) -> Schema:
    said = source.read_as(_SchemaFile)
    columns = tuple(parse_column(name, text) for name, text in said.columns.items())
    tolerance = {name: _read_tolerance(source, name, given) for name, given in said.tolerance.items()}
    schema = Schema(columns, tuple(said.key), tolerance, tuple(said.volatile), tuple(said.masked))
    for key in ("key", "tolerance", "volatile", "masked"):
        for name in getattr(schema, key):
            if name not in said.columns:
                raise source.error(f"no column '{name}'", key, fix=f"Columns: {', '.join(sorted(said.columns))}.")
    for column in schema.columns:
        if column.name in schema.tolerance and (column.type not in ("FLOAT", "DOUBLE") or column.name in schema.key):
            raise source.error(
                f"no tolerance is allowed on {column.name} ({column.type})", "tolerance", column.name,
                fix="Tolerances are for FLOAT and DOUBLE columns outside the key.",
            )  # fmt: skip
    return schema


def _read_tolerance(source: YamlFile, name: str, given: Any) -> Tolerance:
    if not isinstance(given, dict) or not given or set(given) - {"abs", "rel"}:
        raise source.error(f"the tolerance of '{name}' is no {{abs: ..., rel: ...}}", "tolerance", name)
    try:
        return Tolerance(**{key: float(value) for key, value in given.items()})
    except (TypeError, ValueError):
        raise source.error(f"the tolerance of '{name}' is no number", "tolerance", name, fix="Write 1.0e-9.") from None
    except PipelineError as error:
        raise source.error(error.what, "tolerance", name) from None


def _check_whole(source: YamlFile, rows: CaseRows, path: Path) -> None:
    fix = "If the edit is meant, delete the lines `rows` and `content_hash` of the schema file."
    count, known = source.values.get("rows"), source.values.get("content_hash")
    if count is not None and count != len(rows.rows):
        raise source.error(f"says {count} rows, {path.name} has {len(rows.rows)}", "rows", fix=fix)
    if known is not None and str(known) != content_hash(rows.rows):
        raise source.error(f"{path.name} was changed since it was accepted", "content_hash", fix=fix)


def _json(value: str | None, type_: str) -> Any:
    """JSON as it is, where reading it gives the same text again."""
    if value is None or not value.startswith(("{", "[")) or not (type_ == "JSON" or is_deep(type_)):
        return value
    try:
        parsed = json.loads(value)
        return parsed if as_text(loads(json.dumps(parsed, ensure_ascii=False))) == value else value
    except (JsonError, ValueError):
        return value


def _escape(text: str) -> str:
    """JSON text in which every invisible or combining character is written as an escape."""
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character == " " or unicodedata.category(character) not in {"Cc", "Cf", "Cn", "Co", "Mn", "Zl", "Zp", "Zs"}:
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))


def _tolerance(given: Tolerance) -> dict[str, float]:
    return {name: value for name, value in (("abs", given.abs), ("rel", given.rel)) if value} or {"abs": 0.0}


def _dump(values: Mapping[str, Any], flow: bool | None) -> str:
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=flow)
    return text


def as_values(lines: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Iterator[Values]:
    """Rows of parsed JSON objects as text in the order of `names`."""
    for line in lines:
        yield tuple(as_text(line[name]) for name in names)
