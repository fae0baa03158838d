"""Replay: run rejected rows through the current contract, and publish what now passes.

What a later build makes of replayed rows: a table that is replaced holds what its source holds, so the next
build evaluates the source again. If the row is still there and passes, it is published from there, once; if it
is rejected again, its reject is open again; if the source no longer has it, the table no longer has it, and the
quarantine still does. A partition's build does the same to its days. An event stream is never read twice, so
replayed rows stay. A history takes only keys of which no version holds: to close one is a build's to do. In the other direction a row that a build has published since is no longer open (see
`quarantine`), so that it cannot be published a second time from here.

Rows are replayed as they were computed: if the table's function changed since, build the table instead.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assay.contract.contract import Contract
from assay.errors import WarehouseError
from assay.sql import quoted
from assay.tables.loads import History
from assay.tables.results import CheckResult, Publication
from assay.warehouse import ops, references, verdicts, versions
from assay.warehouse.failures import explained
from assay.warehouse.merging import same
from assay.warehouse.parts import Parts
from assay.warehouse.publish import failure
from assay.warehouse.quarantine import shape
from assay.warehouse.quarantine.keep import adopt, rejects
from assay.warehouse.session import Session
from assay.warehouse.spanning import spanning
from assay.warehouse.staging import REPEAT
from assay.warehouse.widening import beyond

if TYPE_CHECKING:
    from assay.tables.graph import Graph
    from assay.tables.nodes import TableDef
    from assay.tables.run import Run

_TEMPORARY = ("__replay", "__candidates", "__why", "__passing")


def replay(session: Session, graph: Graph, table: TableDef, run: Run, ids: Sequence[str] | None = None) -> Publication:
    """Publish the open rejects of `table` (or those in `ids`) that pass its current contract.

    The budget does not apply: what fails stays in the quarantine, with its new reasons. Rejects of a build that
    published nothing and malformed rows, which never went through the table's function, are left alone.

    Returns:
        What happened, with action "replay", or "none" if no row passed; `staged` rows were tried, `rejected` stay.

    Raises:
        AuditFailed: the table as a whole would break a rule or an invariant; nothing was changed.
        WarehouseError: the table was never published, or under another contract.
    """
    started = time.perf_counter()
    where = f"{table.stage}.{table.name}"
    with explained(where), session.transaction():
        publication = _replay(session, graph, table, run, ids, started)
        if publication.failed:
            raise failure(publication, where)
    return publication


def _replay(
    session: Session, graph: Graph, table: TableDef, run: Run, ids: Sequence[str] | None, started: float
) -> Publication:
    contract = Contract.of(table.model)
    contract = contract.taking(beyond(session, table, contract))
    _check_columns(session, table, contract)
    adopt(session)
    _choose(session, table, ids)
    _read(session, contract)
    upstream = {name: graph.tables[name] for name in graph.upstream_of(table.name)}
    parts = Parts.of(table, None, run.now)
    _judge(session, table, contract, upstream, parts)
    columns = ", ".join(quoted(column.name) for column in contract.columns)
    session.connection.execute(
        "CREATE OR REPLACE TEMP TABLE __passing AS FROM __candidates ANTI JOIN __why USING (__reject_id)"
    )
    tried, passing = (session.number(f"SELECT count(*) FROM {name}") for name in ("__candidates", "__passing"))
    checks = [_rows_valid(session, tried, passing)]
    if passing:
        target, new = session.relation(table), session.sql(session.landed(_passing(contract)))
        whole = f"(SELECT {columns} FROM {target} UNION ALL SELECT {columns} FROM ({new}))"
        invariants = graph.invariants_of(table.name)
        checks += spanning(session, table, contract, invariants, upstream, whole, parts, target=target)
    publication = _publication(session, table, tried, passing, verdicts.acknowledged(table, checks), started)
    if not publication.failed:
        _settle(session, run)
        if passing:
            publication = _publish(session, table, contract, run, publication)
    for name in _TEMPORARY:
        session.connection.execute(f"DROP TABLE {name}")
    return publication


def _check_columns(session: Session, table: TableDef, contract: Contract) -> None:
    if session.columns(table) != contract.duckdb_columns:
        raise WarehouseError(
            "the published table has other columns than its contract",
            where=f"{table.stage}.{table.name}",
            fix=f"Build it instead: pipeline run {table.name}.",
        )


def _choose(session: Session, table: TableDef, ids: Sequence[str] | None) -> None:
    among = "" if ids is None else "AND list_contains($ids, reject_id)"
    session.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE __replay AS SELECT reject_id AS __reject_id, payload AS __payload FROM {rejects(session)}
            WHERE table_name = $table AND status = 'open' AND set_aside AND NOT malformed {among}""",
        {"table": table.name} | ({} if ids is None else {"ids": list(ids)}),
    )


