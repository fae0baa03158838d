"""The warehouse's own books, schema `ops`: what was published when, from what, and how far streams were read."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import duckdb

from assay.errors import WarehouseError
from assay.sources.base import Offset
from assay.sql import quoted
from assay.tables.results import Publication, Verdict, verdict_of
from assay.warehouse.quarantine import shape

if TYPE_CHECKING:
    from assay.tables.run import Run

TABLES = {
    "ops.publications": """
        id BIGINT NOT NULL, run_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, stage VARCHAR NOT NULL,
        partition VARCHAR, action VARCHAR NOT NULL, row_count BIGINT NOT NULL, staged BIGINT NOT NULL,
        rejected BIGINT NOT NULL, seconds DOUBLE NOT NULL, data_version VARCHAR NOT NULL,
        code_version VARCHAR NOT NULL, upstream_versions VARCHAR NOT NULL, source_version VARCHAR,
        checks VARCHAR NOT NULL, profile VARCHAR NOT NULL, published_at TIMESTAMPTZ NOT NULL""",
    "ops.partitions": """
        table_name VARCHAR NOT NULL, partition VARCHAR NOT NULL, row_count BIGINT NOT NULL,
        data_version VARCHAR NOT NULL, code_version VARCHAR NOT NULL, upstream_versions VARCHAR NOT NULL,
        source_version VARCHAR""",
    "ops.offsets": """
        table_name VARCHAR NOT NULL, partition INTEGER NOT NULL, next_offset BIGINT NOT NULL, place VARCHAR NOT NULL,
        run_id VARCHAR NOT NULL""",
    "ops.metrics": """
        publication BIGINT NOT NULL, run_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, day DATE NOT NULL,
        metric VARCHAR NOT NULL, value DOUBLE, expected DOUBLE, low DOUBLE, high DOUBLE, verdict VARCHAR NOT NULL""",
    "ops.watermarks": """
        table_name VARCHAR NOT NULL, watermark VARCHAR NOT NULL, code_version VARCHAR NOT NULL, content VARCHAR,
        run_id VARCHAR NOT NULL""",
    **shape.TABLES,
}
"""The books: `schema.table` and its columns. `id` counts publications; clocks may stand still or go back."""


@dataclass(frozen=True)
class PartitionRecord:
    """One partition as the books have it; `upstream` has the version of each input it was built from."""

    rows: int
    data_version: str
    code_version: str
    upstream: Mapping[str, str]
    source_version: str | None


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
    published_at: dtm.datetime

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Check -> what it said then."""
        return verdicts(self.checks)


def verdicts(checks: Iterable[Mapping[str, Any]]) -> dict[str, Verdict]:
    """Check -> what it said, of checks as the books have them."""
    return {
        check["name"]: verdict_of(check["passed"], bool(check.get("learning")), bool(check.get("known")))
        for check in checks
    }


