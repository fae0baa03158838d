"""Small tables from SQL, and a warehouse in a folder to build them in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import ibis.expr.types as ir
from pandera.typing.ibis import Table

from assay.build import BuildResult, build
from assay.sources.base import Landed, Landing, Sources
from assay.tables.declare import invariant, table
from assay.tables.graph import Graph
from assay.tables.nodes import InvariantDef, Node, TableDef
from assay.tables.partitions import PartitionRange
from assay.tables.results import CheckResult, Publication
from assay.tables.run import Run
from assay.warehouse.connection import Options
from assay.warehouse.session import Session
from assay.warehouse.warehouse import DuckDBWarehouse


@dataclass
class Given:
    """A source whose rows are a SELECT; tests change them between builds."""

    sql: str = ""
    malformed: str | None = None
    offsets: Mapping[int, int] | None = None
    incremental: bool = False
    location: str = "given"
    columns: Mapping[str, str] | None = None

    told_by_landing: ClassVar[bool] = False
    tells_lag: ClassVar[bool] = False

    def fingerprint(self, base: str, transport: Any = None, settings: Any = None) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def land(self, landing: Landing) -> Landed:
        return Landed(self.sql, self.fingerprint(landing.base), malformed=self.malformed, offsets=self.offsets)

    def lag(self, base: str, offsets: Mapping[int, int]) -> int:
        return 0


def given(
    name: str, model: Any, source: Any, *, function: Callable[..., Any] | None = None, **options: Any
) -> TableDef:
    """A table `name` whose rows are `source`'s, or what `function` makes of them."""

    def same(source: Any) -> Any:
        return source

    return _defined(
        name, function or same, {"source": ir.Table, "return": Table[model]}, table(source=source, **options)
    )


def made(name: str, model: Any, inputs: Mapping[str, Any], function: Callable[..., Any], **options: Any) -> TableDef:
    """A table `name` computed by `function` from upstream tables, given with their models."""
    hints = {upstream: Table[other] for upstream, other in inputs.items()} | {"return": Table[model]}
    return _defined(name, function, hints, table(**options))


def stated(name: str, inputs: Mapping[str, Any], function: Callable[..., Any], **options: Any) -> InvariantDef:
    """An invariant `name` of the first of `inputs`."""
    return _defined(name, function, {key: Table[model] for key, model in inputs.items()}, invariant(**options))


def _defined(name: str, function: Callable[..., Any], hints: dict[str, Any], decorate: Callable[..., Any]) -> Any:
    function.__name__ = name
    function.__annotations__ = hints
    return decorate(function)


def values(columns: str, *rows: str) -> str:
    """A SELECT of literal rows: `values("k BIGINT, v VARCHAR", "1, 'a'", "2, NULL")`."""
    named = [column.strip().split(" ", 1) for column in columns.split(", ")]
    listed = ", ".join(f"CAST(c{place} AS {kind}) AS {name}" for place, (name, kind) in enumerate(named))
    names = ", ".join(f"c{place}" for place in range(len(named)))
    if not rows:
        empty = ", ".join(["NULL"] * len(named))
        return f"SELECT {listed} FROM (VALUES ({empty})) AS t({names}) WHERE false"
    return f"SELECT {listed} FROM (VALUES {', '.join(f'({row})' for row in rows)}) AS t({names})"


class House:
    """A warehouse in a folder. One session stays open for the builds and questions of a test, until `leave`.

    On one thread: between a few rows, more of them take a quarter more of the processor.
    """

    def __init__(self, folder: Path, *, threads: int | None = 1, kind: Callable[..., Any] = DuckDBWarehouse) -> None:
        self.folder = folder
        self.file = folder / "w.duckdb"
        self.warehouse = kind(
            self.file,
            output=folder / "out",
            scratch=folder / "scratch",
            options=Options(threads=threads),
            lock_timeout=0,
        )
        self._stack: ExitStack | None = None
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The open session."""
        if self._session is None:
            self._stack = ExitStack()
            self._session = self._stack.enter_context(self.warehouse.session())
        return self._session

    def leave(self) -> None:
        """Close the session, so that others may open the file."""
        if self._stack is not None:
            self._stack.close()
        self._stack = self._session = None

    def drop(self) -> None:
        """Leave a file that nobody opens again: what stands in its log stays there, which is two thirds of closing."""
        if self._session is not None:
            with suppress(duckdb.Error):  # it is closed already
                self._session.connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        self.leave()

    def build(
        self, *nodes: Node, names: Iterable[str] | None = None, partition: str | None = None, run: Run | None = None
    ) -> BuildResult:
        """Build `nodes`, or only those called `names`."""
        days = PartitionRange.parse(partition) if partition else None
        graph = Graph.of(nodes)
        return build(
            graph,
            graph.nodes if names is None else names,
            self.session,
            run or Run.start(partition=days),
            Sources({"given": str(self.folder)}),
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Of the books, in DuckDB's SQL."""
        return self.session.connection.execute(sql).fetchall()

    def ask(self, sql: str | None) -> list[tuple[Any, ...]]:
        """Of the tables, in the engine's SQL."""
        assert sql is not None
        return self.session.ask(sql)

    def table(self, node: TableDef) -> list[tuple[Any, ...]]:
        """The published rows, sorted; empty if it was never published."""
        if not self.session.exists(node):
            return []
        return self.rows(f"SELECT * FROM {self.session.scan(node)} ORDER BY ALL")

    def rejects(self, columns: str = "payload, reason_codes, status") -> list[tuple[Any, ...]]:
        return self.rows(f"SELECT {columns} FROM quarantine.rejects ORDER BY payload, reject_id")


def check(result: BuildResult, table: str, name: str) -> CheckResult:
    """The check `name` of a table that was just built."""
    found = {each.name: each for each in publication(result, table).checks}
    assert name in found, f"{table} has the checks {list(found)}; error: {result.errors.get(table)}"
    return found[name]


def publication(result: BuildResult, table: str) -> Publication:
    assert table in result.publications, result.errors.get(table)
    return result.publications[table]
