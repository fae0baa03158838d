"""What DuckDB does for one build: `Staging` on a table beside the published ones; see `publish`.

The staging table is written and split in transactions of its own: DuckDB writes a table again in full when rows are
deleted in the transaction that created it, and marks a few bits when they are deleted later. What publishes, records
and quarantines is one transaction. A crash before it leaves a staging table that the next session drops.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from assay.sql import quoted
from assay.tables.loads import History
from assay.warehouse import (
    carried,
    histories,
    merging,
    preserved,
    references,
    shrinking,
    staging,
    usual,
    verdicts,
    versions,
)
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.session import Session, qualified

if TYPE_CHECKING:
    import datetime as dtm

    from assay.contract.contract import Contract
    from assay.contract.profile import Profile
    from assay.contract.uniqueness import KeyProblems
    from assay.tables.nodes import Reference, TableDef
    from assay.tables.results import CheckResult, Publication
    from assay.warehouse.builds import Build
    from assay.warehouse.carried import Carried
    from assay.warehouse.merging import Merged
    from assay.warehouse.parts import Parts
    from assay.warehouse.preserved import Preserved
    from assay.warehouse.references import Orphans
    from assay.warehouse.shrinking import Replaced
    from assay.warehouse.staging import Staged


@contextmanager
def staged(session: Session, build: Build) -> Iterator[DuckDBStaging]:
    """Write the rows of a build into its staging table, and split the broken ones off."""
    table, contract = build.table, build.contract
    expression = staging.narrow(session, build.expression, build.taken)
    # Of an incremental build's rows those that are there already are no repeats: `merging` tells them.
    existing = build.kept_sql(session) if build.since is None and build.keeps_existing(session) else None
    with staging.staging_table(session, table, merged=build.since is not None) as relation:
        with session.transaction():
            rows = staging.stage(session, table, contract, expression, build.landed, relation)
        with session.transaction():
            staging.split(session, table, contract, rows, build.landed, existing, build.parts)
        staging.tell(session, table, contract, rows)
        # Of a temporary table that loses rows in the transaction that made it DuckDB writes all again as well.
        sort = histories.arrange if isinstance(table.load, History) else merging.arrange
        merged = sort(session, build, rows) if table.load is not None else None
        rows.after = merged.after if merged is not None else None
        yield DuckDBStaging(session, build, rows, merged)


class DuckDBAdded:
    """A published table after rows were added to it; `rows` says how many it has, where that is known."""

    def __init__(self, session: Session, table: TableDef, contract: Contract, parts: Parts | None) -> None:
        self.session, self.table, self.contract, self.parts = session, table, contract, parts
        self.rows: int | None = None

    def profile(self) -> Profile:
        """The published table in numbers."""
        return self.contract.profile(self.session.connection, self.session.relation(self.table), rows=self.rows)

    def contents(self) -> dict[str, tuple[int, str]]:
        """Rows and content hash of each partition that was built and has rows."""
        assert self.parts is not None
        return versions.contents(self.session, self.table, self.contract, self.parts)

    def commit(self, publication: Publication, number: int | None) -> None:
        """Nothing is left to do: the transaction has both."""


class DuckDBStaging(DuckDBAdded):
    """The staged rows of one build; see `protocol.Staging`."""

    def __init__(self, session: Session, build: Build, staged: Staged, merged: Merged | None) -> None:
        super().__init__(session, build.table, build.contract, build.parts)
        self.build, self.staged, self.merged = build, staged, merged
        self.whole = build.whole(session, staged.relation)
        self.target = qualified(session.catalog, build.table.stage, build.table.name)
        self._action = ""
        self._carried: Carried | None = None

    def strip(self) -> None:
        """Leave the contract's columns alone."""
        staging.strip(self.session, self.build.contract, self.staged)

    def broken_before(self) -> Mapping[str, int]:
        """Published rows that stay and break the contract, by reason."""
        contract = self.build.contract
        columns = ", ".join(quoted(column.name) for column in contract.columns)
        labelled = contract.labelled_sql(f"SELECT {columns} FROM {self.build.kept_sql(self.session)}")
        return contract.broken(self.session.connection, f"({labelled})").counts

    def unique_key(self, *, proven: bool) -> CheckResult:
        """The verdict on the keys of the table as it would be; `proven` says that its own was looked after."""
        session, contract, merged = self.session, self.build.contract, self.merged
        if merged and merged.key and (self.build.cursor or self.build.since or not merged.key.passed):
            return merging.beside(session, self.build, merged, self.staged.relation, self.target)
        if self.whole == self.staged.relation:
            rows = self.staged.published
        else:
            last, rows = session.last_publication(self.table.name), None
            if last is not None and last.code_version == self.build.code_version:
                return verdicts.keys(contract, self._arrived_again, proven=proven)
        return verdicts.unique_key(session, contract, self.whole, target=self.target, proven=proven, rows=rows)

    def _arrived_again(self, key: tuple[str, ...]) -> KeyProblems:
        """What is wrong with a key, where this code has audited the published rows: only one that arrived can repeat."""
        session, contract, relation = self.session, self.build.contract, self.staged.relation
        judged, rows = self.whole, None
        if not any(contract.column(name).nullable for name in key):
            listed = ", ".join(map(quoted, key))
            kept = f"FROM {self.build.kept_sql(session)} SEMI JOIN {relation} USING ({listed})"
            judged, rows = f"(FROM {relation} UNION ALL BY NAME {kept})", 2 * self.staged.published
        found = contract.key_problems(session.connection, judged, key=key, rows=rows)
        sql = found.sample_sql and found.sample_sql.replace(judged, self.target)
        return dataclasses.replace(found, sample_sql=sql)

    def replaced(self) -> Replaced:
        """The published rows that the staged ones would take the place of."""
        return shrinking.replaced(self.session, self.build.table, self.build.contract, self.staged, self.build.parts)

    def preserved(self, upstream: Contract, key: Mapping[str, str], how: str) -> Preserved:
        """How the input that the table preserves compares with what became of its rows."""
        session, build, staged = self.session, self.build, self.staged
        if build.partition is not None or staged.waiting or build.since is not None:
            arrived = f"({session.sql(build.expression)})"
        elif staged.rejected and key:
            arrived = f"({quarantine.with_rejects(build.contract, staged.relation, list(key.values()))})"
        else:
            rejected = f"SELECT NULL FROM range({staged.rejected})"
            arrived = (
                f"(SELECT NULL FROM {staged.relation} UNION ALL {rejected})" if staged.rejected else staged.relation
            )
        return preserved.compare(
            session, upstream, key, how, session.relation(build.upstream[str(build.table.preserves)]), arrived
        )

    def orphans(self, declared: Reference) -> Orphans:
        """The rows whose columns are in no row of the table they refer to."""
        build, relation = self.build, self.staged.relation
        # A table may refer to itself, as in an employee's manager.
        itself = declared.to == build.table.name
        other = self.whole if itself else self.session.relation(build.upstream[declared.to])
        judged = self.whole if itself and build.since is not None else relation  # what is deleted may be referred to
        if isinstance(build.table.load, History):  # what was is not judged by what is
            judged = f"(SELECT * FROM {relation} WHERE {quoted(build.table.load.valid_to)} IS NULL)"
        try:
            return references.orphans(self.session, build.contract, judged, declared, other, target=self.target)
        except duckdb.BinderException:
            if not itself:
                self.session.read(build.upstream[declared.to])  # which tells where it is not what its contract says
            raise

    def days(self, names: Sequence[str]) -> dict[dtm.date, tuple[int, ...]]:
        """Rows, and values that are not null of the columns `names`, of each day of the table as it would be."""
        assert self.build.parts is not None
        return usual.days(self.session, self.build.parts, names, self.whole)

    def present(self, names: Sequence[str]) -> tuple[int, ...]:
        """Staged rows, and their values that are not null of the columns `names`."""
        counts = ", ".join(["count(*)", *(f"count({quoted(name)})" for name in names)])
        return self.session.ask(f"SELECT {counts} FROM {self.staged.relation}")[0]

    def refuse(self, outcome: Publication) -> Publication:
        """Keep the rows where a failed check's SQL would otherwise look for them in vain."""
        session, build, staged = self.session, self.build, self.staged
        _forget_refused(session, build.table)
        if not any(not check.passed and self.target in (check.sample_sql or "") for check in outcome.checks):
            session.connection.execute(f"DROP TABLE {staged.relation}")
            return outcome
        whole = self.whole if build.since is not None else None
        shown = _keep_refused(session, build.table, staged.relation, whole)
        shown = shown if whole is not None else build.whole(session, shown)
        checks = tuple(
            dataclasses.replace(check, sample_sql=check.sample_sql and check.sample_sql.replace(self.target, shown))
            for check in outcome.checks
        )
        return dataclasses.replace(outcome, checks=checks)

    def swap(self) -> str:
        """Make the staged rows the published ones; returns what was done."""
        session, build, table, relation = self.session, self.build, self.build.table, self.staged.relation
        _forget_refused(session, table)
        self._carried = carried.begin(session, build, self.staged.published)
        self._action = self._swap(relation)
        return self._action

    def _swap(self, relation: str) -> str:
        session, build, table, target = self.session, self.build, self.build.table, self.target
        if not build.keeps_existing(session):
            session.connection.execute(f"DROP TABLE IF EXISTS {target}")
            session.connection.execute(f"ALTER TABLE {relation} RENAME TO {quoted(table.name)}")
            return "partition" if build.partition is not None else "append" if build.adds else "replace"
        existing = session.relation(table)
        kept = self.whole if build.since is not None else existing
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

    def keep_rejects(self, *, published: bool) -> int:
        """Move the rejected rows into the quarantine; returns how many it has of them."""
        build = self.build
        again = build.seen_again(self.session) if published else None
        return quarantine.keep(self.session, build.table, build.run, build.partition, published=published, again=again)

    def profile(self) -> Profile:
        """The published table in numbers."""
        session, build = self.session, self.build
        if self._carried is not None:
            return carried.profiled(session, build, self._carried, self.staged.relation)
        self.rows = self.staged.published if self._action == "replace" else None
        return super().profile()

    def commit(self, publication: Publication, number: int | None) -> None:
        """The last step of the transaction: what was staged is not needed any more."""
        self.session.connection.execute(f"DROP TABLE IF EXISTS {self.staged.relation}")


def _keep_refused(session: Session, table: TableDef, relation: str, whole: str | None = None) -> str:
    """Keep the staged rows under a name that tells they were refused; returns its quoted SQL name.

    Args:
        whole: SQL of the table as it would have been, to be kept in their place.
    """
    refused = qualified(session.catalog, table.stage, f"{staging.REFUSED}{table.name}")
    if whole is None:
        session.connection.execute(f"ALTER TABLE {relation} RENAME TO {quoted(staging.REFUSED + table.name)}")
    else:
        session.connection.execute(f"CREATE TABLE {refused} AS SELECT * FROM {whole}; DROP TABLE {relation}")
    return refused


def _forget_refused(session: Session, table: TableDef) -> None:
    """Drop what the last failed audit of the table refused."""
    session.connection.execute(
        f"DROP TABLE IF EXISTS {qualified(session.catalog, table.stage, staging.REFUSED + table.name)}"
    )
