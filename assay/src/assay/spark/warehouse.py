"""The warehouse on Spark: tables in a lake, the books in a DuckDB file beside it.

The books say what the lake's commits say, and more. What a run that was killed left out of them, the next one writes down.
"""

from __future__ import annotations

import datetime as dtm
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assay.spark.lake import Lake, sweep
from assay.spark.lake_session import LakeSession
from assay.spark.session import opened
from assay.sql import quoted
from assay.warehouse import ops, staging
from assay.warehouse.connection import Options, close, connect, reading
from assay.warehouse.dry.proof import Proof
from assay.warehouse.failures import explained
from assay.warehouse.quarantine import shape
from assay.warehouse.retention import Retention, retire
from assay.warehouse.snapshot import renew
from assay.warehouse.warehouse import DryRunWarehouse
from assay.words import plural

if TYPE_CHECKING:
    from assay.settings import BaseSettings
    from assay.spark.lake import Commit
    from assay.spark.session import Cluster

CATALOG = "lake"
"""How Spark's SQL calls the real lake."""


@dataclass
class SparkWarehouse:
    """The real warehouse on Spark.

    Args:
        path: the books' DuckDB file; who writes tables holds it.
        address: of Spark.
        folder: of the lake; see `Lake`.
        catalog: of the lake; see `Lake`.
        cluster: open already; None opens one for each session.
    """

    path: Path
    address: str
    folder: str
    catalog: str | None = None
    _: KW_ONLY
    output: Path
    scratch: Path
    options: Options = field(default_factory=Options)
    lock_timeout: float = 30.0
    snapshot: Path | None = None
    retention: Retention | None = None
    cluster: Cluster | None = None

    @classmethod
    def of(cls, settings: BaseSettings, **arguments: Any) -> SparkWarehouse:
        """The warehouse that settings describe."""
        scratch = settings.scratch_folder
        return cls(
            settings.warehouse,
            settings.spark,
            settings.lake_address,
            catalog_of(settings),
            output=settings.output,
            scratch=scratch,
            options=Options(settings.memory_limit, settings.threads, scratch / "spill_books", settings.scratch_limit),
            lock_timeout=settings.lock_timeout,
            snapshot=settings.snapshot,
            retention=Retention(settings.keep_rejects, settings.keep_open_rejects, settings.keep_publications),
            **arguments,
        )

    @classmethod
    def dry(cls, settings: BaseSettings, **arguments: Any) -> SparkDryRun:
        """A dry run in front of the warehouse that settings describe."""
        lake = {"lake": settings.lake_address, "catalog": catalog_of(settings)}
        found: Any = SparkDryRun.of(settings, address=settings.spark, **lake, **arguments)
        return cast("SparkDryRun", found)

    @contextmanager
    def session(self) -> Iterator[LakeSession]:
        """Open the books for writing, and a session with Spark.

        Raises:
            WarehouseLocked: another run holds the books.
            EngineError, WarehouseError: Spark, the catalog or the lake is not there.
        """
        connection = connect(self.path, self.options, lock_timeout=self.lock_timeout)
        try:
            with ExitStack() as stack:
                session = self._over(connection, stack)
                with explained(str(self.path)):
                    staging.sweep(session)
                    sweep(session.lake, session.token)
                    repair(session)
                yield session
            if self.retention is not None:
                with explained(str(self.path)):
                    retire(connection, session.catalog, self.retention, dtm.datetime.now(dtm.UTC))
        finally:
            close(connection)
        if self.snapshot is not None:
            renew(self.snapshot, self.path)

    @contextmanager
    def reading(self) -> Iterator[LakeSession]:
        """Open the books, which exist, for reading; Spark is started by whoever asks for a table."""
        with reading(self.path, self.options, lock_timeout=self.lock_timeout) as (connection, _), ExitStack() as stack:
            yield self._over(connection, stack)

    def _over(self, connection: Any, stack: ExitStack) -> LakeSession:
        def lake() -> Lake:
            cluster = self.cluster or stack.enter_context(opened(self.address, scratch=self.scratch, options={}))
            return Lake(cluster, CATALOG, self.folder, self.catalog)

        token = hashlib.md5(str(self.path.resolve()).encode(), usedforsecurity=False).hexdigest()[:8]
        return LakeSession(connection, lake, token=token, output=self.output, scratch=self.scratch)


