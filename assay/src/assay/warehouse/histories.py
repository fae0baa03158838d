"""What a build of a history makes of the rows it staged: versions that open, that close, and that go on.

The staging table is left with the versions to write: those that open, and the published ones that close, which stand in
`REPLACED` as they were. So a history is published as a merge by its key, which holds the time a version begins.
"""

from __future__ import annotations

import datetime as dtm
from typing import TYPE_CHECKING

import ibis

from assay.errors import WiringError
from assay.sql import literal, quoted
from assay.tables.results import CheckResult
from assay.warehouse.builds import REPLACED, Build
from assay.warehouse.merging import Merged, count, same
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.session import Session, qualified
from assay.warehouse.verdicts import key_summary

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.loads import History
    from assay.tables.nodes import TableDef
    from assay.tables.run import Run
    from assay.warehouse.staging import Staged


def dated(table: TableDef, load: History, rows: ibis.Table, contract: Contract, run: Run) -> ibis.Table:
    """Rows as they are now as versions that begin, at the run's moment or when the rows say, and do not end.

    Raises:
        WiringError: the rows have these columns already, or not the one that says.
    """
    given = {load.valid_from, load.valid_to} & set(rows.columns)
    if given or (load.at is not None and load.at not in rows.columns):
        told = f"gives '{min(given)}' itself" if given else f"has no column '{load.at}', which tells since when"
        raise WiringError(f"'{table.name}' {told}", where=str(table.file), fix="Return the rows as they are now.")
    kind = contract.schema[load.valid_from]
    # Timestamps without a zone are in UTC here.
    now = run.now if kind.timezone else run.now.astimezone(dtm.UTC).replace(tzinfo=None)
    start = rows[load.at] if load.at is not None else ibis.literal(now, kind)
    dated = rows.mutate(**{load.valid_from: start, load.valid_to: ibis.null(contract.schema[load.valid_to])})
    left_out = {load.at} - set(contract.duckdb_columns)
    ordered = [name for name in contract.duckdb_columns if name in dated.columns]
    return dated.select(*ordered, *(name for name in dated.columns if name not in {*ordered, *left_out}))


def arrange(session: Session, build: Build, staged: Staged) -> Merged:
    """Sort the staged rows against the versions that are open; the moment of what is missing is the run's."""
    load, contract, relation, execute = build.history, build.contract, staged.relation, session.connection.execute
    names, start, end = load.names(contract.key), quoted(load.valid_from), quoted(load.valid_to)
    key = _repeats(session, build, relation, names)
    before = session.count(build.table) if build.since is not None else 0
    if build.since is None or not key.passed:
        going = f"SELECT 0::BIGINT AS __row, {_columns(build, 's')} FROM {relation} AS s WHERE false"
        execute(f"CREATE OR REPLACE TEMP TABLE {REPLACED} AS {going}")
        counts = {"inserted": staged.published} if key.passed else {}
        return Merged(before, before + sum(counts.values()), counts, build.run.now.isoformat(), 0, key)
    existing, kind = session.relation(build.table), contract.duckdb_columns[load.valid_from]
    listed = ", ".join(map(quoted, names))
    execute(  # a key that comes back does not begin before it ended
        f"""UPDATE {relation} AS s SET {start} = greatest(s.{start}, e.ended)
            FROM (SELECT {listed}, max({end}) AS ended FROM {existing} SEMI JOIN {relation} USING ({listed})
                  GROUP BY ALL HAVING bool_and({end} IS NOT NULL)) AS e
            WHERE {same(names, "s", "e")}"""
    )
    compared = load.compare or [name for name in contract.duckdb_columns if name not in (*contract.key, load.valid_to)]
    there = ", ".join(f"{quoted(name)} := e.{quoted(name)}" for name in contract.duckdb_columns)
    execute(
        f"""CREATE OR REPLACE TEMP TABLE __met AS
            SELECT s.rowid AS staged_row, e.rowid AS __row, struct_pack({there}) AS there, s.{start} AS ends,
                CASE WHEN {same(compared, "s", "e", "IS NOT DISTINCT FROM")} THEN 'unchanged'
                     WHEN s.{start} <= e.{start} THEN 'older' ELSE 'updated' END AS what
            FROM {relation} AS s JOIN {existing} AS e ON {same(names, "s", "e")} AND e.{end} IS NULL"""
    )
    counts = dict(execute("SELECT what, count(*) FROM __met GROUP BY 1").fetchall())
    counts["inserted"] = staged.published - sum(counts.values())
    now = _moment(build, kind)
    missing = "SELECT __row, there.*, ends FROM __met WHERE what = 'updated'"
    # What is broken is not gone; of a row that could not be read nobody knows the key.
    if load.complete and not count(session, "SELECT count(*) FROM __rejects WHERE malformed"):
        arrived = quarantine.with_rejects(contract, relation, list(names))
        missing += f""" UNION ALL SELECT e.rowid, {_columns(build, "e")}, {now} FROM {existing} AS e
            ANTI JOIN ({arrived}) AS s ON {same(names, "s", "e")} WHERE e.{end} IS NULL AND e.{start} < {now}"""
    execute(f"CREATE OR REPLACE TEMP TABLE __closing AS {missing}")
    execute(f"CREATE OR REPLACE TEMP TABLE {REPLACED} AS SELECT * EXCLUDE (ends) FROM __closing")
    execute(f"DELETE FROM {relation} WHERE rowid IN (SELECT staged_row FROM __met WHERE what <> 'updated')")
    execute(f"INSERT INTO {relation} BY NAME SELECT * EXCLUDE (__row, ends) REPLACE (ends AS {end}) FROM __closing")
    counts["unlisted"] = count(session, f"SELECT count(*) FROM {REPLACED}") - counts.get("updated", 0)
    execute("DROP TABLE __met; DROP TABLE __closing")
    after = before + counts["inserted"] + counts.get("updated", 0)
    return Merged(before, after, counts, build.run.now.isoformat(), 0, key)


def _repeats(session: Session, build: Build, relation: str, names: tuple[str, ...]) -> CheckResult:
    """Whether the rows that arrived have each key once."""
    problems = build.contract.key_problems(session.connection, relation, key=names)
    target = qualified(session.catalog, build.table.stage, build.table.name)
    told = key_summary(names, problems.nulls, problems.excess) if not problems.sound else ""
    return CheckResult(
        "unique_key",
        problems.sound,
        "error",
        told or f"({', '.join(names)}) has one version at a time",
        failing=problems.nulls + problems.excess,
        sample=tuple(problems.sample),
        sample_sql=problems.sample_sql.replace(relation, target) if problems.sample_sql else None,
    )


def _moment(build: Build, kind: str) -> str:
    zoned = "TZ" if kind == "TIMESTAMP WITH TIME ZONE" else ""
    return f"CAST({literal(build.moment(kind))}::TIMESTAMP{zoned} AS {kind})"


def _columns(build: Build, of: str) -> str:
    return ", ".join(f"{of}.{quoted(name)}" for name in build.contract.duckdb_columns)
