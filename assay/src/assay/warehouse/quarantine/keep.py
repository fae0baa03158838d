"""Rejected rows: kept with their reasons until a later build settles them, or somebody replays or discards them.

A build first collects its rejects (`collect`, `identify`) where they stay, under a number that nobody knows yet. When it is
known whether the rest is published, `keep` tells it, in the same transaction: then they are in `quarantine.rejects`.

What a reject's status says:

- `open`: the row is not in the table. `set_aside` tells whether the rest of its build was published without it
  (then it can be replayed), or nothing was (then the next build evaluates it again anyway).
- `resolved`: a later build evaluated the row's source again and no longer rejected it: it is published from
  there, or the source does not have it any more. So a row that the table already has is never replayed into it.
- `replayed`: it passed the contract later, and was published from the quarantine.
- `discarded`: somebody decided that it is not wanted. Being rejected again does not reopen it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import duckdb

from assay.contract.classification import mask
from assay.contract.payload import free
from assay.contract.uniqueness import find_suspects
from assay.sql import literal, quoted
from assay.tables.loads import History
from assay.warehouse.parts import Parts
from assay.warehouse.quarantine import shape
from assay.warehouse.session import Session

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.nodes import TableDef
    from assay.tables.partitions import PartitionRange
    from assay.tables.run import Run

KEPT_WHEN_FAILED = 10_000
"""How many rejects of a failed build are kept, some of every reason: nothing was published, so the source has them all."""
SAMPLE = 10
_LONGEST = 200


def with_rejects(contract: Contract, relation: str, columns: Sequence[str]) -> str:
    """SQL: some of the contract's columns, of the rows of `relation` and of the rows that this build set aside."""
    read = dict(zip((column.name for column in contract.columns), contract.from_payload_sql(), strict=True))
    listed = ", ".join(quoted(name) for name in columns)
    return (
        f"SELECT {listed} FROM {relation} UNION ALL SELECT {', '.join(read[name] for name in columns)} FROM __rejects"
    )


