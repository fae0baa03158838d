"""How the quarantine is kept: what all rows that a build rejects have in common is written once, for the build.

People and programs read the view `quarantine.rejects`, which has both. A reject's id is computed where it is asked for:
written down it would not compress, and be as long as many a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.sql import quoted

if TYPE_CHECKING:
    import duckdb

TABLES = {
    "quarantine.builds": """
        id BIGINT NOT NULL, run_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, partition VARCHAR,
        seen_at TIMESTAMPTZ NOT NULL, published BOOLEAN NOT NULL""",
    # Payloads in zstd take a third of the processor's time that DuckDB's own choice takes, and less room.
    "quarantine.rejected": """
        build BIGINT NOT NULL, own_id VARCHAR, source_file VARCHAR, source_line BIGINT, reason_codes VARCHAR[] NOT NULL,
        payload VARCHAR NOT NULL USING COMPRESSION zstd, first_seen TIMESTAMPTZ, status VARCHAR NOT NULL,
        set_aside BOOLEAN NOT NULL, malformed BOOLEAN NOT NULL""",
}
"""Rows whose `build` is none of `builds` are those of a build that is not at its end, or was killed.

`own_id` is the id of a row that has another one than its content gives, `first_seen` is null where its build saw it first.
"""
VIEW, COLUMNS = "quarantine.rejects", 13
"""What everybody reads, and how many columns it has, as has the table that older warehouses have in its place."""


def reject_id(table: str) -> str:
    """SQL over `rejected`: a row's id; `table` is SQL for the table's name."""
    return rf"coalesce(own_id, md5(concat_ws('\x1f', {table}, payload)))"


def listed(schema: str = "") -> str:
    """SQL: the rejects of the builds in `schema`, such as `warehouse.quarantine`, and `__row`, where each stands in `rejected`."""
    schema = schema and f"{schema}."
    return f"""
        SELECT {reject_id("table_name")} AS reject_id, run_id, table_name, partition, source_file, source_line, reason_codes,
               payload, coalesce(first_seen, seen_at) AS first_seen, seen_at AS last_seen, status,
               published OR set_aside AS set_aside, malformed, rejected.rowid AS __row
        FROM {schema}rejected AS rejected JOIN {schema}builds AS builds ON build = builds.id"""


def prepare(connection: duckdb.DuckDBPyConnection, catalog: str, *, older: bool) -> None:
    """Make the view, in a transaction that made the tables; with `older` of what stands there as a table."""
    schema = f"{quoted(catalog)}.quarantine"
    if older:
        connection.execute(f"CREATE TEMP TABLE __older AS FROM {schema}.rejects; DROP TABLE {schema}.rejects")
        take(connection, catalog, "__older")
        connection.execute("DROP TABLE __older")
    # By their names alone, which DuckDB looks for beside the view: a file is opened under any name, also as `quarantine`.
    connection.execute(f"CREATE VIEW IF NOT EXISTS {schema}.rejects AS SELECT * EXCLUDE (__row) FROM ({listed()})")


def take(connection: duckdb.DuckDBPyConnection, catalog: str, rows: str) -> None:
    """Write rejects of another quarantine: `rows` has the columns of the view."""
    schema, build = f"{quoted(catalog)}.quarantine", "(hash(run_id, table_name, partition, last_seen) >> 1)::BIGINT"
    connection.execute(
        f"""INSERT INTO {schema}.builds
            SELECT DISTINCT {build} AS id, run_id, table_name, partition, last_seen, false FROM {rows}
            WHERE id NOT IN (SELECT id FROM {schema}.builds);
            INSERT INTO {schema}.rejected
            SELECT {build}, reject_id, source_file, source_line, reason_codes, payload, first_seen, status, set_aside,
                   malformed FROM {rows}"""
    )


def change(connection: duckdb.DuckDBPyConnection, catalog: str, values: str, where: str, parameters: Any = None) -> int:
    """Change rejects, by SQL over the view's columns that says which; returns how many there were."""
    schema = f"{quoted(catalog)}.quarantine"
    found = f"SELECT __row FROM ({listed(schema)}) WHERE {where}"
    changed = connection.execute(f"UPDATE {schema}.rejected SET {values} WHERE rowid IN ({found})", parameters)
    return int(changed.fetchall()[0][0])


def remove(connection: duckdb.DuckDBPyConnection, catalog: str, where: str, parameters: Any = None) -> None:
    """Remove rejects, by SQL over the view's columns and `__row`, and the builds that are left without any."""
    schema = f"{quoted(catalog)}.quarantine"
    connection.execute(
        f"DELETE FROM {schema}.rejected WHERE rowid IN (SELECT __row FROM ({listed(schema)}) WHERE {where})", parameters
    )
    connection.execute(f"DELETE FROM {schema}.builds WHERE id NOT IN (SELECT build FROM {schema}.rejected)")


def sweep(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Remove the rows of builds that were killed before they could say what became of them."""
    schema = f"{quoted(catalog)}.quarantine"
    connection.execute(f"DELETE FROM {schema}.rejected WHERE build NOT IN (SELECT id FROM {schema}.builds)")
