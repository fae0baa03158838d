"""Stage and split: rows with a bit mask of broken rules, then good rows here and rejected rows aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import ibis.expr.operations as ops

from assay import notices
from assay.contract.uniqueness import find_suspects
from assay.sql import literal, quoted
from assay.tables.loads import Incremental
from assay.tables.places import SOURCE_COLUMNS
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.quarantine import shape
from assay.warehouse.repeats import losers_sql
from assay.warehouse.session import Session, qualified

if TYPE_CHECKING:
    import ibis

    from assay.contract.contract import Contract
    from assay.sources.base import Landed
    from assay.tables.nodes import KeepFirst, TableDef
    from assay.warehouse.parts import Parts

PREFIX = "__staging_"  # How the names of staging tables begin.
REFUSED = "__refused_"  # How the names of tables begin that keep what a failed audit refused.
MANY = 20  # One of so many rows that break rules are many.
REPEAT = "unique_key.repeat"  # The reason code of rows that repeat a key whose first row is kept.


@dataclass
class Staged:
    """Rows on their way: counted, split, not yet visible to anybody.

    Attributes:
        relation: the quoted SQL name of the staging table.
        staged: rows that arrived, malformed ones included.
        reasons: rejected rows per reason code; a row that broke two rules counts under both.
        after: rows of the table after publishing, where others stay beside these.
        waiting: rows left out because their partition is not over yet; not counted as staged.
        sample: some of the rejected rows, masked.
        first_place: where the first rejected row stood in its source, as `file:line`, if known.
        extras: the connector's own columns in the staging table.
        masks: the mask columns in it, which an engine has computed; DuckDB judges rows where they stand.
        broken: how many rows the temporary table `__broken` has, if they were judged where they come from.
        over_budget: whether so many rows broke rules that nothing will be published; then not all of them are kept.
    """

    relation: str
    staged: int = 0
    rejected: int = 0
    published: int = 0
    after: int | None = None
    waiting: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    sample: Sequence[Mapping[str, Any]] = ()
    first_place: str | None = None
    extras: Sequence[str] = ()
    masks: Sequence[str] = ()
    broken: int | None = None
    over_budget: bool = False


def narrow(session: Session, expression: ibis.Table, taken: Sequence[str]) -> ibis.Table:
    """The rows that a build takes, by the SQL of `Build.taken`; what is not only scanned is computed once."""
    if not taken:
        return expression
    plain = not expression.op().find((ops.Aggregate, ops.JoinChain, ops.Set, ops.WindowFunction))
    among = taken if plain else (f"({' OR '.join(taken)})",)
    rows = session.sql(expression)
    return session.landed(" UNION ALL ".join(f"SELECT * FROM ({rows}) WHERE {each}" for each in among))


@contextmanager
def staging_table(session: Session, table: TableDef, *, merged: bool) -> Iterator[str]:
    """The quoted name of the table's staging table, which does not outlive the block.

    Args:
        merged: whether its rows are merged into published ones: then a temporary table spares writing them twice.
    """
    session.make_schema(table.stage)
    place = ("temp", "main") if merged else (session.catalog, table.stage)
    relation = qualified(*place, f"{PREFIX}{table.name}")
    try:
        yield relation
    except BaseException:
        session.stop()
        # After a full disk or an invalidated database nothing can be dropped; the next session does it.
        with suppress(duckdb.Error):
            session.connection.execute(f"DROP TABLE IF EXISTS {relation}")
            session.connection.execute("DROP TABLE IF EXISTS temp.main.__broken")
            quarantine.forget(session)
        raise


def sweep(session: Session) -> None:
    """Drop the staging tables of builds that were killed, and what they had rejected."""
    left = session.connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? AND starts_with(table_name, ?)",
        [session.catalog, PREFIX],
    ).fetchall()
    for schema, name in left:
        session.connection.execute(f"DROP TABLE {qualified(session.catalog, schema, name)}")
    shape.sweep(session.connection, session.catalog)


def stage(
    session: Session,
    table: TableDef,
    contract: Contract,
    expression: ibis.Table,
    landed: Landed | None,
    relation: str,
) -> Staged:
    """Write the rows into the staging table and count those that arrived; none is split off yet.

    The columns are the contract's, in its order. Further ones, which a contract that is not strict allows, are
    left out: nobody described, classified or audited them.
    """
    notices.phase("computing rows")
    names = [column.name for column in contract.columns]
    wanted = [*names, *(name for name in beside(table) if name in expression.columns and name not in names)]
    if wanted != list(expression.columns):
        expression = expression.select(*wanted)
    extras = wanted[len(names) :]
    if session.engine is not None:
        rows, masks = session.engine.labelled(session, table, expression, extras), contract.mask_columns
    else:
        rows, masks = _as_declared(session, contract, session.sql(expression)), ()
    broken, alone = None, session.engine is None and table.load is None and table.partitions is None
    if alone and contract.row_rules and _stands(expression):
        # What is only copied is judged before, and broken rows are left out: DuckDB would write a table again that lost many.
        broken = _find_broken(session, rows, contract.broken_rows_sql)
        if broken:
            listed = ", ".join(map(quoted, wanted))
            rows = f"SELECT {listed} FROM ({rows}) WHERE NOT {contract.broken_rows_sql}"
    kind = "TEMP TABLE" if relation.startswith(qualified("temp", "main", "")[:-1]) else "TABLE"
    count = session.number(f"CREATE OR REPLACE {kind} {relation} AS {rows}") + (broken or 0)
    if landed is not None and landed.malformed is not None:
        count += session.number(f"SELECT count(*) FROM ({landed.malformed})")
    return Staged(relation, count, extras=extras, masks=masks, broken=broken)


def _stands(expression: ibis.Table) -> bool:
    """Whether the rows are columns of one table of a database: read twice in a transaction they are the same, and cost little."""
    node = expression.op()
    while isinstance(node, ops.Project) and all(isinstance(value, ops.Field) for value in node.values.values()):
        node = node.parent
    return isinstance(node, ops.DatabaseTable) and node.namespace.catalog is not None


def _find_broken(session: Session, rows: str, where: str) -> int:
    """Put the rows that break rules into `__broken`; returns how many there are.

    Which rules is asked of those alone: DuckDB takes twice as long to plan the masks as to plan whether any rule is broken.
    """
    return session.number(f"CREATE OR REPLACE TEMP TABLE __broken AS SELECT * FROM ({rows}) WHERE {where}")


def beside(table: TableDef) -> tuple[str, ...]:
    """Columns that a function's rows may have and the table does not."""
    marker = table.load.deleted if isinstance(table.load, Incremental) else None
    return SOURCE_COLUMNS if marker is None else (*SOURCE_COLUMNS, marker)


