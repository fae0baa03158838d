"""Yielded rows on their way into the database: dicts become texts, Arrow columns of the very types stay what they are."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import uuid
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from assay.errors import SourceChanged, SourceError
from assay.sources.base import Landed, Landing
from assay.sources.columns import Extra, check_names
from assay.sources.objects import NoRow, RowReader, is_nested
from assay.sources.rows import TextRows, temporary_name, text_of
from assay.sources.strict_json import Number, dumps, encode
from assay.sql import literal, quoted


class Collected:
    """The rows of one landing; see `Rows` for the arguments."""

    def __init__(
        self,
        landing: Landing,
        types: Mapping[str, str],
        name: str,
        where: str,
        optional: Collection[str] = (),
        json_in_strings: Collection[str] = (),
        extra: Extra = "stop",
    ) -> None:
        self.landing, self.types, self.name, self.where = landing, types, name, where
        self.rows = TextRows(landing, "rows", extra)
        self.reader = RowReader(types, optional, json_in_strings, self.rows.beyond)
        self.in_strings = frozenset(json_in_strings)
        self.exact: str | None = None
        self.count = 0

    def add(self, item: Any) -> None:
        """A row, many, or Arrow."""
        if isinstance(item, Mapping):
            self._row(item)
        elif isinstance(item, list | tuple):
            for row in item:
                self._row(row)
        elif hasattr(item, "__arrow_c_stream__") or hasattr(item, "__arrow_c_array__"):
            self._arrow(item)
        else:
            raise SourceError(
                f"the function yielded {type(item).__name__}",
                where=self.where,
                fix="Yield dicts, Arrow or data frames.",
            )

    def landed(self) -> Landed:
        """All of it; the fingerprint is the caller's."""
        landed = self.rows.landed("")
        return (
            dataclasses.replace(landed, sql=f"{landed.sql} UNION ALL BY NAME FROM {self.exact}")
            if self.exact
            else landed
        )

    def _row(self, item: Any) -> None:
        self.count += 1
        plain = None
        try:
            plain = {str(name): _plain(value) for name, value in item.items()} if isinstance(item, Mapping) else item
            if self.count == 1 and isinstance(plain, dict):
                self._check([*plain, *(name for name in self.reader.optional if name not in plain)])
            self.rows.add(self.reader.read(plain), self.name, self.count)
        except NoRow as error:
            shown = dumps(plain) if isinstance(plain, dict) else encode(item)
            payload = {"_item": shown, "_error": str(error)}
            self.rows.reject(f"rows.{error.kind}", self.name, self.count, payload)

    def _check(self, names: list[str]) -> None:
        check_names(names, list(self.types), where=self.where, beyond=self.rows.beyond)

    def _arrow(self, item: Any) -> None:
        import pyarrow as pa

        table = pa.table(item) if not isinstance(item, pa.RecordBatch) else pa.Table.from_batches([item])
        if not table.num_columns and not table.num_rows:
            return  # a data frame of no rows, as an empty list is none
        self._check([*table.column_names, *(name for name in self.reader.optional if name not in table.column_names)])
        connection, view = self.landing.connection, temporary_name("arrow")
        connection.register(view, table)
        try:
            found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {view}").fetchall()}
            found |= {name: "VARCHAR" for name, kind in found.items() if kind.startswith("ENUM")}
            file, line = literal(self.name), f"(row_number() OVER () + {self.count})::BIGINT"
            added = [text_of(name, found.get(name)) for name in self.rows.added]
            if all(found.get(name) == kind for name, kind in self.types.items()):
                listed = ", ".join(f"{quoted(name)}::{kind} AS {quoted(name)}" for name, kind in self.types.items())
                listed = ", ".join(
                    [listed, *(f"{text} AS {quoted(name)}" for name, text in zip(self.rows.added, added, strict=True))]
                )
                query = f"SELECT {listed}, {file} AS _source_file, {line} AS _source_line FROM {view}"
                self.exact, make = self.exact or temporary_name("exact"), self.exact is None
                for name in () if make else self.rows.added:
                    connection.execute(f"ALTER TABLE {self.exact} ADD COLUMN IF NOT EXISTS {quoted(name)} VARCHAR")
                connection.execute(
                    f"CREATE TEMP TABLE {self.exact} AS {query}"
                    if make
                    else f"INSERT INTO {self.exact} BY NAME {query}"
                )
            else:
                texts = [*(self._text(name, kind, found.get(name)) for name, kind in self.types.items()), *added]
                named, table_name = [f"t{index}" for index in range(len(texts))], temporary_name("texts")
                listed = ", ".join(f"{text} AS {name}" for name, text in zip(named, texts, strict=True))
                connection.execute(f"CREATE TEMP TABLE {table_name} AS SELECT {listed}, {line} AS line FROM {view}")
                self.rows.include(named, self.name, "line", table_name)
        finally:
            connection.unregister(view)
        self.count += table.num_rows

    def _text(self, name: str, kind: str, found: str | None) -> str:
        """An Arrow column as the texts that are cast; raises SourceChanged where text would be made of what is none."""
        if found is None:
            return "NULL::VARCHAR"
        if kind == "VARCHAR" and found not in {"VARCHAR", '"NULL"'}:
            raise SourceChanged(
                f"column '{name}' is {found}, expected VARCHAR",
                where=self.where,
                fix="Turn it into text in the function.",
            )
        return text_of(name, found, document=is_nested(kind) and name not in self.in_strings)


def _plain(value: Any) -> Any:
    """A Python value as JSON has it, numbers and times as they are written; raises NoRow for what has no such form."""
    kind = type(value)
    if value is None or kind in (str, bool, Number):
        return value
    if isinstance(value, bool | int):
        return Number(int(value))
    if isinstance(value, float):
        return Number(repr(float(value)))
    if isinstance(value, Decimal):
        return Number(format(value, "f"))
    if isinstance(value, dtm.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, dtm.date | dtm.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration's member its value, not its name
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if callable(item := getattr(value, "item", None)):  # a scalar of NumPy
        return _plain(item())
    raise NoRow("cast", f"a {kind.__name__} is no value of a row")
