"""The columns of a sample: how its file is written, and for each column the narrowest type that loses nothing.

A type is judged on all rows, by the casts that the connector will use (`sources/casts.py`), and refused where the text
could not be told from the value again: `02134` is no number, a number of 20 digits none of 64 bits, and where `1.9` and
`1.10` would become one value the column stays text. What a sample cannot show, such as a time's zone, stays text as well.
"""

from __future__ import annotations

import codecs
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import duckdb
import ibis.expr.datatypes as dt
import pyarrow as pa
from ibis.backends.sql.datatypes import DuckDBType

from assay.contract.columns import sql_type
from assay.errors import PipelineError, SourceError
from assay.scaffold.columns import Draft, python_names, python_string
from assay.sources import Csv, FetchContext, HtmlTable, Sheet
from assay.sources.base import Landing
from assay.sources.casts import strict_cast
from assay.sources.files import plain
from assay.sources.lines import Dialect
from assay.sources.strict_json import JsonError, Number, dumps, loads
from assay.sources.text import is_zip, numbered, opened, unzipped
from assay.sql import literal, quoted

_DELIMITERS = ",;\t|"
_HEAD = 1024 * 1024
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_AS_WRITTEN = {
    "BOOLEAN": None,
    "BIGINT": r"0|-?[1-9][0-9]{0,17}",
    "DATE": None,
    "TIMESTAMP": None,
    "TIMESTAMP WITH TIME ZONE": None,
    # An exponent without point or sign, as in 12e4, may be an id.
    "DOUBLE": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?|-?(0|[1-9][0-9]*)(\.[0-9]+[eE][+-]?|[eE][+-])[0-9]+",
}
"""Types that text may be, and how it must be written then where the cast alone would take more."""
_OF_STRINGS = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
_DIGITS = 15
"""So many digits a DOUBLE always gives back."""


@dataclass(frozen=True)
class Sample:
    """What a sample shows.

    Attributes:
        rows: how many rows the types were judged on; None where the file itself says its types, or all is text.
        arguments: what the connector must be told beside location and path, as code.
    """

    drafts: list[Draft]
    rows: int | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


def read_sample(path: Path, kind: str, *, items: str | None = None) -> Sample:
    """The columns of a sample file; every one is the author's to confirm.

    Raises:
        PipelineError: the sample is missing or cannot be read as `kind`.
    """
    if not path.is_file():
        raise PipelineError("the sample does not exist", where=str(path), fix="Give a file, or leave --sample out.")
    try:
        with duckdb.connect(config={"threads": 1}) as connection, tempfile.TemporaryDirectory() as scratch:
            if kind == "page":
                return _page(path)
            if kind == "parquet":
                return _parquet(connection, path)
            if kind == "csv":
                return _csv(connection, path, Path(scratch))
            if kind == "excel":
                path = _workbook(path, Path(scratch))
            return _objects(connection, path, (items or "data") if kind == "api" else None)
    except SourceError as error:  # whose place is that of a copy
        raise PipelineError(error.what, where=str(path), fix=error.fix) from None
    except (duckdb.Error, ValueError) as error:
        raise PipelineError(
            f"the sample is no {kind}: {str(error).splitlines()[0]}", where=str(path), fix="Give another sample."
        ) from None


def _workbook(path: Path, scratch: Path) -> Path:
    """The rows of a workbook's only sheet as NDJSON."""
    rows = Sheet(path.name)(FetchContext(None, str(path.parent), cast(Any, None)))
    file = scratch / "rows.ndjson"
    file.write_text("".join(f"{json.dumps(row, default=str)}\n" for row in rows), encoding="utf-8")
    return file


