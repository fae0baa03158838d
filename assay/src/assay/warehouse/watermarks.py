"""How far an incremental table was read: written down with the rows that brought it there.

Every watermark stands in the book `ops.watermarks`, moved in the transaction that publishes: a build that fails or is
killed leaves it where it was, and the next takes the same rows again.
"""

from __future__ import annotations

import datetime as dtm
from functools import partial
from typing import TYPE_CHECKING

from assay.sql import literal, quoted
from assay.tables.loads import CLOCKS, NUMBERS, History, Incremental
from assay.warehouse import ops
from assay.warehouse.builds import Build, Since

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.nodes import TableDef
    from assay.tables.run import Run
    from assay.warehouse.session import Session


def since(session: Session, table: TableDef, contract: Contract, code_version: str, run: Run) -> Since | None:
    """From where `table` goes on; None where it takes all rows: new, changed code, or a full run.

    A history always goes on: its source does not have what it was.
    """
    if table.load is None or not session.exists(table):
        return None
    found = session.from_books(partial(ops.watermark, session.connection, table=table.name), "ops.watermarks")
    if isinstance(table.load, History):
        return Since(found[0] if found else "", "", None)
    if run.full or found is None or (session.keeps_books and found[1] != code_version):
        return None
    watermark, kind = found[0], contract.duckdb_columns[table.load.cursor]
    start, back = f"CAST({literal(watermark)} AS {kind})", table.load.lookback
    if isinstance(back, dtm.timedelta):
        start = f"CAST({start} - to_microseconds({back // dtm.timedelta(microseconds=1)}) AS {kind})"
    elif back:
        lowest = f"CAST({start} AS HUGEINT) - {back}"
        start = f"CAST(greatest({lowest}, {NUMBERS[kind]}) AS {kind})"
    value = session.connection.execute(f"SELECT {start}").fetchall()[0][0]
    return Since(watermark, start, value)


def highest(session: Session, contract: Contract, cursor: str, relation: str, run: Run) -> tuple[str | None, int]:
    """The largest cursor of `relation` as text, and how many rows are ahead of the run's clock.

    A source's clock may be ahead of ours. A watermark in the future would pass over every row until then, so those rows
    do not move it: they are read again until their time has come.
    """
    column, kind = quoted(cursor), contract.duckdb_columns[cursor]
    zoned = kind == "TIMESTAMP WITH TIME ZONE"
    moment = literal((run.now if zoned else run.now.astimezone(dtm.UTC).replace(tzinfo=None)).isoformat())
    now = f"CAST({moment}::TIMESTAMP{'TZ' if zoned else ''} AS {kind})" if kind in CLOCKS else None
    ahead = f"count(*) FILTER ({column} > {now})" if now else "0"
    top = f"max({column}) FILTER ({column} <= {now})" if now else f"max({column})"
    found, later = session.connection.execute(f"SELECT CAST({top} AS VARCHAR), {ahead} FROM {relation}").fetchall()[0]
    return found, int(later)


def commit(session: Session, build: Build, arrived: str | None) -> None:
    """Write the watermark down, in the transaction that publishes; it goes back only with a build of all rows.

    Args:
        arrived: of the rows that arrived; None where no row counts.
    """
    if not build.cursor:
        _write(session, build.table.name, literal(arrived) if arrived else None, build.code_version, build.run)
        return
    kind = build.contract.duckdb_columns[build.cursor]
    before = build.since.watermark if build.since is not None else None
    known = [f"CAST({literal(each)} AS {kind})" for each in (arrived, before) if each is not None]
    _write(session, build.table.name, f"greatest({', '.join(known)})" if known else None, build.code_version, build.run)


def begin(session: Session, table: TableDef, contract: Contract, run: Run) -> None:
    """Write down the watermark of rows that were put there by hand, as a golden case does."""
    if not isinstance(table.load, Incremental):
        return
    found, _ = highest(session, contract, table.load.cursor, session.relation(table), run)
    _write(session, table.name, literal(found) if found is not None else None, "", run)


def _write(session: Session, name: str, watermark: str | None, code_version: str, run: Run) -> None:
    book = f"{quoted(session.catalog)}.ops.watermarks"
    session.connection.execute(f"DELETE FROM {book} WHERE table_name = ?", [name])
    if watermark is not None:
        session.connection.execute(
            f"INSERT INTO {book} SELECT ?, CAST({watermark} AS VARCHAR), ?, NULL, ?", [name, code_version, run.id]
        )
