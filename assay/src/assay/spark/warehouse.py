"""The warehouse on Spark: tables in a lake, the books in a DuckDB file beside it.

The books say what the lake's commits say, and more. What a run that was killed left out of them, the next one writes down.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from assay.errors import WarehouseError
from assay.spark.lake import Lake, check, sweep
from assay.spark.lake_session import LakeSession
from assay.spark.session import opened
from assay.sql import literal, quoted
from assay.warehouse import ops
from assay.warehouse.connection import reading
from assay.warehouse.dry.proof import Proof
from assay.warehouse.failures import explained
from assay.warehouse.quarantine import shape
from assay.warehouse.warehouse import Books, DryRunWarehouse
from assay.words import plural

if TYPE_CHECKING:
    from assay.settings import BaseSettings
    from assay.spark.lake import Commit
    from assay.spark.session import Cluster

CATALOG = "lake"
"""How Spark's SQL calls the real lake."""


@dataclass
class SparkWarehouse(Books):
    """The real warehouse on Spark.

    Args:
        address: of Spark.
        folder: of the lake; see `Lake`.
        catalog: of the lake; see `Lake`.
        cluster: open already; None opens one for each session.
    """

    address: str
    folder: str
    catalog: str | None = None
    _: KW_ONLY
    cluster: Cluster | None = None

    @classmethod
    def of(cls, settings: BaseSettings, **arguments: Any) -> Self:
        """The warehouse that settings describe."""
        lake = {"address": settings.spark, "folder": settings.lake_address, "catalog": catalog_of(settings)}
        return super().of(settings, **lake, **arguments)

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
        with ExitStack() as stack, self.written(lambda connection: self._over(connection, stack)) as session:
            with explained(str(self.path)):
                session.token = token_of(session)
                sweep(session.lake, session.token)
                repair(session)
            yield session

    @contextmanager
    def reading(self) -> Iterator[LakeSession]:
        """Open the books, which exist, for reading; Spark is started by whoever asks for a table."""
        with reading(self.path, self.options, lock_timeout=self.lock_timeout) as (connection, _), ExitStack() as stack:
            yield self._over(connection, stack)

    def _over(self, connection: Any, stack: ExitStack) -> LakeSession:
        def lake() -> Lake:
            check(self.folder, self.catalog)
            cluster = self.cluster or stack.enter_context(opened(self.address, scratch=self.scratch, options={}))
            return Lake(cluster, CATALOG, self.folder, self.catalog)

        return LakeSession(connection, lake, output=self.output, scratch=self.scratch)


@dataclass(frozen=True)
class LakeState:
    """Where the metadata of each table of a lake is at one moment: a commit moves it, whoever makes it."""

    pointers: Mapping[str, str]

    @classmethod
    def of(cls, lake: Lake) -> LakeState:
        """As it is now."""
        return cls({f"{stage}.{name}": where for (stage, name), where in lake.pointers().items()})

    def published_since(self, lake: Lake, after: LakeState) -> list[str]:
        """The tables that moved, if each was published by another run: what writes in a dry run leaves no record."""
        moved = sorted({name for name, _ in self.pointers.items() ^ after.pointers.items()})
        return moved if all(lake.is_published(*name.split(".", 1)) for name in moved) else []

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
        check(self.lake, self.catalog)
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
                if others := before.published_since(self._real, after):
                    raise WarehouseError(
                        f"another run published {', '.join(others)} during the dry run, which so proves nothing",
                        where=self._real.where,
                        fix="Run it again.",
                    )
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


def token_of(session: LakeSession) -> str:
    """What the names of these books' staging tables end with: other machines' books, which may stand at the same path, have another."""
    books = f"{quoted(session.catalog)}.ops.publications"
    of_books = "database_name = ? AND schema_name = 'ops' AND table_name = 'publications'"
    found = session.connection.execute(f"SELECT comment FROM duckdb_tables() WHERE {of_books}", [session.catalog])
    ((token,),) = found.fetchall()
    if token is None:
        token = uuid.uuid4().hex[:8]
        session.connection.execute(f"COMMENT ON TABLE {books} IS {literal(token)}")
    return str(token)


def catalog_of(settings: BaseSettings) -> str | None:
    """The address of the lake's catalog, which may hold a password."""
    return settings.lake_catalog.get_secret_value() if settings.lake_catalog is not None else None


def repair(session: LakeSession) -> list[str]:
    """Write into the books what the lake's newest commits say and they do not; returns the tables' names."""
    repaired = []
    for stage, name in session.lake.published():
        commit = session.lake.commit(stage, name)
        if commit.record and not session.knows(name, commit.record):
            _write_down(session, name, commit)
            session.lake.point_at(stage, name)
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
