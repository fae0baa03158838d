"""The warehouse's own books, schema `ops`: what was published when, from what, and how far streams were read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_project.framework.results import Publication

if TYPE_CHECKING:
    import duckdb

    from pipeline_project.framework.run import Run

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS {catalog}.ops;
CREATE SCHEMA IF NOT EXISTS {catalog}.quarantine;
CREATE TABLE IF NOT EXISTS {catalog}.ops.publications (
    run_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, stage VARCHAR NOT NULL, partition VARCHAR,
    action VARCHAR NOT NULL, row_count BIGINT NOT NULL, staged BIGINT NOT NULL, rejected BIGINT NOT NULL,
    seconds DOUBLE NOT NULL, data_version VARCHAR NOT NULL, code_version VARCHAR NOT NULL,
    upstream_versions VARCHAR NOT NULL, source_version VARCHAR, checks VARCHAR NOT NULL, profile VARCHAR NOT NULL,
    published_at TIMESTAMPTZ NOT NULL);
CREATE TABLE IF NOT EXISTS {catalog}.ops.offsets (
    table_name VARCHAR NOT NULL, partition INTEGER NOT NULL, next_offset BIGINT NOT NULL, run_id VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS {catalog}.quarantine.rejects (
    reject_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, partition VARCHAR,
    source_file VARCHAR, source_line BIGINT, reason_codes VARCHAR[] NOT NULL, payload VARCHAR NOT NULL,
    first_seen TIMESTAMPTZ NOT NULL, last_seen TIMESTAMPTZ NOT NULL, status VARCHAR NOT NULL);
"""


@dataclass(frozen=True)
class Record:
    """The newest successful publication of a table, as the books have it."""

    run_id: str
    table: str
    partition: str | None
    rows: int
    rejected: int
    seconds: float
    data_version: str
    code_version: str
    upstream_versions: Mapping[str, str]
    source_version: str | None
    checks: tuple[Mapping[str, Any], ...]
    profile: tuple[Mapping[str, Any], ...]


def prepare(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Create the books if they are missing."""
    known = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND schema_name IN ('ops', 'quarantine')",
        [catalog],
    ).fetchone()
    if known is None or known[0] < 3:
        connection.execute(SCHEMA.format(catalog=f'"{catalog}"'))


def record(connection: duckdb.DuckDBPyConnection, catalog: str, publication: Publication, run: Run) -> None:
    """Write `publication` into the books, in the transaction that publishes it."""
    connection.execute(
        f'INSERT INTO "{catalog}".ops.publications VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
        [
            run.id,
            publication.table,
            publication.stage,
            publication.partition,
            publication.action,
            publication.rows,
            publication.staged,
            publication.rejected,
            publication.seconds,
            publication.data_version,
            publication.code_version,
            json.dumps(dict(publication.upstream_versions)),
            publication.source_version,
            json.dumps([dataclasses.asdict(check) for check in publication.checks], default=str),
            json.dumps([dataclasses.asdict(column) for column in publication.profile], default=str),
            run.now,
        ],
    )


def last(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> Record | None:
    """The newest publication of `table` that succeeded; None if there is none."""
    row = connection.execute(
        f"""SELECT run_id, table_name, partition, row_count, rejected, seconds, data_version, code_version,
                   upstream_versions, source_version, checks, profile
            FROM "{catalog}".ops.publications WHERE table_name = ? AND action <> 'failed'
            ORDER BY published_at DESC, rowid DESC LIMIT 1""",
        [table],
    ).fetchone()
    if row is None:
        return None
    return Record(*row[:8], json.loads(row[8]), row[9], tuple(json.loads(row[10])), tuple(json.loads(row[11])))


def offsets(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> dict[int, int]:
    """Partition -> next offset to read, as committed with the rows already published."""
    rows = connection.execute(
        f'SELECT partition, next_offset FROM "{catalog}".ops.offsets WHERE table_name = ?', [table]
    ).fetchall()
    return dict(rows)


def commit_offsets(
    connection: duckdb.DuckDBPyConnection, catalog: str, table: str, offsets: Mapping[int, int], run: Run
) -> None:
    """Move `table`'s offsets forward, in the transaction that publishes the events they brought."""
    connection.execute(f'DELETE FROM "{catalog}".ops.offsets WHERE table_name = ?', [table])
    if offsets:
        connection.executemany(
            f'INSERT INTO "{catalog}".ops.offsets VALUES (?, ?, ?, ?)',
            [[table, partition, offset, run.id] for partition, offset in sorted(offsets.items())],
        )
