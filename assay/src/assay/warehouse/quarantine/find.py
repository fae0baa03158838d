"""The quarantine as people ask for it: find rejects, look one up, discard."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import PipelineError
from assay.sql import quoted
from assay.warehouse.quarantine import shape
from assay.warehouse.quarantine.keep import place, rejects
from assay.warehouse.session import Session

_COLUMNS = """reject_id AS id, table_name AS "table", partition, source_file, source_line, reason_codes AS reasons, status,
    first_seen, last_seen, run_id, set_aside, malformed, payload"""


@dataclass(frozen=True)
class Reject:
    """One rejected row, as the quarantine has it."""

    id: str
    table: str
    partition: str | None
    source_file: str | None
    source_line: int | None
    reasons: list[str]
    status: str
    first_seen: dtm.datetime
    last_seen: dtm.datetime
    run_id: str
    set_aside: bool
    malformed: bool
    payload: str

    @property
    def place(self) -> str | None:
        """Where the row stood in its source, if the connector said so."""
        return place(self.source_file, self.source_line)


@dataclass(frozen=True)
class Wanted:
    """Which rejects are meant; None means any."""

    table: str | None = None
    reason: str | None = None
    status: str | None = None

    @property
    def where(self) -> str:
        return (
            "($table IS NULL OR table_name = $table) AND ($status IS NULL OR status = $status) "
            "AND ($reason IS NULL OR list_contains(reason_codes, $reason))"
        )

    @property
    def parameters(self) -> dict[str, Any]:
        return {"table": self.table, "status": self.status, "reason": self.reason}


def find(session: Session, wanted: Wanted, *, limit: int | None = None) -> list[Reject]:
    """The newest of the wanted rejects first."""
    some = f"LIMIT {limit}" if limit else ""
    return _read(session, f"WHERE {wanted.where}", wanted.parameters, some)


def count(session: Session, wanted: Wanted) -> tuple[int, dict[tuple[str, str], int]]:
    """How many rejects are wanted, and how many of them for each table and reason code."""
    source = f"FROM {rejects(session)} WHERE {wanted.where}"
    total = session.number(f"SELECT count(*) {source}", wanted.parameters)
    codes = session.connection.execute(
        f"""SELECT table_name, code, count(*) FROM (SELECT table_name, unnest(reason_codes) AS code {source})
            GROUP BY ALL ORDER BY count(*) DESC, table_name, code""",
        wanted.parameters,
    ).fetchall()
    return total, {(table, code): rows for table, code, rows in codes}


def not_kept(session: Session, wanted: Wanted) -> dict[str, int]:
    """Tables whose last build published nothing and rejected more rows than are kept -> how many are not."""
    # A dry run has a copy of the real quarantine, and no copy of its books.
    real = session.real if session.real in session.catalogs_with("ops.publications") else None
    rows = session.connection.execute(
        f"""SELECT table_name, rejected - kept FROM (
                SELECT table_name, max_by(run_id, id) AS run_id, max_by(action, id) AS action,
                       max_by(rejected, id) AS rejected
                FROM {quoted(real or session.catalog)}.ops.publications
                WHERE $table IS NULL OR table_name = $table GROUP BY table_name)
            JOIN (SELECT table_name, run_id, count(*) AS kept FROM {rejects(session)} GROUP BY ALL)
            USING (table_name, run_id)
            WHERE action = 'failed' AND rejected > kept ORDER BY table_name""",
        {"table": wanted.table},
    ).fetchall()
    return {name: int(count) for name, count in rows}


def one(session: Session, reject_id: str) -> Reject:
    """The reject whose id begins with `reject_id`; raises PipelineError if there is none, or more than one."""
    found = _read(session, "WHERE starts_with(reject_id, $id)", {"id": reject_id}, "LIMIT 2")
    if len(found) != 1:
        what = "more than one id begins like this" if found else "no rejected row has this id"
        raise PipelineError(what, where=reject_id, fix="`pipeline quarantine list --json` shows whole ids.")
    return found[0]


def discard(session: Session, ids: Sequence[str]) -> int:
    """Mark the open ones of these rejects as discarded; returns how many there were."""
    return _discard(session, "status = 'open' AND list_contains($ids, reject_id)", {"ids": list(ids)})


def discard_all(session: Session, wanted: Wanted) -> int:
    """Mark all wanted rejects that are open as discarded; returns how many there were."""
    return _discard(session, f"status = 'open' AND {wanted.where}", wanted.parameters)


def left_out(session: Session, wanted: Wanted) -> tuple[int, int]:
    """Of the wanted open rejects, those that a replay leaves alone: malformed ones, and those of failed builds."""
    row = session.connection.execute(
        f"""SELECT count(*) FILTER (malformed), count(*) FILTER (NOT malformed AND NOT set_aside)
            FROM {rejects(session)} WHERE status = 'open' AND {wanted.where}""",
        wanted.parameters,
    ).fetchall()[0]
    return int(row[0]), int(row[1])


def _discard(session: Session, where: str, parameters: dict[str, Any]) -> int:
    with session.transaction():
        return shape.change(session.connection, session.catalog, "status = 'discarded'", where, parameters)


def _read(session: Session, where: str, parameters: dict[str, Any], limit: str) -> list[Reject]:
    cursor = session.connection.execute(
        f"SELECT {_COLUMNS} FROM {rejects(session)} {where} ORDER BY last_seen DESC, table_name, id {limit}",
        parameters,
    )
    names = [column[0] for column in cursor.description or ()]
    return [Reject(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