def _csv(connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> Sample:
    file = unzipped(path, None, scratch, where=str(path))[0] if is_zip(path) else path
    with opened(file) as text:
        head = text.stream.read(_HEAD)
        encoding = "utf-8" if text.marked else _encoding(head, text.stream)
    # A line that the head cuts off is not looked at.
    lines = head.decode(encoding, "replace").split("\n")
    lines = [line.removesuffix("\r") for line in (lines if len(head) < _HEAD else lines[:-1]) if line.strip("\r")]
    if lines and lines[0].count('"') % 2:
        raise PipelineError(
            "a quote opens in the first line and does not end in it", where=str(path), fix="Ask its owner."
        )
    delimiter, records = _dialect(lines)
    if not records:
        raise PipelineError("the sample has no line that can be read", where=str(path), fix="Give another sample.")
    first = [text or "" for text in records[0]]
    header = _is_header(first, records[1:])
    served = first if header else [f"column_{number}" for number in range(1, len(first) + 1)]
    _check_names(served, path)
    (scratch / "sample").symlink_to(file.resolve())
    source = Csv("", "sample", delimiter=delimiter, encoding=encoding, header=header)
    landing = Landing(str(path), str(scratch), dict.fromkeys(served, "VARCHAR"), connection, scratch, {})
    connection.execute(f"CREATE TEMP TABLE sample AS {source.land(landing).sql}")
    rows, types = _narrowest(connection, dict.fromkeys(served, _AS_WRITTEN))
    arguments = {"delimiter": python_string(delimiter)} if delimiter != "," else {}
    arguments |= {"encoding": python_string(encoding)} if encoding != "utf-8" else {}
    arguments |= {} if header else {"header": "False"}
    return Sample(_drafts(types), rows, arguments)


def _encoding(head: bytes, stream: Any) -> str:
    """UTF-8 where all of the file is; else the web's western one, or the one in which every byte is a letter."""
    decoders = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")}
    chunk = head
    while decoders:
        for name in list(decoders):
            try:
                decoders[name].decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                del decoders[name]
        if not chunk:
            break
        chunk = stream.read(_HEAD)
    return next(iter(decoders), "latin-1")


def _dialect(lines: Sequence[str]) -> tuple[str, list[list[str | None]]]:
    """The delimiter with which most lines have as many fields as the first, more than one; and the lines' fields."""
    found = []
    for rank, delimiter in enumerate(_DELIMITERS):
        records = [fields for fields in map(Dialect(delimiter=delimiter).split, lines) if fields is not None]
        width = len(records[0]) if records else 1
        alike = sum(len(fields) == width for fields in records) if width > 1 else 0
        found.append((alike, width, -rank, delimiter, records))
    _, _, _, delimiter, records = max(found, key=lambda each: each[:3])
    return delimiter, records


def _is_header(first: Sequence[str], rest: Sequence[Sequence[str | None]]) -> bool:
    """Whether the first line names the columns.

    It does where it stands as text above a column of values; it does not where all it has above such columns are values.
    """
    above = {
        _kind_of(text) is None
        for position, text in enumerate(first)
        if _is_of_values([fields[position] for fields in rest if len(fields) > position])
    }
    return True in above or False not in above


def _is_of_values(texts: Sequence[str | None]) -> bool:
    given = [text for text in texts if text]
    return bool(given) and len({_kind_of(text) for text in given}) == 1 and _kind_of(given[0]) is not None


def _kind_of(text: str) -> str | None:
    """What a text seems to be a value of, roughly: only to tell names from values."""
    shapes = {"number": r"[+-]?[0-9]+([.,][0-9]+)*", "day": r"[0-9]{1,4}([-/.:][0-9]{1,4}){2}([ T].*)?"}
    return next((kind for kind, shape in shapes.items() if re.fullmatch(shape, text)), None)


def _check_names(served: Sequence[str], path: Path) -> None:
    """Refuse a header of which the database could not tell the columns apart."""
    seen: dict[str, str] = {}
    for number, name in enumerate(served, start=1):
        other = seen.setdefault(name.lower(), name)
        if not name:
            raise PipelineError(
                f"column {number} has no name in the header", where=str(path), fix="Ask the source's owner for one."
            )
        if len(seen) < number:
            what = "appear twice" if other == name else f"and '{other}' differ in case alone, which no column may"
            raise PipelineError(f"'{name}' {what} in the header", where=str(path), fix="Ask the source's owner.")


def _objects(connection: duckdb.DuckDBPyConnection, path: Path, items: str | None) -> Sample:
    """The columns of JSON objects: of the lines of a file, or of the list `items` of an API's page."""
    found = [item for item in _parsed(path, items) if isinstance(item, dict)]
    names = list(dict.fromkeys(name for item in found for name in item))
    if not names:
        raise PipelineError("the sample holds no object with a field", where=str(path), fix="Give another sample.")
    _check_names(names, path)
    asked: dict[str, Any] = {}
    texts: dict[str, list[str | None]] = {}
    for name in names:
        values = [item.get(name) for item in found]
        kinds = {type(value) for value in values if value is not None}
        if kinds == {bool}:
            asked[name], values = {"BOOLEAN": None}, [value if value is None else dumps(value) for value in values]
        elif kinds == {Number}:
            asked[name] = {"BIGINT": _AS_WRITTEN["BIGINT"], "DOUBLE": _NUMBER} | _decimal(values) | {"JSON": None}
        elif kinds <= {str}:
            asked[name] = {kind: _AS_WRITTEN[kind] for kind in _OF_STRINGS}
        else:
            asked[name], values = {"JSON": None}, [value if value is None else dumps(value) for value in values]
        texts[name] = values
    table = pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})
    connection.register("sample", table)
    rows, types = _narrowest(connection, asked)
    optional = [name for name in names if any(name not in item for item in found)]
    listed = ", ".join(map(python_string, optional))
    return Sample(_drafts(types), rows, {"optional": f"({listed},)"} if optional else {})


