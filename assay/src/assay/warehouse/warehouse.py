"""The real warehouse and the dry-run one: same interface, and the only difference between the two kinds of run."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from assay.settings import BaseSettings
from assay.sql import literal
from assay.warehouse import ops, staging
from assay.warehouse.connection import Options, close, connect, reading, waiting
from assay.warehouse.dry.guard import guarded
from assay.warehouse.dry.proof import Witness
from assay.warehouse.dry.scratch import scratch_folder
from assay.warehouse.duckdb_session import DuckDBSession
from assay.warehouse.failures import explained
from assay.warehouse.retention import Retention, retire
from assay.warehouse.session import Engine, Session
from assay.warehouse.snapshot import renew

if TYPE_CHECKING:
    import duckdb

    from assay.warehouse.dry.proof import Proof

T = TypeVar("T", bound=Session)


@dataclass
class Books:
    """The DuckDB file of a real warehouse, with the tables or beside them.

    Args:
        path: who writes tables holds it.
        scratch: the folder for what DuckDB spills.
        snapshot: the copy for readers, renewed after a session that changed the file; None for none.
        retention: what a session that ends well removes of the books; None for nothing.
    """

    path: Path
    _: KW_ONLY
    output: Path
    scratch: Path
    options: Options = field(default_factory=Options)
    lock_timeout: float = 30.0
    snapshot: Path | None = None
    retention: Retention | None = None

    @classmethod
    def of(cls, settings: BaseSettings, **arguments: Any) -> Self:
        """Those of the warehouse that settings describe."""
        scratch = settings.scratch_folder
        # DuckDB empties the folder it spilled to; two warehouses must not share one.
        spill = scratch / f"spill_{settings.warehouse.stem}"
        return cls(
            settings.warehouse,
            output=settings.output,
            scratch=scratch,
            options=Options(settings.memory_limit, settings.threads, spill, settings.scratch_limit),
            lock_timeout=settings.lock_timeout,
            snapshot=settings.snapshot,
            retention=Retention(settings.keep_rejects, settings.keep_open_rejects, settings.keep_publications),
            **arguments,
        )

    @contextmanager
    def written(self, over: Callable[[duckdb.DuckDBPyConnection], T]) -> Iterator[T]:
        """Open them for writing, without what killed builds left; of a block that ends well they forget what is kept no longer.

        Args:
            over: makes the session.
        """
        connection = connect(self.path, self.options, lock_timeout=self.lock_timeout)
        try:
            session = over(connection)
            with explained(str(self.path)):
                staging.sweep(session)
            yield session
            if self.retention is not None:
                with explained(str(self.path)):
                    retire(connection, session.catalog, self.retention, dtm.datetime.now(dtm.UTC))
        finally:
            close(connection)
        if self.snapshot is not None:
            renew(self.snapshot, self.path)


@dataclass
class DuckDBWarehouse(Books):
    """The real warehouse: one DuckDB file."""

    @contextmanager
    def session(self) -> Iterator[DuckDBSession]:
        """Open the file for reading and writing; raises WarehouseLocked or WarehouseError."""
        with self.written(self._over) as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[DuckDBSession]:
        """Open the file, which exists, for reading: beside other readers, and without the right to write it.

        A file that lacks some of the books is opened as by `session`, which makes them.
        """
        with reading(self.path, self.options, lock_timeout=self.lock_timeout) as (connection, catalog):
            if not ops.missing(connection, catalog):
                yield self._over(connection)
                return
        with self.session() as session:
            yield session

    def _over(self, connection: duckdb.DuckDBPyConnection) -> DuckDBSession:
        return DuckDBSession(connection, output=self.output, scratch=self.scratch)


@dataclass
class DryRunWarehouse:
    """A scratch database in front of the real one, which is only read.

    Args:
        real: the real warehouse's file; None, or a file that does not exist, means an empty one.
        scratch: the folder in which this dry run makes a folder of its own, removed afterwards.
        in_memory: keep the scratch database in memory (golden cases).
        keeps_books: whether publications are profiled and recorded; golden cases need neither.
        engine: computes tables in the place of DuckDB.
        keep: leave the scratch folder behind for inspection.
        readable: the folders that sources are read from; DuckDB then opens files there and in the scratch folder
            only. None where they are not known: then DuckDB may read any file.

    Attributes:
        folder: the folder of the last session.
        proof: what the real file was before and after the last session; None where there was no real file to watch.
    """

    real: Path | None
    _: KW_ONLY
    scratch: Path
    options: Options = field(default_factory=Options)
    lock_timeout: float = 30.0
    in_memory: bool = False
    keeps_books: bool = True
    engine: Engine | None = None
    keep: bool = False
    readable: Sequence[Path] | None = None
    folder: Path | None = field(default=None, init=False)
    proof: Proof | None = field(default=None, init=False)

    @classmethod
    def of(cls, settings: BaseSettings, **arguments: Any) -> DryRunWarehouse:
        """A dry run in front of the warehouse that settings describe."""
        scratch = settings.scratch_folder
        return cls(
            settings.warehouse,
            scratch=scratch,
            options=Options(settings.memory_limit, settings.threads, None, settings.scratch_limit),
            lock_timeout=settings.lock_timeout,
            keep=settings.keep_scratch,
            **arguments,
        )

    @contextmanager
    def session(self) -> Iterator[DuckDBSession]:
        """Open a new scratch database with the real one attached read-only.

        Raises:
            WarehouseLocked: another process is writing the real file.
            WarehouseError: the real file changed in the meantime (see `assay.warehouse.dry.proof`).
        """
        self.proof = None
        with ExitStack() as stack:
            folder = stack.enter_context(scratch_folder(self.scratch, keep=self.keep))
            self.folder = folder
            witness = (
                stack.enter_context(Witness(self.real, lock_timeout=self.lock_timeout))
                if self.real is not None
                else None
            )
            options = dataclasses.replace(self.options, temp_folder=folder / "spill")
            connection = connect(
                None if self.in_memory else folder / "scratch.duckdb", options, lock_timeout=self.lock_timeout
            )
            try:
                self._attach_real(connection, folder)
                guard = guarded(connection, readonly_catalogs=("real",))
                session = self._over(guard, folder)
                # Ibis pins UTC when it takes the connection over.
                connection.execute(f"SET TimeZone = '{options.time_zone}'")
                guard.lock(None if self.readable is None else (*self.readable, folder))
                yield session
            finally:
                close(connection)
                if witness is not None:
                    self.proof = witness.proof()
                    self.proof.check()

    def _over(self, connection: Any, folder: Path) -> DuckDBSession:
        """The session, over a guarded connection."""
        return DuckDBSession(
            connection,
            output=folder / "output",
            scratch=folder,
            real="real",
            keeps_books=self.keeps_books,
            engine=self.engine,
        )

    def _attach_real(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        real = self.real.resolve() if self.real is not None else None
        if real is None or not real.exists():
            if self.in_memory:
                connection.execute("ATTACH ':memory:' AS real")
                return
            # An empty database in the real one's place is read-only like a real one.
            real = folder / "empty.duckdb"
            connect(real, Options(), lock_timeout=0).close()
        path = literal(str(real))

        def attach() -> duckdb.DuckDBPyConnection:
            return connection.execute(f"ATTACH {path} AS real (READ_ONLY)")

        waiting(attach, self.real, self.lock_timeout)