def _as_declared(session: Session, contract: Contract, rows: str) -> str:
    """`rows` with the contract's types where DuckDB computes in another one than Ibis says.

    DuckDB sums BIGINT as HUGEINT, and Ibis calls the sum int64: left alone, the table would not have the
    contract's type. A value that does not fit fails the build.
    """
    described = session.connection.execute(f"DESCRIBE {rows}").fetchall()
    actual = {row[0]: row[1] for row in described}
    casts = [
        f"CAST({quoted(name)} AS {wanted}) AS {quoted(name)}"
        for name, wanted in contract.duckdb_columns.items()
        if actual[name] != wanted
    ]
    return f"SELECT * REPLACE ({', '.join(casts)}) FROM ({rows})" if casts else rows


def split(
    session: Session,
    table: TableDef,
    contract: Contract,
    staged: Staged,
    landed: Landed | None,
    existing: str | None,
    parts: Parts | None = None,
) -> None:
    """Collect the rejected rows; leaves the staging table with the good rows.

    Args:
        staged: as `stage` returned it; the rest of it is filled in.
        existing: SQL of the published rows that stay; None if there are none.
        parts: what is built of a partitioned table.
    """
    notices.phase(f"{staged.staged:,} rows, looking for broken ones")
    relation = staged.relation
    if parts is not None:
        staged.waiting = session.number(f"DELETE FROM {relation} WHERE {parts.waiting}")
        staged.staged -= staged.waiting
    quarantine.begin(session, table)
    if landed is not None and landed.malformed is not None:
        malformed_aside(session, table, landed.malformed, staged)
    if contract.row_rules:
        if staged.broken is None:
            _take_broken_out(session, table, contract, staged)
        if staged.broken:
            _set_broken_aside(session, table, contract, staged)
        session.connection.execute("DROP TABLE __broken")
    if parts is not None:
        _set_aside(session, table, contract, staged, parts.code, parts.outside())
    if table.keep is not None:
        _set_repeats_aside(session, table, contract, table.keep, staged, existing)
    staged.published = session.number(f"SELECT count(*) FROM {relation}")


def tell(session: Session, table: TableDef, contract: Contract, staged: Staged) -> None:
    """Give the rejected rows, which are committed, their ids, and find those to be told of."""
    if staged.rejected:
        quarantine.identify(session, table, staged.rejected)
        staged.sample = quarantine.sample(session, contract)
        staged.first_place = quarantine.first_place(session)


def strip(session: Session, contract: Contract, staged: Staged) -> None:
    """Leave the staging table with the contract's columns alone; nothing is copied."""
    notices.phase(f"{staged.published:,} rows, checking them")
    for column in (*staged.masks, *staged.extras):
        session.connection.execute(f"ALTER TABLE {staged.relation} DROP COLUMN {quoted(column)}")


def place(extras: Sequence[str]) -> str:
    """SQL: where a staged row stood in its source, if its columns `extras` tell."""
    file, line = (column if column in extras else "NULL" for column in SOURCE_COLUMNS)
    return f"{file}::VARCHAR AS source_file, {line}::BIGINT AS source_line"