def _read(session: Session, contract: Contract) -> None:
    """The stored rows as typed rows, labelled; `__why` gets those that do not read back as exactly what was stored."""
    values = []
    for column, expression in zip(contract.columns, contract.from_payload_sql("__payload"), strict=True):
        # A value that is no longer of the column's type must not end the statement.
        name = f" AS {quoted(column.name)}"
        values.append(f"TRY({expression.removesuffix(name)}){name}")
    rows = session.backend.sql(f"SELECT {', '.join(values)}, __reject_id, __payload FROM __replay")
    session.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE __candidates AS {session.duckdb_sql(contract.label(rows))}"
    )
    session.connection.execute("CREATE OR REPLACE TEMP TABLE __why (__reject_id VARCHAR, code VARCHAR)")
    again = contract.payload_sql()
    session.connection.execute(
        f"""INSERT INTO __why
            SELECT __reject_id, if(list_sort(map_keys(stored)) = list_sort(map_keys(again)), 'payload.types', 'payload.columns')
            FROM (SELECT __reject_id, {_as_map("__payload")} AS stored, {_as_map(again)} AS again FROM __candidates)
            WHERE list_sort(map_entries(stored)) IS DISTINCT FROM list_sort(map_entries(again))"""
    )


def _as_map(text: str) -> str:
    return f"""from_json({text}, '"MAP(VARCHAR, JSON)"')"""


def _judge(
    session: Session,
    table: TableDef,
    contract: Contract,
    upstream: Mapping[str, TableDef],
    parts: Parts | None,
) -> None:
    """Collect in `__why` what keeps each candidate from being published."""
    left = "(FROM __candidates ANTI JOIN __why USING (__reject_id))"
    session.connection.execute(
        f"INSERT INTO __why SELECT __reject_id, unnest({contract.reason_codes_sql()}) FROM {left} "
        f"WHERE {contract.broken_sql()}"
    )
    if parts is not None:
        # A row of a partition that is not over yet waits for it here as it does in a build.
        session.connection.execute(
            f"INSERT INTO __why SELECT __reject_id, ? FROM {left} WHERE {parts.outside()} OR {parts.waiting}",
            [parts.code],
        )
    for reference in table.references:
        if reference.severity == "error":
            pairs = zip(reference.columns, reference.to_columns or reference.columns, strict=True)
            wanted = ", ".join(f"{quoted(column)} AS {quoted(name)}" for column, name in pairs)
            to = table if reference.to == table.name else upstream[reference.to]
            other = session.scan(to, among=f"SELECT {wanted} FROM {left}")
            orphans = references.orphans_sql(left, reference, other)
            session.connection.execute(f"INSERT INTO __why SELECT __reject_id, ? {orphans}", [reference.name])
    keys = [(key, "") for key in contract.keys]
    if isinstance(table.load, History):  # of each row one version holds at a time, and a candidate does not end
        start, end = quoted(table.load.valid_from), quoted(table.load.valid_to)
        keys.append((table.load.names(contract.key), f" AND (e.{end} IS NULL OR e.{end} > c.{start})"))
    for key, still in keys:
        listed = ", ".join(quoted(name) for name in key)
        present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in key)
        session.connection.execute(
            f"INSERT INTO __why SELECT __reject_id, 'unique_key.null' FROM {left} WHERE NOT ({present})"
        )
        existing = session.scan(table, among=f"SELECT {listed} FROM {left}")
        session.connection.execute(
            f"INSERT INTO __why SELECT __reject_id, '{REPEAT}' FROM {left} AS c SEMI JOIN {existing} AS e "
            f"ON {same(key, 'c', 'e')}{still}"
        )
        session.connection.execute(
            f"INSERT INTO __why SELECT __reject_id, '{REPEAT}' FROM (SELECT __reject_id, {_place(table, contract, key)} "
            f"AS __place FROM {left}) WHERE __place > 1"
        )


