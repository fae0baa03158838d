"""Stage, audit, publish: in one transaction the new version appears whole, or the old one stays.

A reader never sees rows that were not audited. When a blocking check fails, only the rejected rows and the
record of the failure are committed; where the check's rows can only be found among the refused ones, these are
kept beside the table until its next build.

The staging table, which no reader knows, is written and split in transactions of its own: DuckDB writes a table
again in full when rows are deleted in the transaction that created it, and marks a few bits when they are deleted
later. What publishes, records and quarantines is one transaction. A crash before it leaves a staging table that
the next session drops.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay import notices
from assay.contract.contract import Contract
from assay.sql import quoted
from assay.tables.loads import History
from assay.tables.results import AuditFailed, CheckResult, Publication
from assay.warehouse import (
    histories,
    merging,
    ops,
    preserved,
    shrinking,
    staging,
    usual,
    verdicts,
    versions,
    watermarks,
)
from assay.warehouse.builds import Build
from assay.warehouse.failures import explained
from assay.warehouse.merging import Merged
from assay.warehouse.preserved import Preserved
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.session import Session, qualified
from assay.warehouse.spanning import spanning
from assay.warehouse.widening import widened

if TYPE_CHECKING:
    from assay.tables.nodes import TableDef


def publish(session: Session, build: Build) -> Publication:
    """Write, audit and publish one table.

    Raises:
        AuditFailed: a blocking check failed; its `checks` and `publication` tell which. The previous version stays.
        SourceError, WarehouseError: the rows could not be read or written. The previous version stays.
    """
    with explained(f"{build.where} ({build.table.file})"):
        publication = _publish(session, build)
    if publication.failed:
        raise failure(publication, build.where, dry=session.dry)
    return publication


def failure(publication: Publication, where: str, *, dry: bool = False) -> AuditFailed:
    """The error for a publication with blocking checks; a dry run's refused rows go with its scratch database."""
    blocking = [check for check in publication.checks if check.blocks]
    fix = "Nothing was published; the previous version stays."
    refused = f"{staging.REFUSED}{publication.table}"
    if not dry and any(refused in (check.sample_sql or "") for check in blocking):
        fix += f" The refused rows are in {publication.stage}.{refused} until the next build."
    if any(check.name == "rows_valid" for check in blocking):
        fix += f" See the rows: pipeline quarantine list --table {publication.table}."
    return AuditFailed(
        "; ".join(f"{check.name}: {check.summary}" for check in blocking),
        where=where,
        fix=fix,
        checks=publication.checks,
        publication=publication,
    )


def _publish(session: Session, build: Build) -> Publication:
    build = widened(session, build) if build.table.takes_more else build
    table, contract = build.table, build.contract
    schema_check = verdicts.schema(table, [*_schema_problems(build), *_published_problems(session, build)])
    if schema_check.blocks:
        with session.transaction():
            return _record(
                session, build, _failed(session, build, _outcome(build, staging.Staged(""), (schema_check,)))
            )
    expression = staging.narrow(session, build.expression, build.taken)
    # Of an incremental build's rows those that are there already are no repeats: `merging` tells them.
    existing = build.kept_sql(session) if build.since is None and build.keeps_existing(session) else None
    with staging.staging_table(session, table, merged=build.since is not None) as relation:
        with session.transaction():
            staged = staging.stage(session, table, contract, expression, build.landed, relation)
        with session.transaction():
            staging.split(session, table, contract, staged, build.landed, existing, build.parts)
        if staged.rejected:
            quarantine.identify(session)
        sort = histories.arrange if isinstance(table.load, History) else merging.arrange
        merged = sort(session, build, staged) if table.load is not None else None
        staged.after = merged.after if merged is not None else None
        with session.transaction():
            return _audited(session, build, staged, schema_check, merged)


