"""The plan as plain data: what a run would change, table by table, and what it was computed from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.compare.model import Difference
from assay.tables.results import Verdict
from assay.words import plural

VERSION = 1
"""Of the plan's JSON form. A plan of another version is refused: it may mean something else."""

ReasonKind = Literal["new", "code", "upstream", "source", "partition", "requested"]
Action = Literal["create", "replace", "partition", "append", "merge", "none", "skip", "fail"]
BUILT = ("create", "replace", "partition", "append", "merge")
"""The actions that build a table and get through."""


@dataclass(frozen=True)
class Reason:
    """Why a table is built: `new` (never published), `code`, `upstream`, `source`, `partition`, or only `requested`.

    `diff` has the lines of code that changed, with `-` as they were and `+` as they are.
    """

    kind: ReasonKind
    detail: str
    diff: tuple[str, ...] = ()


@dataclass(frozen=True)
class Destructive:
    """A change that loses something published: a column, precision, all rows or many of them."""

    kind: Literal["dropped_column", "narrowed_type", "emptied", "rows_removed"]
    detail: str


@dataclass(frozen=True)
class MetricShift:
    """One number of a column that would move; text, masked where the column is classified."""

    column: str
    metric: Literal["nulls", "distinct", "sum", "min", "max"]
    before: str | None
    after: str | None


@dataclass(frozen=True)
class CheckShift:
    """A check whose verdict would change; `before` is "new" for one that was never evaluated, `rows` are some it names."""

    name: str
    severity: Literal["error", "warn"]
    before: Verdict | Literal["new"]
    after: Verdict
    summary: str
    rows: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether it would keep the table from being published."""
        return self.after == "failed" and self.severity == "error"


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """What would happen to one table or exported file.

    Attributes:
        action: what the run does: `none` where nothing calls for a build, `skip` where something upstream would
            fail, `fail` where this table itself would.
        reasons: why it is built; empty for `none`.
        partition: the partitions that are built, where only some are; several ranges after commas.
        changed_partitions: those that would hold something else than today, in words.
        loaded: of an incremental build or a history its rows `inserted`, `updated`, `deleted` and `unchanged`.
        rows_before, rows_after: published rows; None where there is no table.
        difference: published rows against planned rows; None where they were not compared (see `changes`).
        rejects_before, rejects_after: rows set aside by the last build and by this one.
        data_version, code_version: what the run must produce for the plan to hold.
        error: why it would fail or is skipped.
    """

    name: str
    stage: str
    kind: Literal["table", "file"] = "table"
    action: Action = "none"
    reasons: tuple[Reason, ...] = ()
    partition: str | None = None
    changed_partitions: str | None = None
    loaded: Mapping[str, int] = field(default_factory=dict)
    destructive: tuple[Destructive, ...] = ()
    difference: Difference | None = None
    rows_before: int | None = None
    rows_after: int | None = None
    shifts: tuple[MetricShift, ...] = ()
    checks: tuple[CheckShift, ...] = ()
    rejects_before: int = 0
    rejects_after: int = 0
    seconds: float = 0.0
    bytes: int | None = None
    data_version_before: str | None = None
    data_version: str | None = None
    code_version: str = ""
    error: str | None = None

    @property
    def built(self) -> bool:
        """Whether the run builds it and gets through."""
        return self.action in BUILT

    @property
    def changes(self) -> bool:
        """Whether readers would see something else than today."""
        if not self.built:
            return False
        if self.action == "create" or self.data_version != self.data_version_before:
            return True
        return self.difference is not None and not self.difference.equal

    @property
    def blocking(self) -> tuple[CheckShift, ...]:
        """The checks that would keep it from being published."""
        return tuple(check for check in self.checks if check.blocks)


@dataclass(frozen=True)
class Fingerprints:
    """What the plan was computed from; `apply` refuses when any of it moved.

    Attributes:
        code: code version of every node that was looked at.
        sources: fingerprint of every source that was looked at, by table.
        real: data version of every published table that was looked at; None where there was none.
        environment: the settings' environment, the warehouse, and the versions of DuckDB and of the framework.
    """

    code: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    real: Mapping[str, str | None] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would change.

    Attributes:
        targets: the tables that were asked for; empty means all that need a build.
        nodes: everything that was looked at, in topological order.
        not_in_plan: tables downstream of a change that this plan does not build.
        orphans: published tables that no code makes any more; a run leaves them alone.
        not_simulated: effects of a real run that a dry run does not have.
        proof: the proof line of the real file.
        scratch_bytes: what the dry run took of the disk; `scratch` is its folder where it was kept.
    """

    project: str
    created_at: str
    warehouse: str
    environment: str
    targets: tuple[str, ...]
    partition: str | None
    nodes: tuple[NodePlan, ...]
    full: bool = False
    not_in_plan: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    not_simulated: tuple[str, ...] = ()
    proof: str = ""
    seconds: float = 0.0
    scratch_bytes: int = 0
    scratch: str | None = None
    fingerprints: Fingerprints = Fingerprints()

    @property
    def changed(self) -> tuple[NodePlan, ...]:
        """Nodes whose content would change."""
        return tuple(node for node in self.nodes if node.changes)

    @property
    def destructive(self) -> tuple[NodePlan, ...]:
        """Nodes whose change loses something."""
        return tuple(node for node in self.nodes if node.destructive)

    @property
    def unchanged(self) -> tuple[NodePlan, ...]:
        """Nodes that would stay as they are, built or not."""
        return tuple(node for node in self.nodes if node.action == "none" or (node.built and not node.changes))

    @property
    def failed(self) -> tuple[NodePlan, ...]:
        """Nodes that would not be published."""
        return tuple(node for node in self.nodes if node.action == "fail")

    @property
    def blocking(self) -> int:
        """How many blocking checks would fail."""
        return sum(len(node.blocking) for node in self.nodes)

    @property
    def exit_code(self) -> int:
        """0 nothing changes, 2 changes, 1 error, 3 a blocking check would fail."""
        if any(node.action == "fail" and not node.blocking for node in self.nodes):
            return 1
        if self.blocking:
            return 3
        return 2 if self.changed else 0

    @property
    def footer(self) -> str:
        """The plan in one line."""
        changed, unchanged = len(self.changed), len(self.unchanged)
        text = f"Plan: {changed} {plural(changed, 'table')} {'changes' if changed == 1 else 'change'}"
        if self.destructive:
            text += f" ({len(self.destructive)} destructive)"
        text += f", {unchanged} unchanged"
        if self.blocking:
            text += f", {self.blocking} {plural(self.blocking, 'check')} would fail"
        errors = sum(node.action == "fail" and not node.blocking for node in self.nodes)
        if errors:
            text += f", {errors} {plural(errors, 'error')}"
        skipped = sum(node.action == "skip" for node in self.nodes)
        return text + (f", {skipped} skipped" if skipped else "")

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready data, with what follows from it."""
        return {
            **dataclasses.asdict(self),
            "summary": {
                "changed": len(self.changed),
                "destructive": len(self.destructive),
                "unchanged": len(self.unchanged),
                "checks_failing": self.blocking,
                "exit_code": self.exit_code,
                "footer": self.footer,
            },
        }
