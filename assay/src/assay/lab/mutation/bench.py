"""One case kept open: built once, so that many mutants can be run on its inputs.

Every Ibis table's compiled SQL and its rows are kept. A mutant is first run alone and its rows compared with those
of the unchanged SQL: where they are the same, nothing downstream can differ. Where they differ and the case compares
this very table exactly, the golden must differ too. In all other cases the whole case runs again with the mutant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import ibis

from assay.build import BuildResult
from assay.errors import GoldenError, PipelineError
from assay.golden import store
from assay.golden.case import Case
from assay.golden.judge import Judge
from assay.golden.opened import opened_case
from assay.golden.result import TableResult
from assay.project import Project
from assay.sql import quoted as quote
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef
from assay.warehouse.session import Session

Verdict = Literal["killed", "same", "differs", "stillborn"]


@dataclass
class MutationBench:
    """A built case.

    Attributes:
        sql: the compiled SQL of every Ibis table that was built.
        shadow: the relation with the rows that the SQL gave, before they were audited.
        exact: tables whose rows decide the golden alone.
    """

    project: Project
    case: Case
    session: Session
    sql: dict[str, str]
    shadow: dict[str, str]
    exact: frozenset[str]
    results: tuple[TableResult, ...]

    @property
    def failing(self) -> tuple[str, ...]:
        """The tables whose verdict is not equal, and which it is."""
        return tuple(f"{result.table} {result.status}" for result in self.results if result.status != "equal")

    def covers(self, table: str) -> bool:
        """Whether the case's verdict depends on `table`."""
        return table in self.sql

    def try_mutant(self, table: str, sql: str) -> tuple[Verdict, str]:
        """Run one mutant alone; says why it is killed."""
        connection = self.session.connection
        try:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE __mutant AS {sql}")
        except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException, duckdb.SyntaxException):
            return "stillborn", ""
        except duckdb.Error as error:
            return "killed", f"error: {str(error).splitlines()[0][:100]}"
        shadow = self.shadow[table]
        if _described(connection, shadow) != _described(connection, "temp.__mutant"):
            return "killed", "other column types"
        if not self._differ(self.project.graph.tables[table], shadow):
            return "same", ""
        return ("killed", "rows differ") if table in self.exact else ("differs", "")

    def _differ(self, table: TableDef, shadow: str) -> bool:
        """Whether the mutant's rows differ, in the partitions that the case builds."""
        where = ""
        if table.partitions is not None and self.case.partition is not None:
            own = table.partitions.clip(self.case.partition, self.case.now)
            where = f" WHERE coalesce({table.partitions.within(own)}, true)" if own else ""
        return differ(self.session.connection, f"FROM {shadow}{where}", f"FROM temp.__mutant{where}")


@contextmanager
def bench(project: Project, case: Case, mutated: Mapping[str, str] | None = None) -> Iterator[MutationBench]:
    """Build a case in memory, with other SQL for some tables, and keep it open for the time of the block."""
    graph = project.graph
    with opened_case(graph, case, settings=project.kind) as opened:
        recorder = _Recorder(opened.session, mutated or {})
        built = opened.build(recorder.graph(opened.graph, opened.names))
        judge = Judge(project, opened, built, None)
        yield MutationBench(
            project,
            case,
            opened.session,
            recorder.sql,
            recorder.shadow,
            frozenset(name for name in case.tables if _is_exact(case, built, name)),
            tuple(judge.table(graph.tables[name]) for name in graph.nodes if name in case.subjects),
        )


def rerun(project: Project, case: Case, table: str, sql: str) -> str | None:
    """Run the whole case with a mutant; what kills it, None if nothing does."""
    try:
        with bench(project, case, {table: sql}) as changed:
            return changed.failing[0] if changed.failing else None
    except PipelineError as error:
        return f"error: {error}"
    except Exception as error:  # noqa: BLE001 - a table downstream may raise anything on rows it never saw
        return f"error: {type(error).__name__}: {error}"


def differ(connection: Any, left: str, right: str) -> bool:
    """Whether two queries with the same columns give other rows, duplicates counted."""
    found = connection.execute(
        f"SELECT EXISTS(({left}) EXCEPT ALL ({right})) OR EXISTS(({right}) EXCEPT ALL ({left}))"
    ).fetchone()
    return bool(found[0])


def check_passes(opened: MutationBench) -> None:
    """Raises GoldenError if the case fails with the code as it is: no mutant could be judged by it."""
    if opened.failing:
        name = opened.case.name
        raise GoldenError(
            f"does not pass as it is: {opened.failing[0]}", where=name, fix=f"See `pipeline golden {name}` first."
        )


class _Recorder:
    """Gives tables functions that keep their SQL and rows, or that give a mutant's rows instead."""

    def __init__(self, session: Session, mutated: Mapping[str, str]) -> None:
        self.session = session
        self.mutated = mutated
        self.sql: dict[str, str] = {}
        self.shadow: dict[str, str] = {}
        # An in-memory table lives as long as the expression that holds it.
        self.kept: list[ibis.Table] = []

    def graph(self, graph: Graph, names: list[str]) -> Graph:
        nodes = {name: self._recording(graph.tables[name]) for name in names if graph.tables[name].engine == "ibis"}
        return dataclasses.replace(graph, nodes={**graph.nodes, **nodes})

    def _recording(self, table: TableDef) -> TableDef:
        def function(**arguments: Any) -> Any:
            if table.source_parameter:
                # What was landed is gone after the build; mutants read a copy.
                source = self.session.sql(arguments["source"])
                arguments["source"] = self._table(f"__source_{table.name}", source)
            rows = table.function(**arguments)
            self.kept.append(rows)
            self.sql[table.name] = self.session.sql(rows)
            self.shadow[table.name] = f'"main"."__shadow_{table.name}"'
            mutant = self.mutated.get(table.name)
            shadow = self._table(f"__shadow_{table.name}", mutant or self.sql[table.name])
            # A mutant has the types that Ibis knows the original by: only its rows are at stake.
            return shadow.cast(rows.schema()) if mutant else rows

        return dataclasses.replace(table, function=function)

    def _table(self, name: str, sql: str) -> ibis.Table:
        self.session.connection.execute(f"CREATE OR REPLACE TABLE main.{quote(name)} AS {sql}")
        return self.session.backend.table(name, database=(self.session.catalog, "main"))


def _is_exact(case: Case, built: BuildResult, name: str) -> bool:
    """Whether other rows of the table must fail the case: all of them were published or set aside, and compared."""
    if name in built.errors or name in built.skipped:
        return False
    path = store.schema_path(case.expected, name)
    if not path.exists():
        return False
    text = path.read_text(encoding="utf-8")
    return "\ntolerance:" not in text and "\nvolatile:" not in text


def _described(connection: Any, relation: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {relation}").fetchall()]
