"""What the warehouse keeps of its past, and for how long; without this its books would grow for ever.

Never removed: the last successful publication of a table, which plans and later builds read. Open rejects, on which
somebody has still to decide, stay longer than settled ones, but not for ever: they hold values of persons. What is still
being rejected, open or discarded, is seen again by every build, so it stays.
"""

from __future__ import annotations

import datetime as dtm
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.notices import notice
from assay.sql import quoted
from assay.warehouse.quarantine import shape
from assay.words import rows_told

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Retention:
    """How long: settled `rejects` and `undecided` ones in days after they were last seen, `publications` of each table."""

    rejects: int
    undecided: int
    publications: int


def retire(connection: duckdb.DuckDBPyConnection, catalog: str, keep: Retention, now: dtm.datetime) -> None:
    """Remove what is older, if anything is; that rows nobody decided on are gone is said."""
    rejects, books = f"{quoted(catalog)}.{shape.VIEW}", f"{quoted(catalog)}.ops.publications"
    old = "last_seen < if(status = 'open', $1, $2)"
    before = [now - dtm.timedelta(days=days) for days in (keep.undecided, keep.rejects)]
    found = connection.execute(
        f"SELECT table_name, count(*) FILTER (status = 'open') FROM {rejects} WHERE {old} GROUP BY ALL ORDER BY ALL",
        before,
    ).fetchall()
    if found:
        shape.remove(connection, catalog, old, before)
    for table, count in found:
        if count:
            told = f"{rows_told(count)} rejected, open and last seen more than {keep.undecided} days ago"
            notice(
                f"{table}: removed from the quarantine, as nobody decided on them: {told} (PIPELINE_KEEP_OPEN_REJECTS)"
            )
    crowded = f"FROM {books} GROUP BY table_name HAVING count(*) > $1"
    if connection.execute(f"SELECT 1 {crowded} LIMIT 1", [keep.publications + keep.publications // 10]).fetchone():
        # Not at every run: only once a tenth more is there.
        connection.execute(
            f"""DELETE FROM {books} WHERE id NOT IN (
                    SELECT id FROM {books}
                    QUALIFY row_number() OVER (PARTITION BY table_name ORDER BY id DESC) <= $1)
                AND id NOT IN (SELECT max(id) FROM {books} WHERE action <> 'failed' GROUP BY table_name)""",
            [keep.publications],
        )
        metrics = f"{quoted(catalog)}.ops.metrics"
        connection.execute(
            f"""DELETE FROM {metrics} WHERE rowid NOT IN (
                    SELECT rowid FROM {metrics}
                    QUALIFY row_number() OVER (PARTITION BY table_name, metric ORDER BY day DESC, publication DESC) <= $1)""",
            [keep.publications],
        )
