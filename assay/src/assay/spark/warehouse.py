"""The warehouse on Spark: tables in a lake, the books in a DuckDB file beside it.

The books say what the lake's commits say, and more. What a run that was killed left out of them, the next one writes down.
"""

from __future__ import annotations

import datetime as dtm
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import EngineError
from assay.spark.lake import Lake, sweep
from assay.spark.lake_session import LakeSession
from assay.spark.session import opened
from assay.spark.staging import REPEATED
from assay.sql import quoted
from assay.warehouse import ops, staging
from assay.warehouse.connection import Options, close, connect
from assay.warehouse.failures import explained
from assay.warehouse.retention import Retention, retire

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
            settings.lake,
            settings.lake_catalog,
            output=settings.output,
            scratch=scratch,
            options=Options(settings.memory_limit, settings.threads, scratch / "spill_books", settings.scratch_limit),
            lock_timeout=settings.lock_timeout,
            snapshot=settings.snapshot,
            retention=Retention(settings.keep_rejects, settings.keep_open_rejects, settings.keep_publications),
            **arguments,
        )

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
                cluster = self.cluster or stack.enter_context(opened(self.address, scratch=self.scratch, options={}))
                lake = Lake(cluster, CATALOG, self.folder, self.catalog)
                token = hashlib.md5(str(self.path.resolve()).encode(), usedforsecurity=False).hexdigest()[:8]
                session = LakeSession(connection, lake, token=token, output=self.output, scratch=self.scratch)
                with explained(str(self.path)):
                    staging.sweep(session)
                    sweep(lake, (staging.PREFIX, REPEATED), token)
                    repair(session)
                yield session
            if self.retention is not None:
                with explained(str(self.path)):
                    retire(connection, session.catalog, self.retention, dtm.datetime.now(dtm.UTC))
        finally:
            close(connection)


def repair(session: LakeSession) -> list[str]:
    """Write into the books what the lake's newest commits say and they do not; returns the tables' names."""
    known = {
        (row[0], row[1], row[2])
        for row in session.connection.execute(
            f"SELECT table_name, run_id, published_at FROM {quoted(session.catalog)}.ops.publications"
        ).fetchall()
    }
    repaired = []
    for stage in session.lake.stages():
        for name in session.lake.tables(stage):
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
        record["id"] = session.publication_id()
        columns = ", ".join(record)
        session.connection.execute(
            f"INSERT INTO {books}.publications ({columns}) VALUES ({', '.join('?' * len(record))})", [*record.values()]
        )
        # What its partitions were made of nobody knows any more: the next plan builds them.
        session.connection.execute(f"DELETE FROM {books}.partitions WHERE table_name = ?", [name])
        session.connection.execute(f"DELETE FROM {books}.offsets WHERE table_name = ?", [name])
        for partition, (number, place) in commit.offsets.items():
            session.connection.execute(
                f"INSERT INTO {books}.offsets VALUES (?, ?, ?, ?, ?)",
                [name, int(partition), number, place, record["run_id"]],
            )