def _decimal(values: Sequence[Any]) -> dict[str, str | None]:
    """The DECIMAL that holds as many places as any of the numbers has."""
    places = max(len(value.partition(".")[2]) for value in values if value is not None)
    return {f"DECIMAL(38,{places})": None} if places <= 38 else {}


def _parsed(path: Path, items: str | None) -> Iterator[Any]:
    if items is not None:
        page = loads(path.read_bytes())
        if not isinstance(page, dict) or not isinstance(page.get(items), list):
            raise ValueError(f"it is no object with a list '{items}'")
        yield from page[items]
        return
    with opened(path) as text:
        for line in numbered(text.stream):
            try:
                if line.text:
                    yield loads(line.text)
            except JsonError as error:
                raise ValueError(f"line {line.number} {error}") from None


def _page(path: Path) -> Sample:
    """The columns of a page's table, all of text; their names follow from the header's texts, or are mapped."""
    import httpx

    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=path.read_bytes()))
    header = HtmlTable("", "page").header("http://sample", answer)
    names = python_names(text for text, _ in header)
    mapped = [
        f"{python_string(text)}: {python_string(name)}"
        for (text, given), name in zip(header, names, strict=True)
        if given != name
    ]
    arguments = {"headers": f"{{{', '.join(mapped)}}}"} if mapped else {}
    return Sample([Draft(name, dt.string) for name in names], None, arguments)


def _parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> Sample:
    query = f"DESCRIBE SELECT * FROM read_parquet({literal(plain(path))}, hive_partitioning = false)"
    types = {row[0]: row[1] for row in connection.execute(query).fetchall()}
    drafts = _drafts(types)
    for draft, kind in zip(drafts, types.values(), strict=True):
        if draft.dtype.is_unknown() or sql_type(draft.dtype) != kind:
            name = draft.served or draft.name
            raise PipelineError(
                f"'{name}' is {kind}, which no contract can say",
                where=str(path),
                fix="Ask the source's owner for text.",
            )
    return Sample(drafts)


def _drafts(types: Mapping[str, str]) -> list[Draft]:
    return [
        Draft(name, DuckDBType.from_string(kind), served=None if name == text else text)
        for name, (text, kind) in zip(python_names(types), types.items(), strict=True)
    ]


def _narrowest(
    connection: duckdb.DuckDBPyConnection, asked: Mapping[str, Mapping[str, str | None]]
) -> tuple[int, dict[str, str]]:
    """How many rows `sample` has, and for each column the first type asked for that all its texts are; else VARCHAR."""
    sums = [_fits(quoted(name), kind, shape) for name, kinds in asked.items() for kind, shape in kinds.items()]
    count, *fits = connection.execute(f"SELECT count(*), {', '.join(sums) or 'NULL'} FROM sample").fetchall()[0]
    told = iter(fits)
    found = {}
    for name, kinds in asked.items():
        answers = [(kind, next(told)) for kind in kinds]
        found[name] = next((kind for kind, fit in answers if fit), "VARCHAR")
    return int(count), found


def _fits(text: str, kind: str, shape: str | None) -> str:
    """SQL: whether every text that is not null is a value of the type. A column without any shows no type."""
    fits = f"coalesce(bool_and({_keeps(text, kind, shape)}), false)"
    if kind == "DOUBLE" and shape != _NUMBER:  # numbers that are text may be names; those of JSON are numbers
        fits += f" AND count(DISTINCT {text}) = count(DISTINCT TRY_CAST({text} AS {kind}))"
    return fits


def _keeps(text: str, kind: str, shape: str | None) -> str:
    """SQL: the text is null, or a value of the type, written so that it can be told from the value again."""
    parts = [f"({strict_cast(text, kind)}) IS NOT NULL"]
    if shape is not None:
        parts.append(f"regexp_full_match({text}, {literal(shape)})")
    if kind == "DOUBLE":
        digits = f"ltrim(regexp_replace(regexp_replace({text}, '[eE].*', ''), '[^0-9]', '', 'g'), '0')"
        parts.append(f"(length({digits}) <= {_DIGITS} OR CAST(TRY_CAST({text} AS DOUBLE) AS VARCHAR) = {text})")
    return f"CASE WHEN {text} IS NOT NULL THEN {' AND '.join(parts)} END"
