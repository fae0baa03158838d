"""What building a table reports: checks, a profile, the publication, or that its audit failed. Plain data, no behaviour."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from assay.compare.text import visible
from assay.errors import PipelineError

if TYPE_CHECKING:
    from assay.contract.profile import ColumnProfile


Verdict = Literal["passed", "learning", "known", "failed"]
VERDICTS: tuple[Verdict, ...] = ("passed", "learning", "known", "failed")
"""From good to bad."""


@dataclass(frozen=True)
class CheckResult:
    """One check of one table, evaluated before publishing.

    Attributes:
        name: `schema`, `rows_valid`, `unique_key`, `reconciles`, `usual`, a reference's, table rule's or invariant's name.
        severity: "error" blocks publishing when not passed; "warn" reports.
        summary: one sentence with the numbers.
        failing: how many rows (or problems) contradict it.
        known: why it does not hold, where the table declares that as known up to more rows than these; else None.
        untold: whether it could not be judged, so that `failing` rows are neither good nor bad.
        reasons: failing rows per reason code, for `rows_valid`.
        sample: up to ten offending rows, personal and secret values masked.
        sample_sql: the SQL that finds all offending rows, if there is one.
        learning: too little is known to say anything: it neither holds nor fails.
    """

    name: str
    passed: bool
    severity: Literal["error", "warn"]
    summary: str
    failing: int = 0
    known: str | None = None
    untold: bool = False
    reasons: Mapping[str, int] = field(default_factory=dict)
    sample: tuple[Mapping[str, Any], ...] = ()
    sample_sql: str | None = None
    learning: bool = False

    @property
    def blocks(self) -> bool:
        return not self.passed and self.severity == "error"

    @property
    def warns(self) -> bool:
        """Whether it did not hold, is published all the same, and is news."""
        return not self.passed and self.severity == "warn" and self.known is None

    @property
    def verdict(self) -> Verdict:
        """Whether it held, did not, did not as it is known, or cannot be told yet."""
        return verdict_of(self.passed, self.learning, self.known is not None)

    def such_as(self, limit: int = 3) -> tuple[str, ...]:
        """Some offending rows as `such as column=value, column=value`; none where the check is not about rows."""
        if self.passed or self.sample_sql is None:
            return ()
        rows = ({name: value for name, value in row.items() if value is not None} for row in self.sample[:limit])
        return tuple(
            "such as " + ", ".join(f"{name}={visible(str(value))}" for name, value in row.items()) for row in rows
        )


@dataclass(frozen=True)
class Publication:
    """What happened to one table (or export) in one run.

    Attributes:
        action: "replace", "partition", "append", "merge", "none" (nothing new), or "failed".
        rows: rows in the table (all of it) after the publication.
        staged, rejected: rows of this build; `rows added = staged - rejected`.
        data_version: content hash of what was published in this build.
        code_version: hash of the code that made it.
        upstream_versions: data version of every upstream read, by table name.
        source_version: fingerprint of the source read, if any.
        partition: the partitions that were built, if only some were; several ranges after commas.
        changes: of an incremental build the rows `inserted`, `updated`, `deleted` and `unchanged`.
        lineage: column -> the (table, column) pairs it is computed from.
        path: the file written, for exports.
        offsets: how far an event log is read now, by its partitions.
    """

    table: str
    stage: str
    action: str
    rows: int
    staged: int
    rejected: int
    seconds: float
    data_version: str
    code_version: str
    checks: tuple[CheckResult, ...]
    profile: tuple[ColumnProfile, ...] = ()
    upstream_versions: Mapping[str, str] = field(default_factory=dict)
    source_version: str | None = None
    partition: str | None = None
    changes: Mapping[str, int] = field(default_factory=dict)
    lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    bytes: int | None = None
    path: str | None = None
    offsets: Mapping[int, int] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return any(check.blocks for check in self.checks)


@dataclass(frozen=True)
class PastBuild:
    """One build of a table, as the warehouse's books have it.

    Attributes:
        rows: in the table after it; where it failed, those of before.
        verdicts: of its checks.
        low, high: what was usual of its rows, where that is known and the table has no partitions; `unusual`: flagged.
    """

    table: str
    at: dtm.datetime
    rows: int
    seconds: float
    failed: bool
    verdicts: tuple[Verdict, ...]
    low: float | None = None
    high: float | None = None
    unusual: bool = False


@dataclass(frozen=True)
class PastDay:
    """The rows of a partitioned table's day (of longer partitions their first), as built last; `low` to `high` was usual."""

    table: str
    day: dtm.date
    rows: int
    low: float | None = None
    high: float | None = None
    unusual: bool = False


@dataclass(frozen=True)
class Past:
    """The last builds and days of the tables, this run's among them, oldest first; nothing in golden cases."""

    builds: tuple[PastBuild, ...] = ()
    days: tuple[PastDay, ...] = ()


def verdict_of(passed: bool, learning: bool, known: bool) -> Verdict:
    """A check's verdict of what its result says."""
    if not passed:
        return "known" if known else "failed"
    return "learning" if learning else "passed"


def joined(publications: Sequence[Publication]) -> Publication:
    """Builds of several ranges of one table's partitions as one: the newest, with the rows and time of all of them."""
    *_, last = publications
    checks: dict[str, CheckResult] = {}
    for check in (check for each in publications for check in each.checks):
        # The verdict of all is the worst of them.
        before = checks.get(check.name)
        if before is None or VERDICTS.index(before.verdict) < VERDICTS.index(check.verdict):
            checks[check.name] = check
    return dataclasses.replace(
        last,
        staged=sum(each.staged for each in publications),
        rejected=sum(each.rejected for each in publications),
        seconds=sum(each.seconds for each in publications),
        bytes=sum(each.bytes or 0 for each in publications) if last.bytes is not None else None,
        checks=tuple(checks.values()),
        partition=", ".join(each.partition for each in publications if each.partition) or None,
    )


class AuditFailed(PipelineError):
    """The data broke a blocking rule. Nothing was published; the previous version stays.

    Attributes:
        checks: every check evaluated for the table.
        publication: what would have been published, with action "failed".
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        fix: str | None = None,
        checks: tuple[CheckResult, ...] = (),
        publication: Publication | None = None,
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.checks = checks
        self.publication = publication
