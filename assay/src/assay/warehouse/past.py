"""What the books say of the builds and days before, for exports that show it."""

from __future__ import annotations

import datetime as dtm
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay.sql import quoted
from assay.tables.results import Past, PastBuild, PastDay
from assay.warehouse import ops

if TYPE_CHECKING:
    from assay.tables.nodes import TableDef
    from assay.warehouse.session import Session

SHOWN = 30
"""So many builds of each table are told, and as many days of a partitioned one."""


def read(session: Session, tables: Mapping[str, TableDef]) -> Past:
    """The last builds and days of `tables`, oldest first; nothing where no books are kept."""
    if not session.keeps_books:
        return Past()
    builds: dict[str, list[PastBuild]] = {name: [] for name in tables}
    days: dict[str, dict[dtm.date, PastDay]] = {name: {} for name in tables}
    for catalog in session.catalogs_with("ops.metrics"):
        books = f"{quoted(catalog)}.ops"
        judged = session.connection.execute(
            f"""SELECT publication, table_name, day, value, low, high, verdict = 'unusual' FROM {books}.metrics
                WHERE metric = 'rows' AND list_contains(?, table_name) ORDER BY publication, day""",
            [list(tables)],
        ).fetchall()
        bands = {(number, name): band for number, name, _, _, *band in judged if tables[name].partitions is None}
        for _, name, day, rows, low, high, unusual in judged:
            if tables[name].partitions is not None:
                days[name][day] = PastDay(name, day, round(rows), low, high, unusual)
        for number, name, at, failed, rows, seconds, checks in session.connection.execute(
            f"""SELECT id, table_name, published_at, action = 'failed', row_count, seconds, checks FROM {books}.publications
                WHERE list_contains(?, table_name)
                QUALIFY row_number() OVER (PARTITION BY table_name ORDER BY id DESC) <= {SHOWN} ORDER BY id""",
            [list(tables)],
        ).fetchall():
            verdicts = tuple(ops.verdicts(json.loads(checks)).values())
            builds[name].append(PastBuild(name, at, rows, seconds, failed, verdicts, *bands.get((number, name), ())))
    return Past(
        tuple(build for found in builds.values() for build in found[-SHOWN:]),
        tuple(day for found in days.values() for _, day in sorted(found.items())[-SHOWN:]),
    )
