"""Rows that a case gives in the place of running code: whole upstream tables, and what a table's function returns.

Upstream tables are published as they stand, once they keep their contract. They take a short way: no staging, profile
or books, which nobody would look at. A suite gives more tables than it builds, and this is a tenth of the time.

Rows in a function's place ask: what would the audit make of such a bug? Some rules hold whatever the input is, as long
as the function is right: a mart's totals, a key that was grouped by, a column that upstream never leaves empty. They
are there for the day on which the function is wrong. A case shows that day in `inputs/returned/<table>.csv`: the
function is not called, and everything after it runs as always.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.contract.contract import Contract
from assay.errors import GoldenError, did_you_mean
from assay.golden.case import Case
from assay.golden.inputs import Inputs
from assay.golden.rows import CaseRows, load, read_rows
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef
from assay.warehouse import watermarks
from assay.warehouse.session import Session, qualified
from assay.warehouse.verdicts import key_summary
from assay.words import rows_told


def publish_given(session: Session, graph: Graph, inputs: Inputs, names: Sequence[str]) -> None:
    """Publish the given tables that the built ones read, and what the built ones held before.

    Raises:
        GoldenError: a given table cannot be read, or breaks its own contract.
    """
    needed = {upstream for name in names for upstream in graph.upstream_of(name)}
    for name, file in inputs.given.items():
        if name in needed:
            _publish(session, graph.tables[name], file, inputs.case)
    for name, file in inputs.before.items():
        if name in names:
            table = graph.tables[name]
            _publish(session, table, file, inputs.case)
            watermarks.begin(session, table, Contract.of(table.model), inputs.case.run())


def with_returned(graph: Graph, session: Session, files: Mapping[str, Path]) -> Graph:
    """`graph` with the functions of some tables replaced by the rows of their files.

    Raises:
        GoldenError: a file cannot be read, or has a column whose type nobody says.
    """
    if not files:
        return graph
    nodes = {name: _returning(graph.tables[name], session, file) for name, file in files.items()}
    return dataclasses.replace(graph, nodes={**graph.nodes, **nodes})


def _publish(session: Session, table: TableDef, file: Path | None, case: Case) -> None:
    contract = Contract.of(table.model)
    session.make_schema(table.stage)
    target = qualified(session.catalog, table.stage, table.name)
    count = _load(session, table, contract, file, case, target)
    problem = _broken_rules(session, contract, target) or _broken_keys(session, contract, target, count)
    if problem:
        where = case.error("").where if file is None else f"{case.name}: {file.name}"
        raise GoldenError(f"the given table breaks its contract: {problem}", where=where)


def _load(session: Session, table: TableDef, contract: Contract, file: Path | None, case: Case, target: str) -> int:
    """The rows of a given table as the table `target`; returns how many there are."""
    types = contract.duckdb_columns
    rows = read_rows(file) if file else CaseRows(case.folder / "case.yml", (), (), ())
    if not rows.columns:
        rows = CaseRows(rows.path, tuple(types), (), ())
    for name in rows.columns:
        if name not in types:
            hint = did_you_mean(name, types, f"Columns: {', '.join(types)}.", written="'{}'")
            raise rows.error(f"'{table.name}' has no column '{name}'", fix=hint)
    for column in contract.columns:
        if column.name not in rows.columns and not column.nullable:
            raise rows.error(f"column '{column.name}' is missing and cannot be null", fix="Add it to every row.")
    load(session.connection, rows, types, table.name, target=target)
    return len(rows.rows)


def _broken_rules(session: Session, contract: Contract, rows: str) -> str | None:
    if not contract.row_rules or not session.number(f"SELECT count(*) FROM {rows} WHERE {contract.broken_rows_sql}"):
        return None
    broken = contract.broken(session.connection, f"({contract.labelled_sql(f'FROM {rows}')})")
    codes = ", ".join(f"{code} {count:,}" for code, count in broken.counts.items())
    return f"rows_valid: {broken.rejected:,} of {rows_told(broken.rows)} rejected: {codes}"


def _broken_keys(session: Session, contract: Contract, rows: str, count: int) -> str | None:
    for key in contract.keys:
        problems = contract.key_problems(session.connection, rows, key=key, rows=count)
        if not problems.sound:
            return f"unique_key: {key_summary(key, problems.nulls, problems.excess)}"
    return None


def _returning(table: TableDef, session: Session, file: Path) -> TableDef:
    rows = read_rows(file)
    columns = _returned_columns(table, rows)
    named = dataclasses.replace(rows, columns=tuple(columns))
    returned = session.backend.sql(
        f"SELECT * FROM {load(session.connection, named, columns, f'__returned_{table.name}')}"
    )

    def function(**_: Any) -> Any:
        return returned

    # The source is not read either, and nothing is known of where the columns come from.
    return dataclasses.replace(table, function=function, source=None, source_parameter=None, engine="python")


def _returned_columns(table: TableDef, rows: CaseRows) -> dict[str, str]:
    """Names and types: the contract's, or those of a header `name:TYPE`."""
    known = Contract.of(table.model).duckdb_columns
    columns = {}
    for header in rows.columns:
        name, _, type_ = header.partition(":")
        if not type_ and name not in known:
            raise rows.error(f"'{table.name}' has no column '{name}'", fix=f"Say its type: {name}:VARCHAR.")
        columns[name] = type_ or known[name]
    return columns
