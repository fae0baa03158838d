"""A bench for a project's tables: hand-written upstream rows in, the real build of one table, its rows out."""

from __future__ import annotations

import datetime as dtm
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pyarrow as pa
import pytest

from assay.build import build_node
from assay.contract.contract import Contract
from assay.project import Project
from assay.sources.base import Sources
from assay.tables.results import AuditFailed, CheckResult, Publication
from assay.tables.run import Run
from assay.testing.wiring import fits
from assay.warehouse.connection import Options, connect
from assay.warehouse.duckdb_session import DuckDBSession

Row = dict[str, Any]
NOW = dtm.datetime(2018, 1, 2, 12, tzinfo=dtm.UTC)


class Bench:
    """A warehouse in memory in which tables are given or built.

    `given` writes rows without an audit, filling columns that were left out: null where the contract allows it,
    else a harmless value of the type. Upstream tables that nobody gave are empty.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        fits(project)
        connection = connect(None, Options(), lock_timeout=0)
        self.session = DuckDBSession(connection, output=folder / "out", scratch=folder / "scratch")
        self.sql = connection
        self.graph = project.graph
        self.run = Run(id="test", now=NOW)
        for stage in project.stages:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {stage}")

    def given(self, name: str, *rows: Row, **same: Any) -> None:
        """Publish `rows`, each with the values of `same` where it has none of its own."""
        table = self.graph.tables[name]
        columns = {column.name: column for column in Contract.of(table.model).columns}
        for row in rows:
            assert set(row) <= set(columns), f"{name} has no {sorted(set(row) - set(columns))}"
        types = self.types(name)
        listed = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
        self.sql.execute(f"CREATE OR REPLACE TABLE {table.stage}.{name} ({listed})")
        filled = [
            [
                row[column] if column in row else same[column] if column in same else _harmless(spec)
                for column, spec in columns.items()
            ]
            for row in rows
        ]
        if filled:
            marks = ", ".join("?" for _ in columns)
            self.sql.executemany(f"INSERT INTO {table.stage}.{name} VALUES ({marks})", filled)

    def given_arrow(self, name: str, rows: pa.Table) -> None:
        """Publish many rows at once."""
        self.given(name)
        self.sql.register("__given", rows)
        self.sql.execute(f"INSERT INTO {self.graph.tables[name].stage}.{name} BY NAME FROM __given")
        self.sql.unregister("__given")

    def types(self, name: str) -> dict[str, str]:
        return dict(Contract.of(self.graph.tables[name].model).duckdb_columns)

    def build(self, name: str, sources: Sources | None = None) -> Publication:
        """Build the table or export as a run would."""
        node = self.graph.get(name)
        for upstream in self.graph.upstream_of(node.name):
            if not self.session.exists(self.graph.tables[upstream]):
                self.given(upstream)
        return build_node(node, self.graph, self.session, self.run, sources or Sources({}))

    def fails(self, name: str, sources: Sources | None = None) -> dict[str, CheckResult]:
        """Build a table that must not be published; its failed checks by name."""
        with pytest.raises(AuditFailed) as failed:
            self.build(name, sources)
        return {check.name: check for check in failed.value.checks if not check.passed}

    def rows(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """The published rows, sorted."""
        listed = ", ".join(columns) or "*"
        query = f"SELECT {listed} FROM {self.graph.tables[name].stage}.{name} ORDER BY ALL"
        return self.sql.execute(query).fetchall()

    def rejects(self, name: str) -> list[list[str]]:
        """The reasons of each rejected row, sorted."""
        query = "SELECT reason_codes FROM quarantine.rejects WHERE table_name = ? ORDER BY ALL"
        return [row[0] for row in self.sql.execute(query, [name]).fetchall()]


def warned(publication: Publication) -> dict[str, int]:
    """Checks that warn, with their number of failing rows."""
    return {check.name: check.failing for check in publication.checks if not check.passed}


def day(text: str) -> dtm.date:
    """`2017-03-01` as a date."""
    return dtm.date.fromisoformat(text)


def _harmless(column: Any) -> Any:
    if column.nullable:
        return None
    kind: dt.DataType = column.dtype
    if kind.is_boolean():
        return False
    if kind.is_numeric():
        return 1
    if kind.is_date():
        return dtm.date(2017, 7, 3)
    if kind.is_timestamp():
        return dtm.datetime(2017, 7, 3, 12, tzinfo=dtm.UTC if kind.timezone else None)
    return "x"