def malformed_aside(session: Session, table: TableDef, malformed: str, staged: Staged) -> None:
    """Reject the rows of a source that could not be read, which `malformed`, SQL for DuckDB, selects."""
    counts = session.connection.execute(f"SELECT reason_code, count(*) FROM ({malformed}) GROUP BY ALL").fetchall()
    add(staged.reasons, dict(counts))
    staged.rejected += sum(count for _, count in counts)
    quarantine.collect(
        session,
        table,
        f"SELECT [reason_code] AS reason_codes, payload, source_file, source_line FROM ({malformed})",
        malformed=True,
    )


def _take_broken_out(session: Session, table: TableDef, contract: Contract, staged: Staged) -> None:
    """Move the staged rows that break rules into `__broken`."""
    relation, but = staged.relation, ""
    if isinstance(table.load, Incremental) and table.load.deleted is not None:
        # What is said of a key that is gone is nobody's row any more: it needs no more than its key.
        present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in (*contract.key, table.load.cursor))
        but = f" AND ({quoted(table.load.deleted)} AND {present}) IS NOT TRUE"
    rows = f"SELECT rowid AS __row, * FROM {relation}"
    which = contract.broken_sql(staged.masks) if staged.masks else contract.broken_rows_sql
    staged.broken = _find_broken(session, rows, f"{which}{but}")
    if staged.broken:
        gone = "rowid IN (SELECT __row FROM __broken)"
        if staged.broken * MANY > staged.staged:  # then it costs less to judge them again
            gone = f"{which}{but}"
        session.connection.execute(f"DELETE FROM {relation} WHERE {gone}")


def _set_broken_aside(session: Session, table: TableDef, contract: Contract, staged: Staged) -> None:
    """Reject the rows of `__broken`."""
    labelled = "__broken" if staged.masks else f"({contract.labelled_sql('FROM __broken')})"
    broken = contract.broken(session.connection, labelled)
    add(staged.reasons, broken.counts)
    staged.rejected += broken.rejected
    staged.over_budget = not table.max_rejects.tolerates(staged.rejected, staged.staged)
    quarantine.collect(
        session,
        table,
        f"SELECT {contract.reason_codes_sql(broken.masks)} AS reason_codes, {contract.payload_sql()} AS payload, "
        f"{place(staged.extras)} FROM {labelled}",
        counts=broken.masks.values() if staged.over_budget else None,
    )


def _set_aside(session: Session, table: TableDef, contract: Contract, staged: Staged, code: str, among: str) -> None:
    """Reject the staged rows for which the SQL `among` holds, all for the one reason."""
    quarantine.collect(
        session,
        table,
        f"SELECT [{literal(code)}] AS reason_codes, {contract.payload_sql()} AS payload, {place(staged.extras)} "
        f"FROM {staged.relation} WHERE {among}",
    )
    count = session.number(f"DELETE FROM {staged.relation} WHERE {among}")
    staged.rejected += count
    add(staged.reasons, {code: count} if count else {})


def _set_repeats_aside(
    session: Session, table: TableDef, contract: Contract, keep: KeepFirst, staged: Staged, existing: str | None
) -> None:
    """Of rows with the same key keep the first; the others are rejected as `unique_key.repeat`.

    Only the repeated keys are placed in order, and what repeats is usually little. Ties in the declared order are broken by all columns, so that the choice never depends on
    the order in which rows arrived. Published rows that stay take part: those of an event stream came first;
    those of other partitions are placed by the declared order, and one that would have to go fails the audit,
    for a partition's build does not touch it.
    """
    relation, extras = staged.relation, staged.extras
    key = ", ".join(quoted(column) for column in contract.key)
    suspected = find_suspects(session.connection, relation, contract.key, rows=staged.staged)
    found = f"SELECT {key} FROM {relation} WHERE {suspected} GROUP BY ALL HAVING count(*) > 1"
    if existing is not None:
        found += f" UNION SELECT {key} FROM {relation} SEMI JOIN {existing} USING ({key})"
    session.connection.execute(f"CREATE OR REPLACE TEMP TABLE __repeated AS {found}")
    if session.number("SELECT count(*) FROM __repeated"):
        losers = losers_sql(table, contract, keep, relation, extras, existing)
        session.connection.execute(f"CREATE OR REPLACE TEMP TABLE __losers AS {losers}")
        among = "rowid IN (SELECT row_id FROM __losers)"
        _set_aside(session, table, contract, staged, REPEAT, among)
        session.connection.execute("DROP TABLE __losers")
    session.connection.execute("DROP TABLE __repeated")


def add(reasons: dict[str, int], counts: Mapping[str, int]) -> None:
    """Add to the rejected rows per reason code."""
    for code, count in counts.items():
        reasons[code] = reasons.get(code, 0) + count