@dataclass(frozen=True)
class LakeState:
    """Where the metadata of each table of a lake is at one moment: a commit moves it, whoever makes it."""

    pointers: Mapping[str, str]

    @classmethod
    def of(cls, lake: Lake) -> LakeState:
        """As it is now."""
        return cls({f"{stage}.{name}": lake.pointer(stage, name) for stage, name in lake.published()})

    def __str__(self) -> str:
        told = hashlib.sha256(repr(sorted(self.pointers.items())).encode()).hexdigest()[:12]
        return f"the lake's {len(self.pointers):,} {plural(len(self.pointers), 'table')}, pointers' sha256 {told}"


@dataclass
class SparkDryRun(DryRunWarehouse):
    """A lake of its own in front of the real one, and a scratch database in front of the books; both are only read.

    Args:
        address: of Spark.
        lake, catalog: the real one's; see `Lake`.
        cluster: open already; None opens one for each session.
    """

    address: str = ""
    lake: str = ""
    catalog: str | None = None
    cluster: Cluster | None = None

    @contextmanager
    def session(self) -> Iterator[LakeSession]:  # type: ignore[override]
        """Open a new lake in front of the real one.

        Raises:
            WarehouseLocked: another process is writing the books.
            WarehouseError: the real lake or the books changed in the meantime.
        """
        with ExitStack() as stack:
            self._cluster = self.cluster or stack.enter_context(opened(self.address, scratch=self.scratch, options={}))
            self._real = Lake(self._cluster, CATALOG, self.lake, self.catalog)
            readable = self.readable
            if readable is not None:  # rows go there and come back through files
                self.readable = (*readable, self._cluster.folder)
            before = LakeState.of(self._real)
            try:
                with super().session() as session:
                    yield session  # type: ignore[misc]  # as `_over` makes it
            finally:
                self.readable = readable
                after = LakeState.of(self._real)
                books = self.proof or Proof((), ())
                self.proof = Proof((*books.before, before), (*books.after, after))
                self.proof.check()

    def _over(self, connection: Any, folder: Path) -> LakeSession:  # type: ignore[override]
        name = f"dry_{uuid.uuid4().hex[:8]}"
        return LakeSession(
            connection,
            lambda: Lake(self._cluster, name, str(folder / "lake")),
            behind=self._real,
            token=name,
            output=folder / "output",
            scratch=folder,
            real="real",
            keeps_books=self.keeps_books,
        )


def catalog_of(settings: BaseSettings) -> str | None:
    """The address of the lake's catalog, which may hold a password."""
    return settings.lake_catalog.get_secret_value() if settings.lake_catalog is not None else None


def repair(session: LakeSession) -> list[str]:
    """Write into the books what the lake's newest commits say and they do not; returns the tables' names."""
    known = {
        (row[0], row[1], row[2])
        for row in session.connection.execute(
            f"SELECT table_name, run_id, published_at FROM {quoted(session.catalog)}.ops.publications"
        ).fetchall()
    }
    repaired = []
    for stage, name in session.lake.published():
        commit = session.lake.commit(stage, name)
        record = commit.record
        if not record or (name, record["run_id"], dtm.datetime.fromisoformat(record["published_at"])) in known:
            continue
        _write_down(session, name, commit)
        repaired.append(name)
    return repaired


def _write_down(session: LakeSession, name: str, commit: Commit) -> None:
    books, record = f"{quoted(session.catalog)}.ops", dict(commit.record)
    with session.transaction():
        values = [*(record | {"id": session.publication_id()}).values()]
        ops.write(session.connection, session.catalog, values)
        # What its partitions were made of nobody knows any more: the next plan builds them.
        session.connection.execute(f"DELETE FROM {books}.partitions WHERE table_name = ?", [name])
        replayed = "table_name = ? AND list_contains(?, reject_id)"
        if commit.replayed:
            values = [name, list(commit.replayed)]
            shape.change(session.connection, session.catalog, "status = 'replayed'", replayed, values)
        session.connection.execute(f"DELETE FROM {books}.offsets WHERE table_name = ?", [name])
        for partition, (number, place) in commit.offsets.items():
            session.connection.execute(
                f"INSERT INTO {books}.offsets VALUES (?, ?, ?, ?, ?)",
                [name, int(partition), number, place, record["run_id"]],
            )
