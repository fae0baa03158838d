"""One session with a warehouse: what any engine's has in common, and what each of them must be able to do.

Small things are DuckDB's in every session, on its `connection`: the books, the quarantine, what connectors land. The
rows of tables are the engine's.
"""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import duckdb
import ibis
import ibis.expr.operations as operations

from assay.disk import write_atomically
from assay.errors import WarehouseError, on_disk
from assay.sql import quoted
from assay.tables.nodes import TableDef
from assay.warehouse import expressions, functions, ops
from assay.warehouse.connection import settle
from assay.warehouse.failures import explained

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from assay.compare.sides import Sides
    from assay.contract.contract import Contract
    from assay.errors import PipelineError
    from assay.settings import BaseSettings
    from assay.tables.graph import Graph
    from assay.warehouse.added import Added
    from assay.warehouse.ops import PartitionRecord
    from assay.warehouse.parts import Parts

T = TypeVar("T")


class Engine(Protocol):
    """What computes expressions in the place of DuckDB, which keeps, audits and publishes their rows all the same."""

    name: str
    tables: int
    """How many tables' functions it has computed."""

    @property
    def gone(self) -> PipelineError | None:
        """Why nothing more can be computed; None as long as it answers."""
        ...

    def rows(self, session: Session, expression: ibis.Table) -> str:
        """SQL, for DuckDB, of the rows that `expression` gives."""
        ...

    def labelled(self, session: Session, table: TableDef, expression: ibis.Table, beside: Sequence[str]) -> str:
        """SQL, for DuckDB, of the contract's columns, those named in `beside`, and the masks of broken rules."""
        ...