def _audited(
    session: Session, build: Build, staged: staging.Staged, schema_check: CheckResult, merged: Merged | None
) -> Publication:
    """The transaction that publishes, or that records why not."""
    table, contract, relation = build.table, build.contract, staged.relation
    staging.strip(session, contract, staged)
    checks = [schema_check, *_audit(session, build, staged, merged)]
    judged = usual.judge(session, build, staged, build.whole(session, relation)) if session.keeps_books else None
    checks += [judged.check] if judged else []
    outcome = _outcome(build, staged, verdicts.acknowledged(table, checks))
    if merged is not None:
        outcome = dataclasses.replace(outcome, changes=merged.changes if build.since is not None else {})
    if outcome.failed:
        outcome = _refuse(session, build, staged, _failed(session, build, outcome))
        kept = quarantine.keep(session, table, build.run, build.partition, published=False)
        return _record(session, build, _told(outcome, kept))
    staging.forget_refused(session, table)
    before = merging.known(session, build) if build.since is not None and session.keeps_books else None
    action = _swap(session, build, relation)
    again = build.seen_again(session)
    quarantine.keep(session, table, build.run, build.partition, published=True, again=again)
    if table.source is not None and not table.appends:  # should it add rows again, then to none of these
        ops.commit_offsets(session.connection, session.catalog, table.name, {}, build.run)
    if table.appends and build.landed is not None and build.landed.offsets is not None:
        ops.commit_offsets(session.connection, session.catalog, table.name, build.landed.offsets, build.run)
        outcome = dataclasses.replace(outcome, offsets=build.landed.offsets)
    if merged is not None:
        watermarks.commit(session, build, merged.watermark)
    if session.keeps_books:
        if build.parts is not None:
            versions.book(session, contract, build.parts, build)
        notices.phase(f"{staged.published:,} rows, profiling them")
        profile = merging.profiled(session, build, before, relation) if before is not None else None
        if profile is None:
            rows = staged.published if action == "replace" else None
            profile = contract.profile(session.connection, session.relation(table), rows=rows)
        if merged is not None:
            watermarks.note_content(session, table, profile.total)
        outcome = dataclasses.replace(
            outcome, rows=profile.rows, data_version=profile.content_hash, profile=profile.columns
        )
    else:
        outcome = dataclasses.replace(outcome, rows=session.count(table))
    session.connection.execute(f"DROP TABLE IF EXISTS {relation}")
    published = _record(session, build, dataclasses.replace(outcome, action=action))
    if judged is not None:
        usual.keep(session, table.name, judged.noted, build.run)
    return published


def _told(outcome: Publication, kept: int) -> Publication:
    """The outcome, with how many of the rejected rows the quarantine does not have."""
    if kept >= outcome.rejected:
        return outcome
    more = f"; {kept:,} of them are in the quarantine, some for every reason, and {outcome.rejected - kept:,} are not"
    checks = tuple(
        dataclasses.replace(check, summary=check.summary + more) if check.name == "rows_valid" else check
        for check in outcome.checks
    )
    return dataclasses.replace(outcome, checks=checks)


def _refuse(session: Session, build: Build, staged: staging.Staged, outcome: Publication) -> Publication:
    """Publish nothing; keep the rows where a failed check's SQL would otherwise look for them in vain."""
    target = qualified(session.catalog, build.table.stage, build.table.name)
    staging.forget_refused(session, build.table)
    if not any(not check.passed and target in (check.sample_sql or "") for check in outcome.checks):
        session.connection.execute(f"DROP TABLE {staged.relation}")
        return outcome
    whole = build.whole(session, staged.relation) if build.since is not None else None
    shown = staging.keep_refused(session, build.table, staged.relation, whole)
    shown = shown if whole is not None else build.whole(session, shown)
    checks = tuple(
        dataclasses.replace(check, sample_sql=check.sample_sql and check.sample_sql.replace(target, shown))
        for check in outcome.checks
    )
    return dataclasses.replace(outcome, checks=checks)