def prepare(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Create the books if they are missing; raises WarehouseError if another version of them is there."""
    found = _found(connection, catalog)
    if all(name in found for name in TABLES):
        return
    schemas = [f"CREATE SCHEMA IF NOT EXISTS {quoted(catalog)}.{schema}" for schema in ("ops", "quarantine")]
    tables = [f"CREATE TABLE IF NOT EXISTS {quoted(catalog)}.{name} ({columns})" for name, columns in TABLES.items()]
    connection.execute("BEGIN TRANSACTION")
    try:
        connection.execute("; ".join([*schemas, *tables]))
        shape.prepare(connection, catalog, older=shape.VIEW in found)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def missing(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[str]:
    """Books that `catalog` does not have; raises WarehouseError if it has them in another shape."""
    found = _found(connection, catalog)
    return [name for name in TABLES if name not in found]


def _found(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, int]:
    """The books that `catalog` has, and how many columns each has."""
    # duckdb_columns() would say more, but describes every system view as well, which takes ten times as long.
    rows = connection.execute(
        """SELECT schema_name || '.' || table_name, column_count FROM duckdb_tables()
           WHERE database_name = ? AND schema_name IN ('ops', 'quarantine')""",
        [catalog],
    ).fetchall()
    found: dict[str, int] = dict(rows)
    wanted = {name: len(columns.split(",")) for name, columns in TABLES.items()} | {shape.VIEW: shape.COLUMNS}
    for name, count in wanted.items():
        if found.get(name, count) != count:
            raise WarehouseError(
                "was written by another version of this framework",
                where=f"{catalog}.{name}",
                fix="Move the warehouse's file away: `pipeline run` builds it anew from the sources. The old file keeps what "
                "only it has: what was decided of rejected rows, and events that their log no longer holds.",
            )
    return found


def record(
    connection: duckdb.DuckDBPyConnection, catalog: str, number: int, publication: Publication, run: Run
) -> None:
    """Write `publication` into the books under its `number`, in the transaction that publishes it."""
    write(connection, catalog, row(number, publication, run))


def write(connection: duckdb.DuckDBPyConnection, catalog: str, values: Sequence[Any]) -> None:
    """Add a `row` to `ops.publications`."""
    connection.execute(f"INSERT INTO {quoted(catalog)}.ops.publications VALUES ({', '.join('?' * 17)})", values)


def row(number: int, publication: Publication, run: Run) -> list[Any]:
    """`publication` as a row of `ops.publications`."""
    return [
        number,
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
        as_json(publication.upstream_versions),
        publication.source_version,
        as_json([dataclasses.asdict(check) for check in publication.checks]),
        as_json([dataclasses.asdict(column) for column in publication.profile]),
        run.now,
    ]


def keep_code(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    code_version: str,
    parts: Mapping[str, str],
    sources: Mapping[str, str],
) -> None:
    """Write down what `code_version` was made of, digest by digest, and how that is written: for words in a plan.

    Books that may be missing: warehouses of before have none, and nothing but words depends on them.
    """
    prepare_code(connection, catalog)
    book = f"{quoted(catalog)}.ops"
    connection.execute(f"INSERT INTO {book}.code VALUES (?, ?)", [code_version, as_json(parts)])
    texts = {digest: sources.get(part, "") for part, digest in reversed([*parts.items()])}
    connection.execute(
        f"""INSERT INTO {book}.code_sources SELECT * FROM (SELECT unnest($1) AS digest, unnest($2) AS text)
            ANTI JOIN {book}.code_sources USING (digest)""",
        [list(texts), list(texts.values())],
    )


def knows_code(connection: duckdb.DuckDBPyConnection, catalog: str, code_version: str) -> bool:
    """Whether it is written down what `code_version` was made of."""
    with suppress(duckdb.CatalogException):  # there is no such book yet
        return bool(
            connection.execute(f"FROM {quoted(catalog)}.ops.code WHERE code_version = ?", [code_version]).fetchall()
        )
    return False


def prepare_code(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Create the books that say what code was made of, if they are missing."""
    for book, columns in (
        ("code", "code_version VARCHAR NOT NULL, parts"),
        ("code_sources", "digest VARCHAR NOT NULL, text"),
    ):
        connection.execute(f"CREATE TABLE IF NOT EXISTS {quoted(catalog)}.ops.{book} ({columns} VARCHAR NOT NULL)")


def newest(connection: duckdb.DuckDBPyConnection, catalog: str, table: str | None = None) -> dict[str, Record]:
    """The newest publication that succeeded, of `table` or of every table and export, by name."""
    rows = connection.execute(
        f"""SELECT run_id, table_name, partition, row_count, rejected, seconds, data_version, code_version,
                   upstream_versions, source_version, checks, profile, published_at
            FROM {quoted(catalog)}.ops.publications WHERE id IN (
                SELECT max(id) FROM {quoted(catalog)}.ops.publications
                WHERE action <> 'failed' AND ($1 IS NULL OR table_name = $1) GROUP BY table_name)""",
        [table],
    ).fetchall()
    found: dict[str, Record] = {}
    for row in rows:
        known: list[Any] = list(row)
        known[8] = json.loads(known[8])
        known[10:12] = [tuple(json.loads(text)) for text in known[10:12]]
        found[row[1]] = Record(*known)
    return found


def last_version(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> str | None:
    """The data version of the newest publication of `table` that succeeded; None if there is none."""
    found = connection.execute(
        f"SELECT max_by(data_version, id) FROM {quoted(catalog)}.ops.publications "
        "WHERE table_name = ? AND action <> 'failed'",
        [table],
    ).fetchone()
    return found[0] if found else None


def offsets(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> dict[int, int]:
    """Partition -> next offset to read, as committed with the rows already published."""
    rows = connection.execute(
        f"SELECT partition, next_offset, place FROM {quoted(catalog)}.ops.offsets WHERE table_name = ?", [table]
    ).fetchall()
    return {partition: Offset(number, place) for partition, number, place in rows}


def watermark(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> tuple[str, str, str | None] | None:
    """How far an incremental `table` was read, by which code, and the sum of its rows' hashes; see `watermarks`."""
    return connection.execute(
        f"SELECT watermark, code_version, content FROM {quoted(catalog)}.ops.watermarks WHERE table_name = ?", [table]
    ).fetchone()


def commit_offsets(
    connection: duckdb.DuckDBPyConnection, catalog: str, table: str, offsets: Mapping[int, int], run: Run
) -> None:
    """Move `table`'s offsets forward, in the transaction that publishes the events they brought."""
    connection.execute(f"DELETE FROM {quoted(catalog)}.ops.offsets WHERE table_name = ?", [table])
    if offsets:
        connection.executemany(
            f"INSERT INTO {quoted(catalog)}.ops.offsets VALUES (?, ?, ?, ?, ?)",
            [
                [table, partition, int(offset), getattr(offset, "place", ""), run.id]
                for partition, offset in sorted(offsets.items())
            ],
        )


def as_json(value: Any) -> str:
    """`value` as JSON that any parser reads: JSON has no NaN, no bytes, and only text as keys."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def partitions(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> dict[str, PartitionRecord]:
    """The partitions of `table` by key, as they were built last."""
    rows = connection.execute(
        f"""SELECT partition, row_count, data_version, code_version, upstream_versions, source_version
            FROM {quoted(catalog)}.ops.partitions WHERE table_name = ?""",
        [table],
    ).fetchall()
    return {
        key: PartitionRecord(rows, data, code, _versions(text), source) for key, rows, data, code, text, source in rows
    }


@lru_cache(maxsize=1024)
def _versions(text: str) -> Mapping[str, str]:
    # Thousands of partitions share a handful of texts.
    return dict(json.loads(text))
