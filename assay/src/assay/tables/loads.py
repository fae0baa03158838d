"""How a table is brought up to date: whole each time, or only by what is new since the watermark."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import WiringError

if TYPE_CHECKING:
    from assay.contract import Contract
    from assay.tables.nodes import TableDef

CLOCKS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
"""Types of cursors that tell a time."""
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
"""Types of cursors that count."""


@dataclass(frozen=True)
class Incremental:
    """Each build takes the rows whose `cursor` is at or above the watermark, and adds or merges them.

    The watermark is the largest cursor that was published, written down in the transaction that published it. Rows
    equal to it are read again: what is there already counts as unchanged. The first build, one after the table's
    code changed, and one with `--full` take all rows.

    Args:
        cursor: a column of the contract, never null, that grows with every change of a row: a time or a number.
        merge: whether a row replaces the published one of the same key; else rows are added and none is ever changed.
        lookback: how far below the watermark to read again, for rows that come late: a `timedelta` where the cursor
            is a time, else a number.
        deleted: a BOOLEAN column of the function's rows that is true for a key that is gone; it may be left out of
            the contract.
        keys: an input whose rows have all keys there are; published rows of other keys are deleted.
    """

    cursor: str
    merge: bool = True
    lookback: dtm.timedelta | int | None = None
    deleted: str | None = None
    keys: str | None = None

    def __post_init__(self) -> None:
        if not self.merge and (self.deleted or self.keys):
            raise WiringError(f"{self} deletes rows, but only adds them", fix="Take merge=True, or neither of them.")
        back = self.lookback
        span = back.total_seconds() if isinstance(back, dtm.timedelta) else back
        if isinstance(back, bool) or (span is not None and span < 0):
            raise WiringError(f"lookback={back!r} does not look back", fix="Give a positive timedelta or number.")

    def problems(self, table: TableDef, contract: Contract) -> Iterator[tuple[str, str]]:
        """What of it does not fit the table: what, and what to write."""
        column = {each.name: each for each in contract.columns}.get(self.cursor)
        if table.partitions is not None:
            yield "partitions= and load= do not go together", "Keep one: a partition's build replaces its own rows."
        if table.appends:
            yield "an event log's table is incremental by its offsets", "Take load= off."
        if column is None:
            yield (
                f"its cursor '{self.cursor}' is no column of {contract.name}",
                "Name a time or number of the contract.",
            )
        elif column.nullable or column.sql_type not in (*CLOCKS, *NUMBERS):
            kind = f"nullable {column.sql_type}" if column.nullable else column.sql_type
            yield f"its cursor '{self.cursor}' is {kind}", "Take a time or whole number that is never null."
        elif self.lookback is not None and isinstance(self.lookback, dtm.timedelta) != (column.sql_type in CLOCKS):
            kind = "a timedelta" if column.sql_type in CLOCKS else "a whole number"
            yield f"lookback= of the {column.sql_type} '{self.cursor}' is {self.lookback!r}", f"Give {kind}."
        if self.merge and not contract.key:
            yield f"merging needs a key, and {contract.name} has none", "Declare unique = [...] in its Config."
        if any(contract.column(name).nullable for name in (contract.key if self.merge else ())):
            yield f"the key ({', '.join(contract.key)}) may be null, and null equals nothing", "Make it not nullable."
        if self.keys is not None:
            yield from self._keys_problems(table, contract, self.keys)

    def _keys_problems(self, table: TableDef, contract: Contract, keys: str) -> Iterator[tuple[str, str]]:
        from assay.contract import Contract as Read

        if keys not in table.inputs:
            known = ", ".join(table.inputs) or "none"
            yield f"keys='{keys}' is none of its inputs ({known})", "Name the parameter whose rows have all keys."
            return
        types = Read.of(table.inputs[keys]).duckdb_columns
        for name in contract.key:
            if types.get(name) != contract.duckdb_columns[name]:
                yield f"'{keys}' has no {contract.duckdb_columns[name]} '{name}'", "Give it the key's columns."