class _Shared:
    """What sessions with one database have in common."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last_id = 0
        self.functions: set[type] = set()


class Session(ABC):
    """A DuckDB connection with the pipeline's view of it, and tables of an engine.

    Args:
        connection: writes go to its current database.
        output: the folder of exported files.
        real: the name of an attached catalog that is read where this session has written nothing (dry runs).
        keeps_books: whether publications are profiled and recorded, for those who ask later.
    """

    name: ClassVar[str]
    """The engine's, as `PIPELINE_ENGINE` has it."""
    quoted = staticmethod(quoted)
    """A name in the engine's SQL, also where nobody has set its options."""
    engine: Engine | None = None

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        output: Path,
        scratch: Path,
        real: str | None = None,
        keeps_books: bool = True,
    ) -> None:
        self.connection = connection
        self.backend: Backend = expressions.backend_of(connection)
        self.catalog: str = connection.execute("SELECT current_database()").fetchall()[0][0]
        self.output = output
        self.scratch = scratch
        self.real = real
        self.keeps_books = keeps_books
        self.rejecting: int | None = None
        self._shared = _Shared()
        with explained(self.catalog):
            ops.prepare(connection, self.catalog)

    @abstractmethod
    def exists(self, table: TableDef) -> bool:
        """Whether `table` was published, here or (dry runs) in the real warehouse."""

    @abstractmethod
    def columns(self, table: TableDef) -> dict[str, str]:
        """The columns of `table`, published, and their types as DuckDB names them."""

    @abstractmethod
    def count(self, table: TableDef) -> int:
        """The number of published rows of `table`."""

    @abstractmethod
    def relation(self, table: TableDef) -> str:
        """The name of `table` in the engine's SQL; raises WarehouseError if it was never published."""

    @abstractmethod
    def scan(self, table: TableDef, *, among: str | None = None) -> str:
        """SQL for DuckDB, to stand in a FROM: the published rows of `table`, whatever engine keeps them.

        Args:
            among: a SELECT for DuckDB of columns of `table`: rows with other values in them are not needed.
        """

    @abstractmethod
    def sides(self, table: TableDef, key: Sequence[str]) -> Sides:
        """Of a dry run `table` as it is published and as it would be, for the comparer."""

    def standing(self) -> Mapping[tuple[str, str], Mapping[str, str]] | None:
        """The tables of the real warehouse by stage and name, with their columns; None where they stand beside the books."""
        return None

    @abstractmethod
    def read(self, table: TableDef) -> ibis.Table:
        """The published rows of `table`, with the contract's columns; raises WarehouseError if there are none yet."""

    @abstractmethod
    def landed(self, sql: str) -> ibis.Table:
        """Rows that DuckDB has on `connection`, such as what a connector landed, as rows of the engine."""

    @abstractmethod
    def registered(self, rows: Any, name: str) -> AbstractContextManager[ibis.Table]:
        """An Arrow table or data frame as rows of the engine, for the time of the block."""

    @abstractmethod
    def sql(self, expression: ibis.Table) -> str:
        """The rows of an expression in the engine's SQL."""

    @abstractmethod
    def query(self, relation: str, where: str = "true") -> ibis.Table:
        """The rows of what stands in a FROM of the engine's SQL, as an expression.

        Args:
            where: SQL, as DuckDB has it, of those that are taken.
        """

    def spelled(self, sql: str) -> str:
        """The SQL of an expression of this session's for whoever runs it later: without names that only this session knows."""
        return sql

    @abstractmethod
    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT in the engine's SQL, as values of Python: for a few of them."""

    @abstractmethod
    def view(self, name: str, sql: str) -> AbstractContextManager[ibis.Table]:
        """Rows under a name in the engine's SQL, for the time of the block; `sql` is what stands in a FROM."""

    @abstractmethod
    def staging(self, build: Any) -> AbstractContextManager[Any]:
        """The rows of a `Build` as `Staging` (see `publish`), which nobody sees; of a failed block nothing is left."""

    @abstractmethod
    def widen(self, table: TableDef, names: Sequence[str]) -> None:
        """Give `table`, published, columns of text more, empty."""

    @abstractmethod
    def add(self, table: TableDef, contract: Contract, rows: str, parts: Parts | None) -> Added:
        """Add rows to `table`, published, which `rows`, a SELECT for DuckDB, has."""

    def refusals(self, graph: Graph, names: Iterable[str], settings: BaseSettings) -> Iterable[PipelineError]:
        """What of the nodes `names` the engine cannot do, one error each, with the table's place and what to write."""
        return ()

    def beside(self) -> Self:
        """A session with the same database for another thread: a connection, a transaction and temporary tables of its own."""
        # What a transaction would make when it is missing, two could not make at once.
        ops.prepare_code(self.connection, self.catalog)
        functions.share(self.connection, self.backend, self._shared.functions)
        other = copy.copy(self)
        other.connection = self.connection.cursor()
        settle(other.connection)
        other.backend = expressions.backend_of(other.connection)
        return other

    def publication_id(self) -> int:
        """The number of the publication that is recorded next: no session beside this one gets it too."""
        with self._shared.lock:
            # Asked once: nobody else writes these books, and a transaction beside this one does not show its number.
            if not self._shared.last_id:
                sql = f"SELECT coalesce(max(id), 0) FROM {quoted(self.catalog)}.ops.publications"
                self._shared.last_id = self.number(sql)
            self._shared.last_id += 1
            return self._shared.last_id

    def make_schema(self, stage: str) -> None:
        """Make the schema of a stage if it is missing: two transactions could not at once."""
        with self._shared.lock:
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.catalog)}.{quoted(stage)}")

    @property
    def dry(self) -> bool:
        """Whether this is a dry run's session: nothing real is written."""
        return self.real is not None

    def number(self, sql: str, parameters: Any = None) -> int:
        """The first value that a statement gives: a count, or how many rows it wrote."""
        return int(self.connection.execute(sql, parameters).fetchall()[0][0])

    def last_publication(self, name: str) -> ops.Record | None:
        """The newest successful publication of a table or export, here or (dry runs) in the real warehouse; None without books."""
        if not self.keeps_books:
            return None
        return self.from_books(lambda catalog: ops.newest(self.connection, catalog, name).get(name))

    def data_version(self, name: str) -> str | None:
        """The data version of that publication; None where no books are kept."""
        if not self.keeps_books:
            return None
        return self.from_books(lambda catalog: ops.last_version(self.connection, catalog, name))

    def partitions(self, name: str) -> dict[str, PartitionRecord]:
        """The partitions of a table by key; in a dry run those built here, beside the real ones."""
        own = ops.partitions(self.connection, self.catalog, name)
        if self.real is None or "ops.partitions" in self._missing_of_real:
            return own
        return ops.partitions(self.connection, self.real, name) | own

    def offsets(self, table: TableDef) -> dict[int, int]:
        """How far `table`'s event log was read, here or (dry runs) in the real warehouse.

        Nothing was read into a table that does not exist: one that was dropped, or moved to another stage, starts over.
        """
        if not self.exists(table):
            return {}
        return self.from_books(lambda catalog: ops.offsets(self.connection, catalog, table.name))

    def from_books(self, ask: Callable[[str], T], book: str = "ops.publications") -> T:
        """The answer of this session's books, or of the real warehouse's where these have none."""
        own = ask(self.catalog)
        if own or self.real is None or book in self._missing_of_real:
            return own
        return ask(self.real)

    def catalogs_with(self, book: str) -> list[str]:
        """The catalogs that have a book of `ops`, such as `ops.metrics`: the real one first, then this session's own."""
        real = [self.real] if self.real is not None and book not in self._missing_of_real else []
        return [*real, self.catalog]

    @cached_property
    def _missing_of_real(self) -> list[str]:
        # Asked once: nobody writes the real warehouse while it is attached. An older one may lack a newer book.
        return ops.missing(self.connection, self.real) if self.real is not None else list(ops.TABLES)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: commits at the end, rolls back on any error."""
        self.connection.execute("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self._rollback()
            raise
        try:
            self.connection.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise

    def stop(self) -> None:
        """End the query that is running, if one is: after Ctrl-C DuckDB goes on computing until it is told to end."""
        with suppress(duckdb.Error):  # the connection is closed already
            self.connection.interrupt()

    def _rollback(self) -> None:
        self.stop()
        # After a failed commit DuckDB has already rolled back by itself, and says that there is nothing to undo.
        with suppress(duckdb.Error):
            self.connection.execute("ROLLBACK")

    def duckdb_sql(self, expression: ibis.Table) -> str:
        """The DuckDB SQL of an Ibis expression, its in-memory tables made known to the connection."""
        plain = expressions.compiled(self.backend, expression)
        if plain is not None:
            return plain
        # Ibis registers memtables and UDFs only when it executes an expression itself; publishing executes
        # the SQL inside its own transaction, so it is done here.
        for function in expression.op().find(operations.ScalarUDF):
            functions.make(self.connection, self.backend, function, self._shared.functions)
        self.backend._register_in_memory_tables(expression)
        return str(self.backend.compile(expression))

    def write_file(self, path: str, content: bytes) -> Path:
        """Write an exported file so that a reader sees the old one or the new one, never a part.

        Raises:
            WarehouseError: the folder cannot be written, or `path` leads out of it.
        """
        target = self.output / path
        if not target.resolve().is_relative_to(self.output.resolve()):
            raise WarehouseError(
                "leads out of the output folder", where=str(path), fix="Give a path inside PIPELINE_OUTPUT."
            )
        with on_disk(
            WarehouseError, "cannot be written", where=str(target), fix="Free the disk or set PIPELINE_OUTPUT."
        ):
            write_atomically(target, content)
        return target

    def close(self) -> None:
        """Give the file back; other processes may open it then."""
        self.connection.close()


def qualified(catalog: str, schema: str, name: str) -> str:
    """A quoted three-part SQL name."""
    return ".".join(quoted(part) for part in (catalog, schema, name))
