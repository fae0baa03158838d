"""Stage, audit, publish: in one transaction the new version appears whole, or the old one stays.

A reader never sees rows that were not audited. When a blocking check fails, only the rejected rows and the
record of the failure are committed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_project.framework.classification import is_masked
from pipeline_project.framework.errors import AuditFailed
from pipeline_project.framework.results import CheckResult, Publication
from pipeline_project.framework.warehouse import ops, staging, verdicts
from pipeline_project.framework.warehouse.session import Session, qualified

if TYPE_CHECKING:
    import ibis

    from pipeline_project.framework.contract import Contract
    from pipeline_project.framework.partitions import PartitionRange
    from pipeline_project.framework.run import Run
    from pipeline_project.framework.sources.base import Landed
    from pipeline_project.framework.tables import InvariantDef, TableDef


@dataclass(frozen=True, kw_only=True)
class Build:
    """One table's new version, computed but not yet written.

    Attributes:
        expression: the rows, lazily, with the contract's columns.
        upstream: the tables the node and its invariants read, by name.
        partition: the days to replace; None replaces everything.
    """

    table: TableDef
    contract: Contract
    expression: ibis.Table
    run: Run
    upstream: Mapping[str, TableDef]
    invariants: tuple[InvariantDef, ...] = ()
    partition: PartitionRange | None = None
    landed: Landed | None = None
    code_version: str = ""
    upstream_versions: Mapping[str, str] = field(default_factory=dict)
    lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @property
    def where(self) -> str:
        return f"{self.table.stage}.{self.table.name}"


def publish(session: Session, build: Build) -> Publication:
    """Write, audit and publish one table.

    Raises:
        AuditFailed: a blocking check failed; its `checks` and `publication` tell which. The previous version stays.
        SourceError, WarehouseError: the rows could not be read or written. The previous version stays.
    """
    with session.transaction():
        publication = _publish(session, build)
    if publication.failed:
        blocking = [check for check in publication.checks if check.blocks]
        raise AuditFailed(
            "; ".join(f"{check.name}: {check.summary}" for check in blocking),
            where=build.where,
            fix="Nothing was published; the previous version stays.",
            checks=publication.checks,
            publication=publication,
        )
    return publication


def _publish(session: Session, build: Build) -> Publication:
    table, contract = build.table, build.contract
    columns = {name: dtype for name, dtype in build.expression.schema().items() if name not in staging.SOURCE_COLUMNS}
    schema_check = verdicts.schema(table, contract.schema_problems(columns))
    if schema_check.blocks:
        return _record(session, build, _failed(session, build, staging.Staged("", 0, 0, 0), (schema_check,)))
    expression = staging.narrow(build.expression, table, build.partition)
    relation, count = staging.stage(session, table, contract, expression, build.landed)
    staged = staging.split(session, table, contract, build.run, relation, count, build.landed)
    checks = (schema_check, *_audit(session, build, staged))
    if any(check.blocks for check in checks):
        session.connection.execute(f"DROP TABLE {relation}")
        return _record(session, build, _failed(session, build, staged, checks))
    action = _swap(session, build, relation)
    profile = contract.profile(session.connection, session.relation(table))
    if table.appends and build.landed is not None and build.landed.offsets is not None:
        ops.commit_offsets(session.connection, session.catalog, table.name, build.landed.offsets, build.run)
    publication = dataclasses.replace(
        _failed(session, build, staged, checks),
        action=action,
        rows=profile.rows,
        data_version=profile.content_hash,
        profile=profile.columns,
    )
    return _record(session, build, publication)


def _failed(session: Session, build: Build, staged: staging.Staged, checks: tuple[CheckResult, ...]) -> Publication:
    return Publication(
        table=build.table.name,
        stage=build.table.stage,
        action="failed",
        rows=session.count(build.table) if session.exists(build.table) else 0,
        staged=staged.staged,
        rejected=staged.rejected,
        seconds=0.0,
        data_version="",
        code_version=build.code_version,
        checks=checks,
        upstream_versions=build.upstream_versions,
        source_version=build.landed.fingerprint if build.landed else None,
        bytes=build.landed.bytes if build.landed else None,
        partition=str(build.partition) if build.partition else None,
        lineage=build.lineage,
    )


def _record(session: Session, build: Build, publication: Publication) -> Publication:
    timed = dataclasses.replace(publication, seconds=time.perf_counter() - build.started)
    ops.record(session.connection, session.catalog, timed, build.run)
    return timed


def _audit(session: Session, build: Build, staged: staging.Staged) -> list[CheckResult]:
    """Every check but `schema`, on the staged rows as they would stand after publishing."""
    table, contract = build.table, build.contract
    checks = [verdicts.rows_valid(table, staged)]
    if contract.key:
        # Setting repeats aside proves the key of the staged rows; rows that stay must be compared as well.
        proven = table.keep is not None and not _keeps_existing(session, build)
        checks.append(verdicts.unique_key(session, contract, _whole(session, build, staged.relation), proven=proven))
    upstream_rows, arrived = None, staged.staged
    if table.preserves:
        upstream_rows = session.count(build.upstream[table.preserves])
        if build.partition is not None:
            arrived = int(
                session.connection.execute(f"SELECT count(*) FROM ({session.sql(build.expression)})").fetchall()[0][0]
            )
    checks.append(verdicts.reconciles(table, staged, upstream_rows, arrived))
    for reference in table.references:
        target = session.relation(build.upstream[reference.to])
        checks.append(verdicts.reference(session, contract, staged.relation, reference, target))
    if contract.table_rules or build.invariants:
        whole = session.backend.sql(f"SELECT * FROM {_whole(session, build, staged.relation)}")
        checks += verdicts.table_rules(session, contract, whole)
        checks += [_invariant(session, build, declared, whole) for declared in build.invariants]
    return checks


def _invariant(session: Session, build: Build, declared: InvariantDef, whole: ibis.Table) -> CheckResult:
    from pipeline_project.framework.contract import Contract
    from pipeline_project.framework.lineage import column_lineage

    inputs = {
        name: whole if name == build.table.name else session.read(build.upstream[name]) for name in declared.inputs
    }
    contradicting = declared.function(**inputs)
    classes = {
        (name, column.name): column.classification
        for name, model in declared.inputs.items()
        for column in Contract.of(model).columns
    }
    sources = column_lineage(contradicting, inputs)
    hidden = {column for column, pairs in sources.items() if any(is_masked(classes.get(pair)) for pair in pairs)}
    return verdicts.invariant(session, declared, contradicting, hidden)


def _whole(session: Session, build: Build, relation: str) -> str:
    """The table as it would be after publishing: the staged rows, and the existing ones that stay."""
    table = build.table
    if not _keeps_existing(session, build):
        return relation
    existing = session.relation(table)
    kept = f"SELECT * FROM {existing}"
    if not table.appends:
        kept += f" WHERE NOT coalesce({_in_partition(build)}, true)"
    return f"(SELECT * FROM {relation} UNION ALL BY NAME {kept})"


def _keeps_existing(session: Session, build: Build) -> bool:
    return (build.table.appends or build.partition is not None) and session.exists(build.table)


def _in_partition(build: Build) -> str:
    assert build.partition is not None
    assert build.table.partitions is not None
    column = build.table.partitions.column
    return f"\"{column}\" BETWEEN DATE '{build.partition.start}' AND DATE '{build.partition.end}'"


def _swap(session: Session, build: Build, relation: str) -> str:
    """Make the staged rows the published ones; returns what was done."""
    table = build.table
    target = qualified(session.catalog, table.stage, table.name)
    if not _keeps_existing(session, build):
        session.connection.execute(f"DROP TABLE IF EXISTS {target}")
        session.connection.execute(f'ALTER TABLE {relation} RENAME TO "{table.name}"')
        return "partition" if build.partition is not None else "append" if table.appends else "replace"
    existing = session.relation(table)
    if existing != target:
        # A dry run writes into its own copy; the real table is only read.
        session.connection.execute(f"CREATE TABLE {target} AS SELECT * FROM {existing}")
    if not table.appends:
        session.connection.execute(f"DELETE FROM {target} WHERE {_in_partition(build)}")
    session.connection.execute(f"INSERT INTO {target} BY NAME SELECT * FROM {relation}")
    session.connection.execute(f"DROP TABLE {relation}")
    return "append" if table.appends else "partition"