def begin(session: Session, table: TableDef) -> None:
    """Start collecting the rejects of one build, which `__rejects` shows."""
    session.rejecting = uuid.uuid4().int >> 65  # beside any other build, and nobody need be asked
    session.connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW __rejects AS
            SELECT {shape.reject_id(literal(table.name))} AS reject_id, own_id, reason_codes, payload, source_file,
                   source_line, malformed, rowid AS __row
            FROM {_kept(session)} WHERE build = {session.rejecting}"""
    )


def forget(session: Session) -> None:
    """Remove what a build has collected that comes to no end, unless it is known already."""
    session.connection.execute("DROP VIEW IF EXISTS temp.main.__rejects")
    if session.rejecting is not None:
        builds = f"{quoted(session.catalog)}.quarantine.builds"
        session.connection.execute(
            f"DELETE FROM {_kept(session)} WHERE build = {session.rejecting} AND build NOT IN (SELECT id FROM {builds})"
        )


def collect(
    session: Session, table: TableDef, rows_sql: str, *, malformed: bool = False, counts: Iterable[int] | None = None
) -> None:
    """Add rows to the rejects of this build.

    Args:
        rows_sql: a SELECT with columns `reason_codes VARCHAR[], payload VARCHAR, source_file, source_line`.
        malformed: the rows could not be read as the source's columns; the payload is what the connector kept.
        counts: rows per combination of reasons, where it is known already that nothing will be published: only
            `KEPT_WHEN_FAILED` are collected, some of every combination.
    """
    own = "NULL"
    if table.appends:  # its rows never move: there the place is a part of the id
        own = rf"md5(concat_ws('\x1f', {literal(table.name)}, payload, source_file, source_line::VARCHAR))"
    elif isinstance(table.load, History) and table.load.at is None and not malformed:
        # A version that would begin with each build is the same reject all the same.
        undated = f"json_merge_patch(payload, {literal(json.dumps({table.load.valid_from: None}))})"
        own = rf"md5(concat_ws('\x1f', {literal(table.name)}, {undated}))"
    rows = rows_sql if counts is None else _some(rows_sql, counts)
    session.connection.execute(
        f"""INSERT INTO {_kept(session)}
            SELECT {session.rejecting}, {own}, source_file, source_line, reason_codes, payload,
                   NULL, 'open', false, {malformed}
            FROM ({rows})"""
    )


def _some(rows: str, counts: Iterable[int]) -> str:
    """SQL: at most `KEPT_WHEN_FAILED` of `rows`, as many of each combination of reasons as there is room for.

    Args:
        counts: rows per combination. The first rows of each by what they hold: the same whatever their order.
    """
    room, share = KEPT_WHEN_FAILED, 1
    ordered = sorted(counts)
    for place, count in enumerate(ordered):
        share = max(room // (len(ordered) - place), 1)
        if count > share:
            break
        share, room = count, room - count
    first = f"min(struct_pack(payload, source_file, source_line), {max(share, 1)})"
    return f"""SELECT reason_codes, first.payload, first.source_file, first.source_line FROM (
        SELECT reason_codes, unnest({first}) AS first FROM ({rows}) GROUP BY reason_codes)"""


def identify(session: Session, table: TableDef, rows: int) -> None:
    """Give equal ones of so many rejects ids of their own.

    Outside of the transaction that collected them: DuckDB reads what a transaction itself wrote in one thread.
    """
    content = ["own_id", "payload"]
    suspected = find_suspects(session.connection, "__rejects", content, rows=rows)
    order = f"PARTITION BY {', '.join(content)} ORDER BY source_file, source_line"
    if session.number(
        f"""CREATE OR REPLACE TEMP TABLE __equal AS
            SELECT __row, row_number() OVER ({order}) AS ordinal FROM __rejects WHERE {suspected} QUALIFY ordinal > 1"""
    ):
        first = shape.reject_id(literal(table.name))
        session.connection.execute(
            rf"""UPDATE {_kept(session)} AS kept SET own_id = md5(concat_ws('\x1f', {first}, ordinal::VARCHAR))
                 FROM __equal WHERE kept.rowid = __row"""
        )
    session.connection.execute("DROP TABLE __equal")


def keep(
    session: Session,
    table: TableDef,
    run: Run,
    partition: PartitionRange | None,
    *,
    published: bool,
    again: str | None = None,
) -> int:
    """Make the collected rejects known, and settle earlier ones that this build has overtaken.

    A reject's id is a hash of table, payload and the ordinal among equal payloads (for event streams, whose
    places never move, also of the place; for a history not of the time a version begins), so the same row rejected again by a later run is the same reject:
    `last_seen`, the reasons and the place move, `first_seen` stays.

    Args:
        again: SQL: the rejects that this build has evaluated again or overtaken, where it says itself.
        published: whether the rest of the build is published. If not, only `KEPT_WHEN_FAILED` stay, some of each reason.

    Returns:
        How many were kept.
    """
    connection = session.connection
    builds = f"{quoted(session.catalog)}.quarantine.builds"
    found, known = connection.execute(
        f"SELECT (SELECT count(*) FROM __rejects), EXISTS (FROM {builds} WHERE table_name = ?)", [table.name]
    ).fetchall()[0]
    if found > KEPT_WHEN_FAILED and not published:
        place = "row_number() OVER (PARTITION BY reason_codes ORDER BY payload, source_file, source_line)"
        connection.execute(
            f"""DELETE FROM {_kept(session)} WHERE build = {session.rejecting} AND rowid NOT IN (
                    SELECT __row FROM __rejects QUALIFY {place} <= {KEPT_WHEN_FAILED}
                    ORDER BY {place}, payload, source_file, source_line LIMIT {KEPT_WHEN_FAILED})"""
        )
        found = KEPT_WHEN_FAILED
    if known and published:
        _settle(session, table, Parts.of(table, partition, run.now), again)
    if found and known:
        _carry_over(session, table)
    if found:
        values = [session.rejecting, run.id, table.name, str(partition) if partition else None, run.now, published]
        connection.execute(f"INSERT INTO {builds} VALUES (?, ?, ?, ?, ?, ?)", values)
    if known:
        kept = f"SELECT build FROM {_kept(session)}"
        connection.execute(f"DELETE FROM {builds} WHERE table_name = ? AND id NOT IN ({kept})", [table.name])
    connection.execute("DROP VIEW __rejects")
    return int(found)


def _carry_over(session: Session, table: TableDef) -> None:
    """What is remembered of collected rejects that the quarantine has already, which go there."""
    earlier = shape.listed(f"{quoted(session.catalog)}.quarantine")
    if session.number(
        f"""CREATE OR REPLACE TEMP TABLE __known AS
            SELECT new.__row, old.__row AS __before, first_seen, status, set_aside
            FROM __rejects AS new JOIN ({earlier}) AS old USING (reject_id) WHERE table_name = ?""",
        [table.name],
    ):
        session.connection.execute(
            f"""UPDATE {_kept(session)} AS kept SET first_seen = known.first_seen,
                    status = if(known.status = 'discarded', 'discarded', 'open'),
                    set_aside = known.set_aside AND known.status IN ('open', 'discarded')
                FROM __known AS known WHERE kept.rowid = known.__row"""
        )
        session.connection.execute(f"DELETE FROM {_kept(session)} WHERE rowid IN (SELECT __before FROM __known)")
    session.connection.execute("DROP TABLE __known")


def _settle(session: Session, table: TableDef, parts: Parts | None, again: str | None) -> None:
    """Mark as resolved what this build evaluated again and did not reject."""
    evaluated = "true"
    if again is not None:
        evaluated = again
    elif table.appends:
        # Only what a failed build saw is read again: its offsets were not committed.
        evaluated = "NOT set_aside"
    elif parts is not None and parts.asked is not None:
        name, kind = parts.partitions.column, parts.partitions.sql_type
        structure = literal(json.dumps({name: "VARCHAR"}))
        value = f"TRY_CAST(struct_extract(from_json(payload, {structure}), {literal(name)}) AS {kind})"
        evaluated = parts.judged(value)
    gone = f"{evaluated} AND reject_id NOT IN (SELECT reject_id FROM __rejects)"
    shape.change(
        session.connection,
        session.catalog,
        "status = 'resolved'",
        f"table_name = ? AND status = 'open' AND {gone}",
        [table.name],
    )


def rejects(session: Session) -> str:
    """The SQL name of the quarantine that this session reads; it is written by `shape`."""
    return f"{quoted(session.catalog)}.{shape.VIEW}"


def _kept(session: Session) -> str:
    return f"{quoted(session.catalog)}.quarantine.rejected"


def adopt(session: Session) -> None:
    """Give a dry run its own copy of the real quarantine, to replay and discard in."""
    if session.real is None:
        return
    theirs = f"FROM {quoted(session.real)}.{shape.VIEW}"
    with suppress(duckdb.CatalogException):  # nothing was ever built there
        session.connection.execute(f"{theirs} LIMIT 0")
        unknown = f"({theirs} WHERE reject_id NOT IN (SELECT reject_id FROM {rejects(session)}))"
        shape.take(session.connection, session.catalog, unknown)


def sample(session: Session, contract: Contract) -> tuple[Mapping[str, Any], ...]:
    """Some of the collected rejects: up to three for each combination of reasons, classified values masked."""
    groups = session.connection.execute(
        f"""SELECT min(payload, 3) FROM __rejects GROUP BY reason_codes
            ORDER BY count(*) DESC, reason_codes LIMIT {SAMPLE}"""
    ).fetchall()
    payloads = [payload for (group,) in groups for payload in group]
    found = session.connection.execute(
        f"""SELECT reason_codes, payload, source_file, source_line FROM __rejects
            WHERE payload IN ({", ".join("?" * len(payloads)) or "NULL"}) ORDER BY ALL LIMIT {SAMPLE * SAMPLE}""",
        payloads,
    ).fetchall()
    # Of rows that are equal the first is enough.
    first = {(tuple(reasons), payload): (file, line) for reasons, payload, file, line in reversed(found)}
    return tuple(
        _beside({"reasons": ", ".join(reasons), "source": place(*where)}, shown(payload, contract, reasons=reasons))
        for (reasons, payload), where in sorted(first.items(), key=lambda item: item[0])[:SAMPLE]
    )


def _beside(own: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {free(name, row): value for name, value in own.items()} | dict(row)


def first_place(session: Session) -> str | None:
    """Where the first of the collected rejects stood in the source, if the connector said so."""
    row = session.connection.execute(
        """SELECT source_file, source_line FROM __rejects WHERE source_file IS NOT NULL
           ORDER BY source_file, source_line LIMIT 1"""
    ).fetchone()
    return place(*row) if row else None


def place(file: str | None, line: int | None) -> str | None:
    """Where a row stood, as `file:line`."""
    return file if line is None else f"{file or '?'}:{line}"


def shown(
    payload: str, contract: Contract | None, *, reasons: Sequence[str] = (), unmask: bool = False
) -> dict[str, Any]:
    """A payload for people: values of classified and unknown columns masked, long ones cut."""
    found = json.loads(payload)
    classes = classes_of(contract, reasons, found) if contract else {}
    columns = found if isinstance(found, dict) else {"payload": found}
    return {name: cut(value) if unmask else mask(cut(value), classes.get(name)) for name, value in columns.items()}


def classes_of(contract: Contract, reasons: Iterable[str], payload: Any) -> dict[str, str | None]:
    """The classification of every part of a rejected row's payload.

    A malformed row's `_error` may be seen where it quotes nothing: `amount is no BIGINT`, `expected 6 fields, found 3`.
    """
    classes = {column.name: column.classification for column in contract.columns}
    if any(reason.endswith((".cast", ".columns", ".quote", ".encoding")) for reason in reasons):
        # A source may have a column of that name; then what is wrong is told beside it.
        own = "__error" if isinstance(payload, dict) and "__error" in payload else "_error"
        classes.setdefault(own, "internal")
    return classes


def cut(value: Any) -> Any:
    """A value short enough to be read in a report."""
    text = value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)
    return text if text is None or len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
