"""What the warehouse keeps of its past, and for how long; without this its books would grow for ever.

Never removed: open rejects, for somebody has still to decide, and the last successful publication of a table, which plans
and later builds read. Discarded rejects that are still being rejected are seen again by every build, so they stay, too.
"""

from __future__ import annotations

import datetime as dtm
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.sql import quoted

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Retention:
    """How long: `rejects` in days after they were last seen, `publications` of each table."""

    rejects: int
    publications: int


def retire(connection: duckdb.DuckDBPyConnection, catalog: str, keep: Retention, now: dtm.datetime) -> None:
    """Remove what is older, if anything is."""
    rejects, books = f"{quoted(catalog)}.quarantine.rejects", f"{quoted(catalog)}.ops.publications"
    settled = f"FROM {rejects} WHERE status <> 'open' AND last_seen < $1"
    before = [now - dtm.timedelta(days=keep.rejects)]
    if connection.execute(f"SELECT 1 {settled} LIMIT 1", before).fetchone():
        connection.execute(f"DELETE {settled}", before)
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