def _schema_problems(build: Build) -> list[str]:
    """Where the expression's columns are not the contract's."""
    found = build.expression.schema()
    allowed = set(staging.beside(build.table)) - set(build.contract.duckdb_columns)
    problems = build.contract.schema_problems({name: dtype for name, dtype in found.items() if name not in allowed})
    marker = build.incremental.deleted if build.cursor else None
    if marker is not None and (marker not in found or not found[marker].is_boolean()):
        told = f"is {found[marker]}, not boolean" if marker in found else "is missing"
        return [*map(str, problems), f"'{marker}', which says what is deleted, {told}"]
    return [str(problem) for problem in problems]


def _published_problems(session: Session, build: Build) -> list[str]:
    """Where published rows that stay have other columns than the contract, so that nothing can be added to them."""
    if not build.keeps_existing(session):
        return []
    described = session.connection.execute(f"DESCRIBE {session.relation(build.table)}").fetchall()
    published = {row[0]: row[1] for row in described}
    if published == build.contract.duckdb_columns:
        return []
    wanted = build.contract.duckdb_columns
    changed = [name for name in {**published, **wanted} if published.get(name) != wanted.get(name)]
    again = build.table.rereads
    full = " --full" if build.since is not None or again else ""
    by_hand = not again and (build.table.appends or not build.cursor)
    way = (
        "ALTER it by hand"
        if by_hand and build.partition is None
        else f"build all of it: pipeline run {build.table.name}{full}"
    )
    return [f"the published table has other columns ({', '.join(changed)}); {way}"]


def _outcome(build: Build, staged: staging.Staged, checks: tuple[CheckResult, ...]) -> Publication:
    """What is known before publishing."""
    return Publication(
        table=build.table.name,
        stage=build.table.stage,
        action="failed",
        rows=0,
        staged=staged.staged,
        rejected=staged.rejected,
        seconds=0.0,
        data_version="",
        code_version=build.code_version,
        checks=checks,
        upstream_versions=build.upstream_versions,
        source_version=build.source_version,
        bytes=build.landed.bytes if build.landed else None,
        partition=str(build.partition) if build.partition else None,
        lineage=build.lineage,
    )


def _failed(session: Session, build: Build, outcome: Publication) -> Publication:
    """The outcome where nothing is published: the rows of before stay."""
    return dataclasses.replace(outcome, rows=_published_rows(session, build.table))


def _published_rows(session: Session, table: TableDef) -> int:
    return session.count(table) if session.exists(table) else 0


def _record(session: Session, build: Build, publication: Publication) -> Publication:
    timed = dataclasses.replace(publication, seconds=time.perf_counter() - build.started)
    if session.keeps_books:
        ops.record(session.connection, session.catalog, session.publication_id(), timed, build.run)
        if not timed.failed:
            versions.keep_code(session, build.code_version, build.table, *build.invariants, settings=build.run.settings)
    return timed


