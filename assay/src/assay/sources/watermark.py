"""The watermark of rows that come by a cursor: how far was read, which rows stand there, and which of the next are new.

It is kept as the place of an `Offset`, and so committed in the transaction that publishes the rows. Whoever yields is
asked for the rows from the watermark on, those equal to it included: a row may have come late at the very same time.
Of these the ones that have landed are known by their digests, each as often as it came.
"""

from __future__ import annotations

import datetime as dtm
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assay.errors import SourceError
from assay.sources.base import Offset
from assay.sources.rows import temporary_name
from assay.sql import literal, quoted
from assay.words import rows_told

if TYPE_CHECKING:
    import duckdb

MOST_EQUAL = 100_000
"""So many rows may share the greatest value of the cursor: their digests are kept in the books."""
_VALUES: Mapping[str, Callable[[str], Any]] = {
    "DATE": dtm.date.fromisoformat,
    "TIMESTAMP": dtm.datetime.fromisoformat,
    "TIMESTAMP WITH TIME ZONE": dtm.datetime.fromisoformat,
    "VARCHAR": str,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT"), int),
    **dict.fromkeys(("UINTEGER", "UBIGINT", "UHUGEINT"), int),
}


@dataclass(frozen=True)
class Watermark:
    """How far a source was read by its cursor.

    Attributes:
        cursor, kind: the column and its DuckDB type.
        text: the greatest value that landed, as DuckDB writes it; None before the first landing.
        rows: how many rows landed so far.
        equal: how many rows of each digest have that value.
        columns: name -> DuckDB type of what the digests are of: where rows stood as the contract had other columns, of those.
    """

    cursor: str
    kind: str
    text: str | None = None
    rows: int = 0
    equal: Counter[str] = field(default_factory=Counter)
    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def committed(cls, cursor: str, types: Mapping[str, str], offsets: Mapping[int, int], where: str) -> Watermark:
        """The watermark that `offsets` hold; raises SourceError for a cursor that is no column, or has no order."""
        kind = types.get(cursor)
        if kind is None or not (kind in _VALUES or kind.startswith("DECIMAL")):
            told = "is no column" if kind is None else f"is {kind}"
            raise SourceError(f"the cursor '{cursor}' {told}", where=where, fix="Name a number, date, time or text.")
        place = getattr(offsets.get(0), "place", "")
        if not place:
            return cls(cursor, kind, columns=types)
        kept = json.loads(place)
        if kept["cursor"] != [cursor, kind]:
            was, now = " ".join(kept["cursor"]), f"{cursor} {kind}"
            raise SourceError(
                f"was read by the cursor {was}, and is now to be read by {now}",
                where=where,
                fix="Keep the cursor, or drop the table to read from the start.",
            )
        columns = kept.get("columns", types)
        if kept["rows"] and (gone := [name for name in columns if name not in types]):
            raise SourceError(
                f"the rows at {kept['since']}, up to which was read, are known by columns that are gone: {', '.join(gone)}",
                where=where,
                fix="Keep them in the source's `columns`, or drop the table to read from the start.",
            )
        return cls(cursor, kind, kept["since"], int(offsets[0]), Counter(kept["rows"]), columns)

    @property
    def since(self) -> Any:
        """The value as Python has it: an int, Decimal, str, date or datetime."""
        return None if self.text is None else _VALUES.get(self.kind, Decimal)(self.text)

    @property
    def offset(self) -> Offset:
        """What is committed."""
        return Offset(self.rows, json.dumps({**self.read, "columns": dict(self.columns)}))

    @property
    def read(self) -> dict[str, Any]:
        """How far was read, which changes with nothing else."""
        return {"cursor": [self.cursor, self.kind], "since": self.text, "rows": dict(sorted(self.equal.items()))}

    @property
    def _sql(self) -> str:
        return f"CAST({literal(str(self.text))} AS {self.kind})"

    def check(self, connection: duckdb.DuckDBPyConnection, rows: str, where: str) -> None:
        """Raise SourceError if some of the SELECT `rows` stand before the watermark."""
        if self.text is None:
            return
        cursor = quoted(self.cursor)
        query = f"SELECT count(*), min({cursor})::VARCHAR FROM ({rows}) WHERE {cursor} < {self._sql}"
        count, least = connection.execute(query).fetchall()[0]
        if count:
            raise SourceError(
                f"the cursor went backwards: {rows_told(count)} with '{self.cursor}' before {self.text}, up to which was "
                f"read (the first {least})",
                where=where,
                fix="Yield the rows from `since` on. Rows that come late need a cursor of their arrival; a source whose clock "
                "was ahead needs load=Incremental(...), whose watermark is never ahead of this one.",
            )

    def fresh(self, connection: duckdb.DuckDBPyConnection, rows: str) -> str:
        """Those of the SELECT `rows`, none of which stands before the watermark, that have not landed before."""
        if self.text is None:
            return rows
        cursor, known = quoted(self.cursor), temporary_name("known")
        connection.execute(f"CREATE TEMP TABLE {known} (__digest VARCHAR, __count BIGINT)")
        if self.equal:
            connection.executemany(f"INSERT INTO {known} VALUES (?, ?)", list(self.equal.items()))
        return (
            f"SELECT * EXCLUDE (__digest, __number, __count) FROM (SELECT *, row_number() OVER (PARTITION BY __digest) "
            f"AS __number FROM (SELECT *, {_digest(self.columns)} AS __digest FROM ({rows}) WHERE {cursor} = {self._sql})) "
            f"LEFT JOIN {known} USING (__digest) WHERE __number > coalesce(__count, 0) "
            f"UNION ALL BY NAME SELECT * FROM ({rows}) WHERE {cursor} > {self._sql}"
        )

    def after(
        self, connection: duckdb.DuckDBPyConnection, rows: str, fresh: str, types: Mapping[str, str], where: str
    ) -> Watermark:
        """The watermark once the SELECT `fresh` of all the `rows` that came has landed."""
        cursor = quoted(self.cursor)
        count, text = connection.execute(f"SELECT count(*), max({cursor})::VARCHAR FROM ({fresh})").fetchall()[0]
        if not count:
            return self
        columns = self.columns if text == self.text else types
        found = connection.execute(
            f"SELECT {_digest(columns)}, count(*) FROM ({rows}) WHERE {cursor} = CAST(? AS {self.kind}) GROUP BY 1",
            [text],
        ).fetchall()
        equal = Counter(dict(found))
        if equal.total() > MOST_EQUAL:
            raise SourceError(
                f"{rows_told(equal.total())} share the greatest '{self.cursor}', {text}; at most {MOST_EQUAL:,} may",
                where=where,
                fix="Choose a finer cursor.",
            )
        if text == self.text:
            equal |= self.equal  # whoever asks for what is greater does not bring them again
        return Watermark(self.cursor, self.kind, text, self.rows + count, equal, columns)


def _digest(columns: Mapping[str, str]) -> str:
    packed = ", ".join(f"{quoted(name)} := TRY_CAST({quoted(name)} AS {kind})" for name, kind in columns.items())
    return f"left(md5(to_json(struct_pack({packed}))::VARCHAR), 20)"
