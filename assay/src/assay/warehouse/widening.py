"""Columns beyond a contract, of a table whose source has `extra="add"`: as text that may be null, until the contract names them.

A build that replaces its table has the new columns that its source has now. Where published rows stay, their table gets a new
column before the rows are judged, empty: of a build that fails it stays, and the source's next rows fill it. One that the source has
no more is null in the rows that come.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import ibis

from assay import notices
from assay.warehouse.session import Session

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.nodes import TableDef
    from assay.warehouse.builds import Build


def beyond(session: Session, table: TableDef, contract: Contract) -> list[str]:
    """The published columns that the contract does not name and the table took as text."""
    if not table.takes_more or not session.exists(table):
        return []
    found = session.columns(table)
    return [name for name, kind in found.items() if name not in contract.duckdb_columns and kind == "VARCHAR"]


def widened(session: Session, build: Build) -> Build:
    """The build with the columns that it takes beyond its contract."""
    table, rows, found = build.table, build.expression, build.expression.schema()
    before, landed = beyond(session, table, build.contract), build.landed.added if build.landed is not None else ()
    new = [name for name in landed if name in found and found[name].is_string()]
    if lost := [name for name in landed if name not in new]:
        notices.notice(f"{table.name}: its function has no text of the name, so these are not taken: {', '.join(lost)}")
    if build.keeps_existing(session):
        if more := [name for name in new if name not in before]:
            session.widen(table, more)
        new = [*before, *(name for name in new if name not in before)]
    elif gone := [name for name in before if name not in new]:
        notices.notice(f"{table.name}: the source has no more: {', '.join(gone)}, which its contract never named")
    if not new:
        return build
    rows = rows.mutate(**{name: ibis.null("string") for name in new if name not in found})
    rows = rows.select(*(name for name in rows.columns if name not in new), *new)
    return dataclasses.replace(build, contract=build.contract.taking(new), expression=rows)
