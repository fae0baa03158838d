"""Upstream tables that a case gives directly: published as they stand, once they keep their contract.

They take a short way: no staging, profile or books, which nobody would look at. A suite gives more tables than it
builds, and this is a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import GoldenError
from assay.golden.case import Case
from assay.golden.inputs import Inputs, given_rows
from assay.sql import quoted as quote
from assay.warehouse.verdicts import key_summary
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.contract import Contract
    from assay.tables.declare import TableDef
    from assay.tables.graph import Graph
    from assay.warehouse.session import Session


def publish_given(session: Session, graph: Graph, inputs: Inputs, names: Sequence[str]) -> None:
    """Publish the given tables that the built ones read.

    Raises:
        GoldenError: a given table cannot be read, or breaks its own contract.
    """
    needed = {upstream for name in names for upstream in graph.upstream_of(name)}
    for name, file in inputs.given.items():
        if name in needed:
            _publish(session, graph.tables[name], file, inputs.case)


def _publish(session: Session, table: TableDef, file: Path | None, case: Case) -> None:
    from assay.contract import Contract
    from assay.warehouse.session import qualified

    contract = Contract.of(table.model)
    rows = given_rows(session, table, file, case)
    problem = _broken_rules(session, contract, rows) or _broken_keys(session, contract, rows)
    if problem:
        where = case.error("").where if file is None else f"{case.name}: {file.name}"
        raise GoldenError(f"the given table breaks its contract: {problem}", where=where)
    session.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(session.catalog)}.{quote(table.stage)}")
    target = qualified(session.catalog, table.stage, table.name)
    session.connection.execute(f"CREATE TABLE {target} AS SELECT * FROM {rows}")
    session.connection.execute(f"DROP TABLE {rows}")


def _broken_rules(session: Session, contract: Contract, rows: str) -> str | None:
    if not contract.row_rules:
        return None
    found = contract.broken(session.connection, f"({contract.labelled_sql(f'FROM {rows}')})")
    if not found.rejected:
        return None
    codes = ", ".join(f"{code} {count:,}" for code, count in found.counts.items())
    return f"rows_valid: {found.rejected:,} of {rows_told(found.rows)} rejected: {codes}"


def _broken_keys(session: Session, contract: Contract, rows: str) -> str | None:
    count = int(session.connection.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0])
    for key in contract.keys:
        found = contract.key_problems(session.connection, rows, key=key, rows=count)
        if not found.sound:
            return f"unique_key: {key_summary(key, found.nulls, found.excess)}"
    return None
