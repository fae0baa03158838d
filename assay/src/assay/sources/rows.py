"""Rows that arrive as text: kept as they came, cast strictly, and split into rows and malformed rows.

Connectors that parse by themselves (pages, APIs, events, difficult CSV files) hand their rows over here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from assay import notices
from assay.sources.base import Landed, Landing
from assay.sources.casts import normal_types, strict_cast
from assay.sources.columns import tell_left_out
from assay.sql import literal, quoted

_BATCH = 50_000
_names = itertools.count(1)


def temporary_name(part: str) -> str:
    """A name no other landing of this process uses."""
    return f"landing_{next(_names)}_{part}"


class TextRows:
    """Collects rows of text for one landing.

    Attributes:
        left_out: names of columns that the source has and nobody expects.

    Args:
        kind: how the reason codes begin: `html` makes `html.cast` of rows whose text is not of the column's type.
    """

    def __init__(self, landing: Landing, kind: str) -> None:
        self.landing = landing
        self.kind = kind
        self.raw = temporary_name("text")
        self.rejects = temporary_name("rejects")
        self._included: list[tuple[str, str]] = []
        self._ends: dict[str, tuple[int, bool]] = {}
        self._rows: list[tuple[str | None, ...]] = []
        self._places: list[tuple[str, int]] = []
        self._rejected: list[tuple[str, str, int, str]] = []
        self._read = 0
        self.left_out: set[str] = set()
        texts = ", ".join(f"c{index} VARCHAR" for index in range(len(landing.columns)))
        connection = landing.connection
        connection.execute(f"CREATE TEMP TABLE {self.raw} ({texts}, source_file VARCHAR, source_line BIGINT)")
        connection.execute(
            f"CREATE TEMP TABLE {self.rejects} "
            "(reason_code VARCHAR, source_file VARCHAR, source_line BIGINT, payload VARCHAR)"
        )

    def add(self, values: Sequence[str | None], file: str, line: int) -> None:
        """A row: one text (or None for null) per column of the landing, in its order."""
        self._rows.append(tuple(values))
        self._places.append((file, line))
        if len(self._rows) >= _BATCH:
            self._flush()

    def add_columns(self, columns: Sequence[Sequence[str | None]], file: str, line: int) -> None:
        """Many rows at once, column by column; the first is at `line`."""
        self._flush()
        count = len(columns[0]) if columns else 0
        self._insert(self.raw, [*columns, [file] * count, range(line, line + count)])

    def reject(self, reason: str, file: str, line: int, payload: Mapping[str, object]) -> None:
        """A row that cannot be read as the columns at all."""
        self._rejected.append((reason, file, line, json.dumps(payload, ensure_ascii=False, default=str)))
        if len(self._rejected) >= _BATCH:
            self._flush()

    def include(self, select: str, table: str) -> None:
        """Rows that are in the database already: `select` yields what `add` takes, from `table`, dropped afterwards."""
        self._included.append((select, table))

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
        tell_left_out(self.left_out, self.landing.table)
        if last_line_ended is None:
            last_line_ended = any(ended for _, ended in self._ends.values())
        cut = [(file, line) for file, (line, ended) in self._ends.items() if last_line_ended and not ended]
        connection = self.landing.connection
        selects = [f"SELECT * FROM {self.raw}", *(select for select, _ in self._included)]
        typed = cast_rows(self.landing, " UNION ALL ".join(selects), self.kind, cut)
        for table in (self.raw, *(table for _, table in self._included)):
            connection.execute(f"DROP TABLE {table}")
        connection.execute(
            f"INSERT INTO {self.rejects} "
            f"SELECT __reason, __source_file, __source_line, __payload FROM {typed} WHERE __reason IS NOT NULL"
        )
        names = ", ".join(quoted(name) for name in self.landing.columns)
        found = connection.execute(f"SELECT count(*) FROM {self.rejects}").fetchone()
        listed = f"SELECT reason_code, source_file, source_line, payload FROM {self.rejects}"
        return Landed(
            sql=f"SELECT {names}, __source_file AS _source_file, __source_line AS _source_line "
            f"FROM {typed} WHERE __reason IS NULL",
            fingerprint=fingerprint,
            malformed=listed if found and found[0] else None,
            offsets=offsets,
            bytes=bytes,
        )

    def _flush(self) -> None:
        if self._rows:
            files, lines = zip(*self._places, strict=True)
            self._insert(self.raw, [*zip(*self._rows, strict=True), files, lines])
            self._rows, self._places = [], []
        if self._rejected:
            reasons, files, lines, payloads = zip(*self._rejected, strict=True)
            self._insert(self.rejects, (reasons, files, lines, payloads))
            self._rejected = []

    def _insert(self, table: str, columns: Sequence[Sequence[Any]]) -> None:
        """Many rows at once, column by column, all of text but `source_line`."""
        self._read += len(columns[0]) if columns else 0
        notices.phase(f"reading the source, {self._read:,} rows")
        described = self.landing.connection.execute(f"DESCRIBE {table}").fetchall()
        kinds = [pa.int64() if kind == "BIGINT" else pa.string() for _, kind, *_ in described]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        view = temporary_name("batch")
        self.landing.connection.register(view, pa.table(arrays, [name for name, *_ in described]))
        try:
            self.landing.connection.execute(f"INSERT INTO {table} SELECT * FROM {view}")
        finally:
            self.landing.connection.unregister(view)


def cast_rows(landing: Landing, texts: str, kind: str, cut: Sequence[tuple[str, int]] = ()) -> str:
    """Cast text rows into a new temporary table, keeping for each row that fails why and what it held.

    Args:
        texts: a SELECT of columns c0, c1, ..., `source_file`, `source_line`, all columns VARCHAR but the line.
        kind: how the reason codes of rows that fail begin.
        cut: file and line of rows that fail because their line was cut off.

    Returns:
        The table's name: the landing's columns, then `__source_file`, `__source_line`, and `__reason`, `__payload`,
        which are null for sound rows.
    """
    types = normal_types(landing.connection, landing.columns)
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
    landing.connection.execute(
        f"CREATE TEMP TABLE {table} AS "
        f"SELECT {values}, source_file AS __source_file, source_line AS __source_line, "
        f"CASE WHEN error <> '' THEN {reason} END AS __reason, "
        f"CASE WHEN error <> '' THEN json_object({pairs}, {literal(own)}, error)::VARCHAR END AS __payload "
        f"FROM (SELECT *, {error} AS error FROM (SELECT *, {inner} FROM ({texts})))"
    )
    return table
