"""Rejected rows: kept with their reasons until somebody replays or discards them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_project.framework.warehouse.session import Session

if TYPE_CHECKING:
    from pipeline_project.framework.run import Run

KEPT_WHEN_FAILED = 10_000
"""How many rejects of a failed build are kept: nothing was published, so the source still has them all."""


def store(
    session: Session,
    rows_sql: str,
    *,
    table: str,
    run: Run,
    limit: int | None = None,
) -> int:
    """Put rows into the quarantine, in the current transaction; returns how many.

    Args:
        rows_sql: a SELECT with columns `reason_codes VARCHAR[], payload VARCHAR, source_file, source_line`.
        limit: keep only the first so many, by payload.

    A reject's id is a hash of table, payload and the ordinal among equal payloads, so the same row rejected
    again by a later run is the same reject: `last_seen` and the reasons move, `first_seen` and the status stay.
    """
    session.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE __rejects AS
        SELECT md5(concat_ws('\x1f', $table, payload, ordinal::VARCHAR)) AS reject_id,
               reason_codes, payload, source_file, source_line
        FROM (SELECT *, row_number() OVER (PARTITION BY payload ORDER BY source_file, source_line) AS ordinal
              FROM ({rows_sql}))
        {"ORDER BY payload, ordinal LIMIT " + str(limit) if limit is not None else ""}
        """,
        {"table": table},
    )
    session.connection.execute(
        f"""
        MERGE INTO "{session.catalog}".quarantine.rejects AS kept USING __rejects AS new
        ON kept.reject_id = new.reject_id
        WHEN MATCHED THEN UPDATE SET run_id = $run, last_seen = $now, reason_codes = new.reason_codes
        WHEN NOT MATCHED THEN INSERT VALUES (
            new.reject_id, $run, $table, $partition, new.source_file, new.source_line, new.reason_codes,
            new.payload, $now, $now, 'open')
        """,
        {
            "run": run.id,
            "now": run.now,
            "table": table,
            "partition": str(run.partition) if run.partition else None,
        },
    )
    row = session.connection.execute("SELECT count(*) FROM __rejects").fetchone()
    session.connection.execute("DROP TABLE __rejects")
    return int(row[0]) if row else 0