def _audit(session: Session, build: Build, staged: staging.Staged, merged: Merged | None) -> list[CheckResult]:
    """Every check but `schema`, on the staged rows as they would stand after publishing."""
    table, contract = build.table, build.contract
    target = qualified(session.catalog, table.stage, table.name)
    whole = build.whole(session, staged.relation)
    checks = [verdicts.rows_valid(table, staged, _broken_before(session, build))]
    if merged is not None and merged.key is not None and (build.cursor or build.since or not merged.key.passed):
        checks.append(merging.beside(session, build, merged, staged.relation, target))
    elif contract.key:
        # Setting repeats aside proves the key of the staged rows; rows that stay must be compared as well.
        proven = table.keep is not None and not build.keeps_existing(session)
        rows = staged.published if whole == staged.relation else None
        checks.append(verdicts.unique_key(session, contract, whole, target=target, proven=proven, rows=rows))
    if merged is not None and build.since is not None:
        replaced = shrinking.Replaced(merged.before)
    else:
        replaced = shrinking.Replaced()
        if not table.appends or build.anew:
            replaced = shrinking.replaced(session, table, contract, staged, build.parts)
    arrived = _preserved(session, build, staged)
    after, told = (merged.after, merged.told(build, staged)) if merged is not None else (None, None)
    checks.append(
        verdicts.reconciles(table, staged, arrived, replaced=replaced, parts=build.parts, after=after, merged=told)
    )
    for reference in table.references:
        # A table may refer to itself, as in an employee's manager.
        itself = reference.to == table.name
        other = whole if itself else session.relation(build.upstream[reference.to])
        judged = whole if itself and build.since is not None else staged.relation  # what is deleted may be referred to
        if isinstance(table.load, History):  # what was is not judged by what is
            judged = f"(SELECT * FROM {staged.relation} WHERE {quoted(table.load.valid_to)} IS NULL)"
        checks.append(verdicts.reference(session, contract, judged, reference, other, target=target))
    return checks + spanning(session, table, contract, build.invariants, build.upstream, whole, build.parts)


def _broken_before(session: Session, build: Build) -> Mapping[str, int]:
    """Published rows that stay and break the contract as it is now, by reason; looked for where the code has changed."""
    contract = build.contract
    if not contract.row_rules or (build.cursor and build.since) or not build.keeps_existing(session):
        return {}  # what goes on from a watermark has the code that wrote it
    last = session.last_publication(build.table.name)
    if last is None or last.code_version == build.code_version:
        return {}
    columns = ", ".join(quoted(column.name) for column in contract.columns)
    labelled = contract.labelled_sql(f"SELECT {columns} FROM {build.kept_sql(session)}")
    return contract.broken(session.connection, f"({labelled})").counts


def _preserved(session: Session, build: Build, staged: staging.Staged) -> Preserved | None:
    """What became of the input that the table preserves, over all partitions; None if it declares none."""
    table = build.table
    if not table.preserves:
        return None
    upstream = build.upstream[table.preserves]
    contract = Contract.of(upstream.model)
    key, how = preserved.carried_key(contract, build.contract, build.carried)
    if key and staged.over_budget:
        key, how = {}, "only counted: not every rejected row was kept"
    if build.partition is not None or staged.waiting or build.since is not None:
        arrived = f"({session.sql(build.expression)})"
    elif staged.rejected and key:
        arrived = f"({quarantine.with_rejects(build.contract, staged.relation, list(key.values()))})"
    else:
        rejected = f"SELECT NULL FROM range({staged.rejected})"
        arrived = f"(SELECT NULL FROM {staged.relation} UNION ALL {rejected})" if staged.rejected else staged.relation
    return preserved.compare(session, contract, key, how, session.relation(upstream), arrived)


def _swap(session: Session, build: Build, relation: str) -> str:
    """Make the staged rows the published ones; returns what was done."""
    table = build.table
    target = qualified(session.catalog, table.stage, table.name)
    if not build.keeps_existing(session):
        session.connection.execute(f"DROP TABLE IF EXISTS {target}")
        session.connection.execute(f"ALTER TABLE {relation} RENAME TO {quoted(table.name)}")
        return "partition" if build.partition is not None else "append" if build.adds else "replace"
    existing = session.relation(table)
    kept = build.whole(session, relation) if build.since is not None else existing
    if existing != target:
        # A dry run writes into its own copy; the real table is only read.
        session.connection.execute(f"CREATE TABLE {target} AS SELECT * FROM {kept}")
    elif build.since is not None:
        merging.write(session, build, relation, target)
    if build.since is None:
        if not table.appends:
            session.connection.execute(f"DELETE FROM {target} WHERE {build.in_partition}")
        session.connection.execute(f"INSERT INTO {target} BY NAME SELECT * FROM {relation}")
    if build.since is not None and (not build.cursor or build.incremental.merge):
        return "merge"
    return "append" if build.adds else "partition"
