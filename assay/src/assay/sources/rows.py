"""Rows that arrive as text: kept as they came, cast strictly, and split into rows and malformed rows.

Connectors that parse by themselves (pages, APIs, events, difficult CSV files) hand their rows over here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from assay import notices
from assay.sources.base import Landed, Landing
from assay.sources.casts import normal_types, strict_cast
from assay.sources.columns import Beyond, Extra
from assay.sources.objects import is_nested
from assay.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

_BATCH = 50_000
REJECTED = ("reason_code", "source_file", "source_line", "payload")
_numbers = itertools.count(1)
_names: ContextVar[list[str] | None] = ContextVar("names", default=None)


def temporary_name(part: str) -> str:
    """A name no other landing of this process uses."""
    name = f"landing_{next(_numbers)}_{part}"
    if (names := _names.get()) is not None:
        names.append(name)
    return name


@contextmanager
def temporary_names() -> Iterator[list[str]]:
    """The names that are given in the block: to ask DuckDB what there is takes as long as it has tables."""
    names: list[str] = []
    token = _names.set(names)
    try:
        yield names
    finally:
        _names.reset(token)


class TextRows:
    """Collects rows of text for one landing.

    Attributes:
        beyond: the columns that the source has and nobody expects; None where such a one is an error.

    Args:
        kind: how the reason codes begin: `html` makes `html.cast` of rows whose text is not of the column's type.
    """

    def __init__(self, landing: Landing, kind: str, extra: Extra = "stop") -> None:
        self.landing = landing
        self.kind = kind
        self.raw = temporary_name("text")
        self.rejects = temporary_name("rejects")
        self.beyond = None if extra == "stop" else Beyond(extra, landing.columns, landing.table)
        self._included: list[tuple[str, str]] = []
        self._ends: dict[str, tuple[int, bool]] = {}
        self._rows: list[tuple[str | None, ...]] = []
        self._places: list[tuple[str, int]] = []
        self._rejected: list[tuple[str, str, int, str]] = []
        self._refused = False
        self._read = 0
        self._width = len(landing.columns)
        texts = ", ".join(f"c{index} VARCHAR" for index in range(self._width))
        connection = landing.connection
        connection.execute(f"CREATE TEMP TABLE {self.raw} (source_file VARCHAR, source_line BIGINT, {texts})")
        kinds = ", ".join(f"{name} {'BIGINT' if name == 'source_line' else 'VARCHAR'}" for name in REJECTED)
        connection.execute(f"CREATE TEMP TABLE {self.rejects} ({kinds})")

    @property
    def added(self) -> list[str]:
        """Names of the columns that are taken beside the landing's."""
        return self.beyond.added if self.beyond is not None else []

    def add(self, values: Sequence[str | None], file: str, line: int) -> None:
        """A row: one text (or None for null) per column of the landing, in its order, and of those added so far."""
        self._rows.append(tuple(values))
        self._places.append((file, line))
        if len(self._rows) >= _BATCH:
            self._flush()

    def add_columns(self, columns: Sequence[Sequence[str | None]], file: str, line: int) -> None:
        """Many rows at once, column by column; the first is at `line`."""
        self._flush()
        count = len(columns[0]) if columns else 0
        self._insert(self.raw, [[file] * count, range(line, line + count), *columns])

    def reject(self, reason: str, file: str, line: int, payload: Mapping[str, object]) -> None:
        """A row that cannot be read as the columns at all."""
        self._rejected.append((reason, file, line, json.dumps(payload, ensure_ascii=False, default=str)))
        if len(self._rejected) >= _BATCH:
            self._flush()

    def include(self, texts: Sequence[str], file: str, line: str, table: str) -> None:
        """Rows that are in the database already, as SQL over `table`, which is dropped afterwards: what `add` takes."""
        named = ", ".join(f"{text} AS c{index}" for index, text in enumerate(texts))
        places = f"{literal(file)} AS source_file, ({line})::BIGINT AS source_line"
        self._included.append((f"SELECT {places}, {named} FROM {table}", table))

    def note_end(self, file: str, line: int, *, ended: bool) -> None:
        """The line at which the file's last row begins, and whether the file ends with a line end."""
        self._ends[file] = (line, ended)

    def landed(
        self,
        fingerprint: str,
        *,
        offsets: Mapping[int, int] | None = None,
        bytes: int | None = None,
        last_line_ended: bool | None = None,
    ) -> Landed:
        """Cast everything that was added, once, and split it; `last_line_ended` as for `Csv`."""
        self._flush()
        if self.beyond is not None:
            self.beyond.tell()
        if last_line_ended is None:
            last_line_ended = any(ended for _, ended in self._ends.values())
        cut = [(file, line) for file, (line, ended) in self._ends.items() if last_line_ended and not ended]
        connection = self.landing.connection
        selects = [f"SELECT * FROM {self.raw}", *(select for select, _ in self._included)]
        columns = {**self.landing.columns, **dict.fromkeys(self.added, "VARCHAR")}
        typed = cast_rows(connection, columns, " UNION ALL BY NAME ".join(selects), self.kind, cut)
        for table in (self.raw, *(table for _, table in self._included)):
            connection.execute(f"DROP TABLE {table}")
        found = connection.execute(
            f"INSERT INTO {self.rejects} "
            f"SELECT __reason, __source_file, __source_line, __payload FROM {typed} WHERE __reason IS NOT NULL"
        ).fetchall()
        names = ", ".join(quoted(name) for name in columns)
        listed = f"SELECT reason_code, source_file, source_line, payload FROM {self.rejects}"
        return Landed(
            sql=f"SELECT {names}, __source_file AS _source_file, __source_line AS _source_line "
            f"FROM {typed} WHERE __reason IS NULL",
            fingerprint=fingerprint,
            malformed=listed if found[0][0] or self._refused else None,
            offsets=offsets,
            bytes=bytes,
            added=tuple(self.added),
        )

    def _flush(self) -> None:
        while self._width < len(self.landing.columns) + len(self.added):
            self.landing.connection.execute(f"ALTER TABLE {self.raw} ADD COLUMN c{self._width} VARCHAR")
            self._width += 1
        if self._rows:
            full = (row if len(row) == self._width else row + (None,) * (self._width - len(row)) for row in self._rows)
            self._insert(self.raw, [*zip(*self._places, strict=True), *zip(*full, strict=True)])
            self._rows, self._places = [], []
        if self._rejected:
            reasons, files, lines, payloads = zip(*self._rejected, strict=True)
            self._insert(self.rejects, (reasons, files, lines, payloads))
            self._refused = True
            self._rejected = []

    def _insert(self, table: str, columns: Sequence[Sequence[Any]]) -> None:
        """Many rows at once, column by column, all of text but `source_line`; further columns are null."""
        import pyarrow as pa

        self._read += len(columns[0]) if columns else 0
        notices.phase(f"reading the source, {self._read:,} rows")
        texts = [f"c{index}" for index in range(self._width)]
        names = ["source_file", "source_line", *texts] if table == self.raw else REJECTED
        kinds = {name: pa.int64() if name == "source_line" else pa.string() for name in names}
        arrays = {name: pa.array(column, kinds[name]) for name, column in zip(kinds, columns, strict=False)}
        view = temporary_name("batch")
        self.landing.connection.register(view, pa.table(arrays))
        try:
            self.landing.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM {view}")
        finally:
            self.landing.connection.unregister(view)