def _place(table: TableDef, contract: Contract, key: tuple[str, ...]) -> str:
    """SQL: more than 1 for a candidate that repeats another's key and must wait."""
    listed = ", ".join(quoted(name) for name in key)
    if table.keep is None or key != contract.key:
        # Nothing says which of them is right, so none of them is published.
        return f"count(*) OVER (PARTITION BY {listed})"
    order = table.keep.order_sql([column.name for column in contract.columns])
    return f"row_number() OVER (PARTITION BY {listed} ORDER BY {', '.join(order)}, __reject_id)"


def _rows_valid(session: Session, tried: int, passing: int) -> CheckResult:
    counts = session.connection.execute(
        "SELECT code, count(*) FROM __why GROUP BY code ORDER BY count(*) DESC, code"
    ).fetchall()
    listed = ", ".join(f"{code} {count:,}" for code, count in counts)
    summary = f"{passing:,} of {tried:,} rows now pass" + (f"; the others stay: {listed}" if counts else "")
    return CheckResult("rows_valid", passing == tried, "warn", summary, failing=tried - passing, reasons=dict(counts))


def _settle(session: Session, run: Run) -> None:
    """What passes is of this run, which saw it last; what does not has its new reasons."""
    schema = f"{quoted(session.catalog)}.quarantine"
    session.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE __replayed AS
            SELECT __row, table_name, partition, first_seen,
                   (hash($run, table_name, partition, 'replay') >> 1)::BIGINT AS build
            FROM ({shape.listed(schema)}) WHERE reject_id IN (SELECT __reject_id FROM __passing)""",
        {"run": run.id},
    )
    session.connection.execute(
        f"""INSERT INTO {schema}.builds
            SELECT DISTINCT build, $run, table_name, partition, $now::TIMESTAMPTZ, true FROM __replayed
            WHERE build NOT IN (SELECT id FROM {schema}.builds)""",
        {"run": run.id, "now": run.now},
    )
    session.connection.execute(
        f"""UPDATE {schema}.rejected AS kept SET status = 'replayed', build = new.build, first_seen = new.first_seen
            FROM __replayed AS new WHERE kept.rowid = new.__row"""
    )
    session.connection.execute("DROP TABLE __replayed")
    session.connection.execute(
        f"""UPDATE {schema}.rejected AS kept SET reason_codes = why.codes FROM (
                SELECT __row, codes FROM ({shape.listed(schema)}) JOIN (
                    SELECT __reject_id AS reject_id, list(DISTINCT code ORDER BY code) AS codes FROM __why GROUP BY ALL)
                USING (reject_id)) AS why
            WHERE kept.rowid = why.__row"""
    )


def _publish(session: Session, table: TableDef, contract: Contract, run: Run, publication: Publication) -> Publication:
    parts = Parts.of(table, None, run.now)
    added = session.add(table, contract, _passing(contract), parts)
    if parts is not None:
        versions.refresh(session, table, added.contents())
    profile = added.profile()
    published = dataclasses.replace(
        publication, action="replay", rows=profile.rows, data_version=profile.content_hash, profile=profile.columns
    )
    number = session.publication_id()
    ops.record(session.connection, session.catalog, number, published, run)
    added.commit(published, number)
    return published


def _passing(contract: Contract) -> str:
    return f"SELECT {', '.join(quoted(column.name) for column in contract.columns)} FROM __passing"


def _publication(
    session: Session, table: TableDef, tried: int, passing: int, checks: tuple[CheckResult, ...], started: float
) -> Publication:
    last = session.last_publication(table.name)
    return Publication(
        table=table.name,
        stage=table.stage,
        action="none",
        rows=session.count(table),
        staged=tried,
        rejected=tried - passing,
        seconds=time.perf_counter() - started,
        data_version=last.data_version if last else "",
        # The published rows are still those of the last build's code and inputs.
        code_version=last.code_version if last else "",
        upstream_versions=last.upstream_versions if last else {},
        source_version=last.source_version if last else None,
        checks=checks,
    )
