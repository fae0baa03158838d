"""What an incremental build makes of the rows it staged: which are new, changed, deleted or there already.

The staging table is left with the rows to write, and the temporary table `REPLACED` has the published rows that go. Of
the published rows the key is read, and the other columns where the key arrived: with 100,000 staged rows beside 10
million published ones that takes 0.1 s where these stand together, 0.4 s where they are spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.sql import quoted
from assay.tables.results import CheckResult
from assay.warehouse import verdicts, watermarks
from assay.warehouse.builds import GONE, REPLACED, Build
from assay.warehouse.session import Session, qualified
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.warehouse.staging import Staged

GOING = "'updated', 'deleted'"
"""What staged rows are whose published rows go."""


@dataclass(frozen=True)
class Merged:
    """What became of the staged rows, and of the published ones.

    Attributes:
        before, after: published rows.
        counts: staged rows by what they are: `inserted`, `updated`, `deleted` (with its published row), `unchanged`,
            `gone` (marked as deleted, or of no key that is listed, and not published), `older` (its published row has a
            larger cursor and stays); and `unlisted`, published rows whose key is not listed any more.
        watermark: the largest cursor that arrived; None if none counts. `ahead` rows are later than the run's clock.
        key: the verdict on the key among the rows that arrived, those marked as deleted included.
    """

    before: int
    after: int
    counts: Mapping[str, int]
    watermark: str | None
    ahead: int
    key: CheckResult | None

    @property
    def sound(self) -> bool:
        """Whether no key repeats among the rows that arrived; else nothing is merged."""
        return self.key is None or self.key.passed

    @property
    def changes(self) -> dict[str, int]:
        """What a person asks first."""
        counts = dict(self.counts)
        counts["deleted"] = counts.get("deleted", 0) + counts.get("unlisted", 0)
        return {name: counts.get(name, 0) for name in ("inserted", "updated", "deleted", "unchanged")}

    def told(self, build: Build, staged: Staged) -> str:
        """All of it in words."""
        if build.since is None:
            said = f"{staged.staged:,} staged = {self.after:,} published + {staged.rejected:,} rejected"
        else:
            counts = [f"{rows:,} {name}" for name, rows in self.changes.items()] if self.sound else ["not merged"]
            since = f" since {build.cursor} {build.since.value}" if build.cursor else ""
            said = f"{staged.staged:,} staged{since}: {', '.join(counts)}"
            said += f", {staged.rejected:,} rejected" if staged.rejected else ""
        for name, words in (("gone", "of keys that are gone"), ("older", "older than what is published, which stays")):
            if rows := self.counts.get(name, 0):
                said += f"; {rows_told(rows)} {words}"
        if self.ahead:
            said += f"; {rows_told(self.ahead)} ahead of this clock, which does not move the watermark"
        if build.since is not None and build.cursor and not staged.published:
            said += "; no row at the watermark or above it, where the last build saw some"
        return said


def arrange(session: Session, build: Build, staged: Staged) -> Merged:
    """Sort the staged rows against the published ones; in a build of all rows only those of keys that are gone go."""
    load, contract, relation = build.incremental, build.contract, staged.relation
    watermark, ahead = watermarks.highest(session, contract, load.cursor, relation, build.run)
    key = None
    if contract.key:
        target, proven = qualified(session.catalog, build.table.stage, build.table.name), build.table.keep is not None
        key = verdicts.unique_key(session, contract, relation, target=target, proven=proven, rows=staged.published)
    sound = key is None or key.passed
    listed = f"{session.relation(build.upstream[load.keys])} AS k" if load.keys else ""
    counts: dict[str, int] = {}
    if listed:
        unlisted = f"SELECT s.rowid FROM {relation} AS s ANTI JOIN {listed} ON {same(contract.key, 's', 'k')}"
        counts["gone"] = count(session, f"DELETE FROM {relation} WHERE rowid IN ({unlisted})")
    before = 0 if build.since is None else session.count(build.table)
    # As REPLACED at once: another copy of the rows that are met costs a fourth of finding them.
    session.connection.execute(f"CREATE OR REPLACE TEMP TABLE {REPLACED} AS {_met(session, build, relation)}")
    if build.since is not None and load.merge:  # all columns are compared only where the cursor does not tell
        session.connection.execute(
            f"""UPDATE {REPLACED} AS e SET __what = 'updated' FROM {relation} AS s
                WHERE s.rowid = e.__staged AND e.__what = 'unchanged'
                  AND NOT ({same(contract.duckdb_columns, "s", "e", "IS NOT DISTINCT FROM")})"""
        )
    met = dict(session.connection.execute(f"SELECT __what, count(*) FROM {REPLACED} GROUP BY 1").fetchall())
    new = count(session, f"SELECT count(*) FROM {relation}") - sum(met.values())
    written = f"rowid IN (SELECT __staged FROM {REPLACED} WHERE __what <> 'updated')"
    if load.deleted and (build.since is None or load.merge):
        gone, told = f"coalesce({quoted(load.deleted)}, false)", ", ".join(map(quoted, (*contract.key, load.cursor)))
        session.connection.execute(f"CREATE OR REPLACE TEMP TABLE {GONE} AS SELECT {told} FROM {relation} WHERE {gone}")
        unmet = f"{gone} AND rowid NOT IN (SELECT __staged FROM {REPLACED})"
        counts["gone"] = counts.get("gone", 0) + (
            never := count(session, f"SELECT count(*) FROM {relation} WHERE {unmet}")
        )
        new, written = new - never, f"({gone} OR {written})"
    counts |= {**met, "inserted": new}
    if sound:
        session.connection.execute(f"DELETE FROM {relation} WHERE {written}")
    # Where a key repeats all of its rows are shown, and none of the published ones beside them.
    staying = f"__what NOT IN ({GOING})" if sound else "__row IS NULL"
    session.connection.execute(f"DELETE FROM {REPLACED} WHERE {staying}")
    if listed and build.since is not None and load.merge:
        unlisted = (
            f"SELECT e.rowid AS __row, {_columns(contract, 'e')} FROM {session.relation(build.table)} AS e "
            f"ANTI JOIN {listed} ON {same(contract.key, 'e', 'k')}"
        )
        session.connection.execute(f"INSERT INTO {REPLACED} BY NAME {unlisted}")
    if not sound:
        return Merged(before, before, {}, watermark, ahead, key)
    going = count(session, f"SELECT count(*) FROM {REPLACED}")
    counts["unlisted"] = going - counts.get("updated", 0) - counts.get("deleted", 0)
    after = before - going + counts.get("inserted", 0) + counts.get("updated", 0)
    return Merged(before, after, counts, watermark, ahead, key)


def beside(session: Session, build: Build, merged: Merged, relation: str, target: str) -> CheckResult:
    """Whether every key of the contract holds over the rows that arrived and the published ones, which were audited.

    So only a key of theirs that arrived again can repeat; of a merge's own key that is nothing to look for, and where none are
    published neither.
    """
    assert merged.key is not None
    contract, first = build.contract, 0 if build.cursor and not build.incremental.merge else 1
    for key in contract.keys[first:] if merged.key.passed and build.since is not None else ():
        listed = ", ".join(map(quoted, key))
        if count(session, f"SELECT count(*) FROM {relation} SEMI JOIN {build.kept_sql(session)} USING ({listed})"):
            return verdicts.unique_key(session, contract, build.whole(session, relation), target=target)
    return merged.key


def write(session: Session, build: Build, relation: str, target: str) -> None:
    """Take the published rows that go out of the table `target`, and put the staged ones in."""
    going = f"DELETE FROM {target} AS t USING {REPLACED} AS r WHERE t.rowid = r.__row"
    # What changes together often stands together in time, not by its row's number: other parts of the table are not read then.
    time = quoted(build.cursor or build.history.valid_from)
    if count(session, f"{going} AND t.{time} = r.{time}") < count(session, f"SELECT count(*) FROM {REPLACED}"):
        session.connection.execute(going)
    session.connection.execute(f"INSERT INTO {target} BY NAME SELECT * FROM {relation}")


def _met(session: Session, build: Build, relation: str) -> str:
    """SQL: the staged rows that are not new (`__staged`), `__what` they are, and in a merge the published row that each meets:
    `__row`, and its columns."""
    load, contract = build.incremental, build.contract
    gone, cursor = f"coalesce(s.{quoted(load.deleted)}, false)" if load.deleted else "false", quoted(load.cursor)
    if build.since is None or not load.merge:
        nothing = f"SELECT s.rowid AS __staged, NULL::BIGINT AS __row, 'unchanged' AS __what, {_columns(contract, 's')}"
        if build.since is None:
            return f"{nothing} FROM {relation} AS s WHERE false"
    existing, columns = session.relation(build.table), contract.duckdb_columns
    if load.merge:
        return f"""SELECT s.rowid AS __staged, e.rowid AS __row, {_columns(contract, "e")},
                CASE WHEN s.{cursor} < e.{cursor} THEN 'older' WHEN {gone} THEN 'deleted'
                     WHEN s.{cursor} > e.{cursor} THEN 'updated' ELSE 'unchanged' END AS __what
            FROM {relation} AS s JOIN {existing} AS e ON {same(contract.key, "s", "e")}"""
    listed = ", ".join(map(quoted, columns))
    return f"""{nothing}
        FROM (SELECT rowid, row_number() OVER (PARTITION BY {listed}) AS __place, {listed} FROM {relation}) AS s
        JOIN (SELECT {listed}, count(*) AS __rows FROM {existing} WHERE {cursor} >= {build.since.start} GROUP BY ALL) AS e
        ON {same(columns, "s", "e", "IS NOT DISTINCT FROM")} WHERE s.__place <= e.__rows"""


def same(names: Iterable[str], left: str, right: str, equal: str = "=") -> str:
    """SQL: whether two relations have the same in some columns."""
    return " AND ".join(f"{left}.{quoted(name)} {equal} {right}.{quoted(name)}" for name in names)


def _columns(contract: Contract, of: str) -> str:
    return ", ".join(f"{of}.{quoted(name)}" for name in contract.duckdb_columns)


def count(session: Session, sql: str) -> int:
    """The number that a query gives, or of the rows that a statement changes."""
    return int(session.connection.execute(sql).fetchall()[0][0])
