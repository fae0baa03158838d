"""Rows a case gives in the place of what a table's function returns: what would the audit make of such a bug?

Some rules hold whatever the input is, as long as the function is right: a mart's totals, a key that was grouped by,
a column that upstream never leaves empty. They are there for the day on which the function is wrong. A case shows
that day in `inputs/returned/<table>.csv`: the function is not called, and everything after it runs as always.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.golden.rows import TextRows, load, read_rows

if TYPE_CHECKING:
    from assay.tables.declare import TableDef
    from assay.tables.graph import Graph
    from assay.warehouse.session import Session


def with_returned(graph: Graph, session: Session, files: Mapping[str, Path]) -> Graph:
    """`graph` with the functions of some tables replaced by the rows of their files.

    Raises:
        GoldenError: a file cannot be read, or has a column whose type nobody says.
    """
    if not files:
        return graph
    nodes = {name: _returning(graph.tables[name], session, file) for name, file in files.items()}
    return dataclasses.replace(graph, nodes={**graph.nodes, **nodes})


def _returning(table: TableDef, session: Session, file: Path) -> TableDef:
    rows = read_rows(file)
    columns = _columns(table, rows)
    loaded = load(session.connection, _renamed(rows, columns), columns, f"__returned_{table.name}")
    found = session.backend.sql(f"SELECT * FROM {loaded}")

    def function(**_: Any) -> Any:
        return found

    # The source is not read either, and nothing is known of where the columns come from.
    return dataclasses.replace(table, function=function, source=None, source_parameter=None, engine="python")


def _columns(table: TableDef, rows: TextRows) -> dict[str, str]:
    """Names and types: the contract's, or those of a header `name:TYPE`."""
    from assay.contract import Contract

    known = Contract.of(table.model).duckdb_columns
    columns = {}
    for header in rows.columns:
        name, _, type_ = header.partition(":")
        if not type_ and name not in known:
            raise rows.error(f"'{table.name}' has no column '{name}'", fix=f"Say its type: {name}:VARCHAR.")
        columns[name] = type_ or known[name]
    return columns


def _renamed(rows: TextRows, columns: Mapping[str, str]) -> TextRows:
    return dataclasses.replace(rows, columns=tuple(columns))
