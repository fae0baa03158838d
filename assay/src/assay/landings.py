"""Landing a table's source: for a build, and for who asks only whether it changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from assay import notices
from assay.contract.contract import Contract
from assay.contract.uniqueness import SUSPECTS
from assay.errors import SourceError, WarehouseError
from assay.sources.base import Landing
from assay.sources.rows import temporary_names
from assay.sql import quoted
from assay.warehouse.builds import GONE, REPLACED
from assay.warehouse.dry.scratch import scratch_folder

if TYPE_CHECKING:
    from assay.sources.base import Landed, Sources
    from assay.tables.nodes import TableDef
    from assay.warehouse.session import Session


def land(
    table: TableDef, session: Session, sources: Sources, offsets: Mapping[int, int], since: Any, stack: ExitStack
) -> Landed:
    """The source's rows in temporary tables of the session, which live as long as `stack`.

    Args:
        offsets: as committed; empty where the source is read from its start.
        since: of an incremental table the smallest cursor that is needed.
    """
    assert table.source is not None
    folder = stack.enter_context(scratch_folder(session.scratch, prefix="landing_")) / "files"
    folder.mkdir()
    stack.enter_context(_swept(session, known=type(table.source).__module__.startswith("assay.")))
    notices.phase("reading the source")
    return table.source.land(_landing(table, session.connection, sources, folder, offsets, since))


@contextmanager
def _swept(session: Session, *, known: bool) -> Iterator[None]:
    """Drop the temporary tables that the block makes: what a connector landed is no longer needed then.

    By their names: DuckDB looks at all tables to tell which are temporary. Only what failed may have left any, and a
    connector that is not `known`, the framework's own.
    """
    with temporary_names() as names:
        left = [SUSPECTS, REPLACED, GONE]
        before = set() if known else _temporary(session)
        try:
            yield
        except BaseException:
            session.stop()
            with suppress(duckdb.FatalException):
                left += [name for name in _temporary(session) if name.startswith("__")]
            raise
        finally:
            # A database that stopped after an error takes its temporary tables with it.
            with suppress(duckdb.FatalException):
                made = () if known else _temporary(session) - before
                for name in dict.fromkeys((*names, *left, *made)):
                    session.connection.execute(f"DROP TABLE IF EXISTS temp.main.{quoted(name)}")


def _temporary(session: Session) -> set[str]:
    found = session.connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'temp'")
    return {name for (name,) in found.fetchall()}


def source_version(table: TableDef, sources: Sources, offsets: Mapping[int, int], since: Any = None) -> str:
    """The fingerprint that landing the table's source would report, without a warehouse.

    Args:
        offsets: as committed.
    """
    assert table.source is not None
    if not table.source.told_by_landing:
        base = sources.resolve(table.source.location)
        return table.source.fingerprint(base, sources.transport, sources.settings)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"temp_directory": folder}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return table.source.land(_landing(table, connection, sources, Path(folder), offsets, since)).fingerprint


def _landing(
    table: TableDef,
    connection: duckdb.DuckDBPyConnection,
    sources: Sources,
    folder: Path,
    offsets: Mapping[int, int],
    since: Any,
) -> Landing:
    assert table.source is not None
    return Landing(
        table=table.name,
        base=sources.resolve(table.source.location),
        columns=table.source.columns or Contract.of(table.model).duckdb_columns,
        connection=connection,
        scratch=folder,
        offsets=offsets,
        since=since,
        transport=sources.transport,
        given=sources.given,
        settings=sources.settings,
    )


@contextmanager
def blaming_the_source(landed: Landed) -> Iterator[None]:
    """Where the engine fails while the source is still being read, and the source fails alone too, it is to blame."""
    try:
        yield
    except (duckdb.Error, WarehouseError, SourceError) as error:
        cause = error if isinstance(error, duckdb.Error) else error.__cause__
        elsewhere = isinstance(cause, duckdb.InterruptException | duckdb.OutOfMemoryException)
        if landed.recheck is not None and isinstance(cause, duckdb.Error) and not elsewhere:
            landed.recheck()
        raise
