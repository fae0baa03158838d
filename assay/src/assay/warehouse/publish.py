"""Stage, audit, publish: in one step the new version appears whole, or the old one stays. What is decided, for every engine.

A reader never sees rows that were not audited. When a blocking check fails, only the rejected rows and the
record of the failure are committed; where the check's rows can only be found among the refused ones, these are
kept beside the table until its next build.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay import notices
from assay.contract.contract import Contract
from assay.tables.results import AuditFailed, CheckResult, Publication
from assay.warehouse import (
    carried,
    ops,
    preserved,
    references,
    shrinking,
    staging,
    usual,
    verdicts,
    versions,
    watermarks,
)
from assay.warehouse.builds import Build
from assay.warehouse.failures import explained
from assay.warehouse.preserved import Preserved
from assay.warehouse.session import Session
from assay.warehouse.spanning import spanning
from assay.warehouse.staging import Staged
from assay.warehouse.widening import widened

if TYPE_CHECKING:
    from assay.tables.nodes import TableDef
    from assay.warehouse.protocol import Staging


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
    schema_check = verdicts.schema(build.table, [*_schema_problems(build), *_published_problems(session, build)])
    if schema_check.blocks:
        with session.transaction():
            outcome = _failed(session, build, _outcome(build, Staged(""), (schema_check,)))
            return _record(session, build, outcome)[0]
    with session.staging(build) as rows, session.transaction():
        return _audited(session, build, rows, schema_check)


def _audited(session: Session, build: Build, rows: Staging, schema_check: CheckResult) -> Publication:
    """The transaction that publishes, or that records why not."""
    table, staged, merged = build.table, rows.staged, rows.merged
    rows.strip()
    checks = [schema_check, *_audit(session, build, rows)]
    judged = usual.judge(session, build, rows) if session.keeps_books else None
    checks += [judged.check] if judged else []
    outcome = _outcome(build, staged, verdicts.acknowledged(table, checks))
    if merged is not None:
        outcome = dataclasses.replace(outcome, changes=merged.changes if build.since is not None else {})
    if outcome.failed:
        outcome = rows.refuse(_failed(session, build, outcome))
        return _record(session, build, _told(outcome, rows.keep_rejects(published=False)))[0]
    stay = build.partition is not None and build.keeps_existing(session)
    outcome = dataclasses.replace(outcome, action=rows.swap())
    rows.keep_rejects(published=True)
    if table.source is not None and not table.appends:  # should it add rows again, then to none of these
        ops.commit_offsets(session.connection, session.catalog, table.name, {}, build.run)
    if table.appends and build.landed is not None and build.landed.offsets is not None:
        ops.commit_offsets(session.connection, session.catalog, table.name, build.landed.offsets, build.run)
        outcome = dataclasses.replace(outcome, offsets=build.landed.offsets)
    if merged is not None:
        watermarks.commit(session, build, merged.watermark)
    if session.keeps_books:
        if build.parts is not None:
            versions.book(session, build.parts, build, rows.contents(), stay=stay)
        notices.phase(f"{staged.published:,} rows, profiling them")
        profile = rows.profile()
        carried.note(session, build, profile)
        outcome = dataclasses.replace(
            outcome, rows=profile.rows, data_version=profile.content_hash, profile=profile.columns
        )
    else:
        outcome = dataclasses.replace(outcome, rows=session.count(table))
    published, number = _record(session, build, outcome)
    if judged is not None:
        usual.keep(session, table.name, judged.noted, build.run)
    rows.commit(published, number)
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
    published = session.columns(build.table)
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


def _record(session: Session, build: Build, publication: Publication) -> tuple[Publication, int | None]:
    """The publication with its seconds, and the number under which the books have it, where they are kept."""
    timed = dataclasses.replace(publication, seconds=time.perf_counter() - build.started)
    if not session.keeps_books:
        return timed, None
    number = session.publication_id()
    ops.record(session.connection, session.catalog, number, timed, build.run)
    if not timed.failed:
        versions.keep_code(session, build.code_version, build.table, *build.invariants, settings=build.run.settings)
    return timed, number


def _audit(session: Session, build: Build, rows: Staging) -> list[CheckResult]:
    """Every check but `schema`, on the staged rows as they would stand after publishing."""
    table, contract, staged, merged = build.table, build.contract, rows.staged, rows.merged
    checks = [verdicts.rows_valid(table, staged, _broken_before(session, build, rows))]
    if contract.key:
        # Setting repeats aside proves the key of the staged rows; rows that stay must be compared as well.
        checks.append(rows.unique_key(proven=table.keep is not None and not build.keeps_existing(session)))
    if merged is not None and build.since is not None:
        replaced = shrinking.Replaced(merged.before)
    else:
        replaced = rows.replaced() if not table.appends or build.anew else shrinking.Replaced()
    after, told = (merged.after, merged.told(build, staged)) if merged is not None else (None, None)
    arrived = _preserved(build, rows)
    checks.append(
        verdicts.reconciles(table, staged, arrived, replaced=replaced, parts=build.parts, after=after, merged=told)
    )
    checks += [references.reference(each, rows.orphans(each)) for each in table.references]
    return checks + spanning(
        session, table, contract, build.invariants, build.upstream, rows.whole, build.parts, target=rows.target
    )


def _broken_before(session: Session, build: Build, rows: Staging) -> Mapping[str, int]:
    """Published rows that stay and break the contract as it is now; looked for where the code has changed."""
    if not build.contract.row_rules or (build.cursor and build.since) or not build.keeps_existing(session):
        return {}  # what goes on from a watermark has the code that wrote it
    last = session.last_publication(build.table.name)
    return {} if last is None or last.code_version == build.code_version else rows.broken_before()


def _preserved(build: Build, rows: Staging) -> Preserved | None:
    """What became of the input that the table preserves, over all partitions; None if it declares none."""
    if not build.table.preserves:
        return None
    contract = Contract.of(build.upstream[build.table.preserves].model)
    key, how = preserved.carried_key(contract, build.contract, build.carried)
    if key and rows.staged.over_budget:
        key, how = {}, "only counted: not every rejected row was kept"
    return rows.preserved(contract, key, how)
