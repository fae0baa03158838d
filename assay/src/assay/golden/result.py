"""What came out of golden runs: plain data that every report is made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from assay.compare.model import Difference

Status = Literal["equal", "missing", "differs", "error"]
_SEVERITY: dict[str, int] = {"equal": 0, "missing": 1, "differs": 2, "error": 3}
EQUAL, DIFFERS, ERROR, PENDING = 0, 1, 2, 3


def worst(statuses: Iterator[Status] | list[Status]) -> Status:
    """The most serious of some statuses; equal if there are none."""
    return max(statuses, key=_SEVERITY.__getitem__, default="equal")


@dataclass(frozen=True)
class Comparison:
    """One golden against what the run gave.

    Attributes:
        name: the golden's name: the table's, or `<table>.rejects`.
        status: "missing" where nothing was accepted yet.
        difference: None where there is nothing to compare with.
        preview: the first of them as text, where the golden is missing.
        pending: where the new output waits for a decision, if it was kept.
    """

    name: str
    status: Status
    difference: Difference | None = None
    rows: int = 0
    columns: tuple[str, ...] = ()
    preview: tuple[tuple[str | None, ...], ...] = ()
    pending: Path | None = None


@dataclass(frozen=True)
class TableResult:
    """One table of one case.

    Attributes:
        problems: what is wrong beside the rows, a sentence each: a check, an error, or one that did not come.
        failed: whether a problem is an error of the case rather than a difference.
        cause: the table upstream that differs or failed first, if this one follows from it.
        expected_error: the message of the error that had to come, and did; `stopped_by`: that error's class.
        reasons: rejected rows per reason code; `failing`: names of checks that failed.
    """

    case: str
    table: str
    stage: str
    file: str
    line: int
    comparisons: tuple[Comparison, ...] = ()
    problems: tuple[str, ...] = ()
    failed: bool = False
    cause: str | None = None
    expected_error: str | None = None
    stopped_by: str | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    failing: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def status(self) -> Status:
        if self.failed:
            return "error"
        found = worst([comparison.status for comparison in self.comparisons])
        return "differs" if self.problems else found

    @property
    def address(self) -> str:
        """How the table is named on the command line."""
        return f"{self.case}/{self.table}"


@dataclass(frozen=True)
class CaseResult:
    """One case: its tables in topological order, or the error that stopped it.

    Attributes:
        notes: errors beside it, such as a pending file that could not be written.
    """

    name: str
    description: str
    owner: str | None = None
    tables: tuple[TableResult, ...] = ()
    error: str | None = None
    traceback: str | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        return "error" if self.error else worst([table.status for table in self.tables])


@dataclass(frozen=True)
class GoldenResult:
    """All cases of one run.

    Attributes:
        engine: what computed the tables and their contracts, by name and version.
        computed: how many tables' functions it computed, where it is not DuckDB; the others compute rows in Python.
        orphans: files that belong to no case and table.
        notes: errors outside the cases, such as pending files that could not be written.
    """

    cases: tuple[CaseResult, ...]
    orphans: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    full: bool = True
    engine: str = "duckdb"
    computed: int = 0

    @property
    def tables(self) -> tuple[TableResult, ...]:
        return tuple(table for case in self.cases for table in case.tables)

    @property
    def status(self) -> Status:
        return "error" if self.notes else worst([case.status for case in self.cases])

    @property
    def exit_code(self) -> int:
        """0 equal, 1 differs, 2 error, 3 pending or orphaned."""
        code = {"equal": EQUAL, "missing": PENDING, "differs": DIFFERS, "error": ERROR}[self.status]
        return PENDING if code == EQUAL and self.orphans else code

    def counts(self) -> dict[str, int]:
        """Tables per status, cases that did not run counted as errors."""
        found = dict.fromkeys(("equal", "differs", "missing", "error"), 0)
        for table in self.tables:
            found[table.status] += 1
        found["error"] += sum(1 for case in self.cases if case.error)
        return found

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "version": 1,
            "status": self.status,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "engine": self.engine,
            "computed": self.computed,
            "counts": self.counts(),
            "orphans": list(self.orphans),
            "notes": list(self.notes),
            "cases": [_case(case) for case in self.cases],
        }


def _case(case: CaseResult) -> dict[str, Any]:
    return {
        "case": case.name,
        "description": case.description,
        "owner": case.owner,
        "status": case.status,
        "seconds": round(case.seconds, 3),
        "error": case.error,
        "tables": [_table(table) for table in case.tables],
    }


def _table(table: TableResult) -> dict[str, Any]:
    data = dataclasses.asdict(dataclasses.replace(table, comparisons=()))
    data["status"] = table.status
    data["seconds"] = round(table.seconds, 3)
    data["comparisons"] = [
        {
            "name": each.name,
            "status": each.status,
            "rows": each.rows,
            "pending": str(each.pending) if each.pending else None,
            "difference": each.difference.as_dict() if each.difference else None,
        }
        for each in table.comparisons
    ]
    return data
