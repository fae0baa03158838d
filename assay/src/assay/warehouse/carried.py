"""A large table's profile and content hash, carried on from the rows that go and come instead of read anew.

The books keep the sum of the rows' hashes in `ops.watermarks`, beside an empty watermark where a table has none. It counts only
with the code that wrote it, and where it gives the hash of the newest publication with as many rows as there are now: what was
replayed, added or taken out by hand, or written by an older version, another engine or another DuckDB is read anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import duckdb

from assay.contract.profile import ColumnProfile, Profile, Sums, digest, sums, updated
from assay.sql import quoted
from assay.warehouse import ops
from assay.warehouse.builds import REPLACED, Build

if TYPE_CHECKING:
    from assay.warehouse.session import Session

LARGE = 1_000_000
"""Of so many rows a profile is carried on; fewer are read again in less than 0.1 s."""


@dataclass(frozen=True)
class Carried:
    """The published rows in numbers, and those of them that a build takes away."""

    before: Profile
    went: Sums


def begin(session: Session, build: Build, come: int) -> Carried | None:
    """What to go on from, before the published rows change; None where all rows are to be read.

    Args:
        come: how many rows are staged; where partitions of more than half as many are built, reading all costs no more.
    """
    if not session.keeps_books or not build.keeps_existing(session):
        return None
    last = session.last_publication(build.table.name)
    if last is None or last.rows < LARGE or last.code_version != build.code_version:
        return None
    if build.since is None and 2 * come > last.rows:
        return None
    found = session.from_books(partial(ops.watermark, session.connection, table=build.table.name), "ops.watermarks")
    version, _, total = ((found and found[2]) or "").rpartition(" ")
    if version != _hashed_by(session):
        return None
    theirs = digest(build.contract.columns, session.count(build.table), int(total))
    columns = tuple(ColumnProfile(**dict(column)) for column in last.profile)
    if theirs != last.data_version or [each.name for each in columns] != [*build.contract.duckdb_columns]:
        return None
    existing, going = session.relation(build.table), REPLACED
    if build.since is None:
        going = f"(FROM {existing} WHERE {'false' if build.table.appends else build.in_partition})"
    went = sums(session.connection, going, build.contract.columns)
    return Carried(Profile(last.rows, columns, theirs, int(total)), went)


def profiled(session: Session, build: Build, carried: Carried, added: str) -> Profile:
    """The profile of the published table, to which the rows of `added` came."""
    table, columns = session.relation(build.table), build.contract.columns
    came = sums(session.connection, added, columns)
    return updated(session.connection, table, columns, carried.before, carried.went, came)


def note(session: Session, build: Build, profile: Profile) -> None:
    """Write down what the next build goes on from, in the transaction that publishes."""
    table, book = build.table, f"{quoted(session.catalog)}.ops.watermarks"
    if profile.rows < LARGE or not (table.load or table.partitions or table.appends):
        return
    if table.load is None:
        session.connection.execute(f"DELETE FROM {book} WHERE table_name = ?", [table.name])
        session.connection.execute(
            f"INSERT INTO {book} VALUES (?, '', ?, NULL, ?)", [table.name, build.code_version, build.run.id]
        )
    content = f"{_hashed_by(session)} {profile.total}"
    session.connection.execute(f"UPDATE {book} SET content = ? WHERE table_name = ?", [content, table.name])


def _hashed_by(session: Session) -> str:
    """Whose hashes they are: those of one engine, version and way of hashing are comparable."""
    return f"{session.name} {duckdb.__version__} 2"
