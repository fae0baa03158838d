"""Rows that arrive as text: kept as they came, cast strictly, and split into rows and malformed rows.

Connectors that parse by themselves (pages, APIs, events, difficult CSV files) hand their rows over here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assay.sources.base import Landed, Landing
from assay.sources.casts import literal, normal_types, quoted, strict_cast

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 50_000
_names = itertools.count(1)


def temporary_name(part: str) -> str:
    """A name no other landing of this process uses."""
    return f"landing_{next(_names)}_{part}"


class TextRows:
    """Collects rows of text for one landing.

    Args:
        landing: where the rows go.
        cast_reason: the reason code of rows whose text is not of the column's type, e.g. `html.cast`.
    """

    def __init__(self, landing: Landing, cast_reason: str) -> None:
        self.landing = landing
        self.cast_reason = cast_reason
        self.raw = temporary_name("text")
        self.rejects = temporary_name("rejects")
        self._included: list[tuple[str, str]] = []
        self._rows: list[tuple[str | None, ...]] = []
        self._places: list[tuple[str, int]] = []
        self._rejected: list[tuple[str, str, int, str]] = []
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
        self._insert_texts(columns, [file] * count, range(line, line + count))

    def reject(self, reason: str, file: str, line: int, payload: Mapping[str, object]) -> None:
        """A row that cannot be read as the columns at all."""
        self._rejected.append((reason, file, line, json.dumps(payload, ensure_ascii=False, default=str)))
        if len(self._rejected) >= _BATCH:
            self._flush()

    def include(self, select: str, table: str) -> None:
        """Rows that are in the database already: `select` yields what `add` takes, from `table`, dropped afterwards."""
        self._included.append((select, table))

    def landed(self, fingerprint: str, *, offsets: Mapping[int, int] | None = None, bytes: int | None = None) -> Landed:
        """Cast everything that was added, once, and split it."""
        self._flush()
        connection = self.landing.connection
        selects = [f"SELECT * FROM {self.raw}", *(select for select, _ in self._included)]
        typed = cast_rows(self.landing, " UNION ALL ".join(selects), self.cast_reason)
        for table in (self.raw, *(table for _, table in self._included)):
            connection.execute(f"DROP TABLE {table}")
        connection.execute(
            f"INSERT INTO {self.rejects} "
            f"SELECT _reason, _source_file, _source_line, _payload FROM {typed} WHERE _reason IS NOT NULL"
        )
        return landed_from(self.landing, typed, self.rejects, fingerprint, offsets=offsets, bytes=bytes)

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            files, lines = zip(*self._places, strict=True)
            self._insert_texts(list(zip(*self._rows, strict=True)), files, lines)
            self._rows, self._places = [], []
        if self._rejected:
            reasons, files, lines, payloads = zip(*self._rejected, strict=True)
            self._insert(
                self.rejects,
                pa.table(
                    {
                        "reason_code": pa.array(reasons, pa.string()),
                        "source_file": pa.array(files, pa.string()),
                        "source_line": pa.array(lines, pa.int64()),
                        "payload": pa.array(payloads, pa.string()),
                    }
                ),
            )
            self._rejected = []

    def _insert_texts(
        self, columns: Sequence[Sequence[str | None]], files: Sequence[str], lines: Sequence[int]
    ) -> None:
        import pyarrow as pa

        arrays = [*(pa.array(column, pa.string()) for column in columns), pa.array(files, pa.string())]
        names = [*(f"c{index}" for index in range(len(columns))), "source_file", "source_line"]
        self._insert(self.raw, pa.table([*arrays, pa.array(lines, pa.int64())], names))

    def _insert(self, table: str, rows: pa.Table) -> None:
        connection = self.landing.connection
        view = temporary_name("batch")
        connection.register(view, rows)
        try:
            connection.execute(f"INSERT INTO {table} SELECT * FROM {view}")
        finally:
            connection.unregister(view)


def cast_rows(landing: Landing, texts: str, reason: str) -> str:
    """Cast text rows into a new temporary table, keeping for each row that fails why and what it held.

    Args:
        landing: whose columns the rows are.
        texts: a SELECT of columns c0, c1, ..., `source_file`, `source_line`, all columns VARCHAR but the line.
        reason: the reason code of rows that fail.

    Returns:
        The table's name: the landing's columns, then `_source_file`, `_source_line`, and `_reason`, `_payload`,
        which are null for sound rows.
    """
    types = normal_types(landing.connection, landing.columns)
    casts = [strict_cast(f"c{index}", kind) for index, kind in enumerate(types.values())]
    inner = ", ".join(f"{cast} AS v{index}" for index, cast in enumerate(casts))
    failed = [
        f"CASE WHEN c{index} IS NOT NULL AND v{index} IS NULL THEN {literal(f'{name} is no {kind}')} END"
        for index, (name, kind) in enumerate(types.items())
    ]
    error = f"concat_ws('; ', {', '.join(failed)})"
    pairs = ", ".join(f"{literal(name)}, c{index}" for index, name in enumerate(types))
    values = ", ".join(f"v{index} AS {quoted(name)}" for index, name in enumerate(types))
    table = temporary_name("rows")
    landing.connection.execute(
        f"CREATE TEMP TABLE {table} AS "
        f"SELECT {values}, source_file AS _source_file, source_line AS _source_line, "
        f"CASE WHEN error <> '' THEN {literal(reason)} END AS _reason, "
        f"CASE WHEN error <> '' THEN json_object({pairs}, '_error', error)::VARCHAR END AS _payload "
        f"FROM (SELECT *, {error} AS error FROM (SELECT *, {inner} FROM ({texts})))"
    )
    return table


def landed_from(
    landing: Landing,
    typed: str,
    rejects: str,
    fingerprint: str,
    *,
    offsets: Mapping[int, int] | None = None,
    bytes: int | None = None,
) -> Landed:
    """What `cast_rows` and a table of rejects make together."""
    names = ", ".join(quoted(name) for name in landing.columns)
    found = landing.connection.execute(f"SELECT count(*) FROM {rejects}").fetchone()
    return Landed(
        sql=f"SELECT {names}, _source_file, _source_line FROM {typed} WHERE _reason IS NULL",
        fingerprint=fingerprint,
        malformed=f"SELECT reason_code, source_file, source_line, payload FROM {rejects}"
        if found and found[0]
        else None,
        offsets=offsets,
        bytes=bytes,
    )