def text_of(name: str, found: str | None, *, document: bool = False) -> str:
    """SQL: a column of type `found` as text, null where there is none; JSON of what is nested, or a `document`."""
    if found is None:
        return "NULL::VARCHAR"
    nested = document or is_nested(found)
    return (
        f"CASE WHEN {quoted(name)} IS NOT NULL THEN to_json({quoted(name)}) END::VARCHAR"
        if nested
        else f"{quoted(name)}::VARCHAR"
    )


def cast_rows(
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, str],
    texts: str,
    kind: str,
    cut: Sequence[tuple[str, int]] = (),
) -> str:
    """Cast text rows into a new temporary table, keeping for each row that fails why and what it held.

    Args:
        texts: a SELECT of columns c0, c1, ..., `source_file`, `source_line`, all columns VARCHAR but the line.
        kind: how the reason codes of rows that fail begin.
        cut: file and line of rows that fail because their line was cut off.

    Returns:
        The table's name: the columns, then `__source_file`, `__source_line`, and `__reason`, `__payload`,
        which are null for sound rows.
    """
    types = normal_types(connection, columns)
    casts = [strict_cast(f"c{index}", type_) for index, type_ in enumerate(types.values())]
    inner = ", ".join(f"{cast} AS v{index}" for index, cast in enumerate(casts))
    failed = [
        f"CASE WHEN c{index} IS NOT NULL AND v{index} IS NULL THEN {literal(f'{name} is no {type_}')} END"
        for index, (name, type_) in enumerate(types.items())
    ]
    places = " OR ".join(f"(source_file = {literal(file)} AND source_line = {line})" for file, line in cut) or "false"
    error = (
        f"concat_ws('; ', CASE WHEN {places} THEN 'its line has no end, so it was cut off' END, {', '.join(failed)})"
    )
    reason = f"CASE WHEN {places} THEN {literal(f'{kind}.unfinished')} ELSE {literal(f'{kind}.cast')} END"
    pairs = ", ".join(f"{literal(name)}, c{index}" for index, name in enumerate(types))
    values = ", ".join(f"v{index} AS {quoted(name)}" for index, name in enumerate(types))
    own = "__error" if any(name.lower() == "_error" for name in types) else "_error"
    table = temporary_name("rows")
    connection.execute(
        f"CREATE TEMP TABLE {table} AS "
        f"SELECT {values}, source_file AS __source_file, source_line AS __source_line, "
        f"CASE WHEN error <> '' THEN {reason} END AS __reason, "
        f"CASE WHEN error <> '' THEN json_object({pairs}, {literal(own)}, error)::VARCHAR END AS __payload "
        f"FROM (SELECT *, {error} AS error FROM (SELECT *, {inner} FROM ({texts})))"
    )
    return table
