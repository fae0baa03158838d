"""What a pipeline is made of: tables, exports, invariants and metrics, as definitions. Plain data, checked when it is made."""

from __future__ import annotations

import datetime as dtm
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from assay.errors import WiringError
from assay.sql import quoted
from assay.tables.fresh import Fresh
from assay.tables.loads import History, Incremental
from assay.tables.partitions import Partitions
from assay.words import rows_told

if typing.TYPE_CHECKING:
    from pandera.ibis import DataFrameModel

    from assay.sources.base import Source

Model = type["DataFrameModel"]
Severity = Literal["error", "warn"]

MAY_SHRINK = 0.1
"""The share of its published rows that a build may remove; a plan tells what is above it as destructive."""


def removes_too_much(removed: int, before: int, share: float) -> bool:
    """Whether more than `share` of `before` rows go; a single row may, unless none may (0)."""
    # Divided: 29 of 100 are 0.29, and 0.29 * 100 is less than 29.
    return removed > (1 if share else 0) and removed / before > share


@dataclass(frozen=True)
class RejectBudget:
    """How many broken rows a table may set aside and still be published.

    Up to `rows` of them, or up to `ratio` of the staged rows, whichever is more.
    """

    rows: int = 0
    ratio: float = 0.0

    def __post_init__(self) -> None:
        if self.rows < 0 or not 0 <= self.ratio <= 1:
            raise WiringError(f"{self!r} is no budget", fix="Give rows >= 0 and a ratio between 0 and 1.")

    def tolerates(self, rejected: int, staged: int) -> bool:
        """Whether so many may be rejected of so many staged rows."""
        return rejected <= self.rows or (staged > 0 and rejected / staged <= self.ratio)

    def __str__(self) -> str:
        share = f" or {self.ratio * 100:g}%" if self.ratio else ""
        return f"{rows_told(self.rows)}{share}"


@dataclass(frozen=True)
class KeepFirst:
    """Of the rows that share the contract's unique key keep the first by `order_by`; the others are rejected.

    A name with a leading minus sorts from the largest value down.

    The order must be total over the repeats: rows equal in every `order_by` column are interchangeable
    only if they are equal in every column.
    """

    order_by: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.order_by or is_text(self.order_by):
            raise WiringError(
                f"{self} does not say which row comes first", fix="Name the columns: order_by=('updated_at',)."
            )

    def order_sql(self, columns: Iterable[str]) -> list[str]:
        """The declared order as SQL terms, ties broken by all `columns`, so that it never depends on arrival."""
        terms = [(name.removeprefix("-"), "DESC" if name.startswith("-") else "ASC") for name in self.order_by]
        terms += [(name, "ASC") for name in columns]
        return [f"{quoted(name)} {way} NULLS LAST" for name, way in terms]


@dataclass(frozen=True)
class Known:
    """What is known of a check that only warns: up to `rows` rows contradict it, and why; one row more is news.

    `check` is the check's name: `rows_valid` (rejected rows inside the budget), a reference's, or an invariant's.
    """

    check: str
    rows: int
    reason: str

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.reason.strip():
            raise WiringError(f"{self!r} says nothing", fix="Give rows of 1 or more, and the reason as a sentence.")

    def __str__(self) -> str:
        return f"known up to {rows_told(self.rows)}: {self.reason.rstrip('.')}"


@dataclass(frozen=True)
class Reference:
    """A foreign key: non-null `columns` must exist among `to_columns` (default: the same names) of table `to`."""

    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...] = ()
    severity: Severity = "error"

    def __post_init__(self) -> None:
        if is_text(self.columns) or is_text(self.to_columns):
            raise WiringError(f"{self}: columns are given as a tuple", fix="Write Reference(('product_id',), ...).")
        if not self.columns or len(self.to_columns or self.columns) != len(self.columns):
            raise WiringError(f"{self} does not pair its columns", fix="Give as many to_columns as columns.")

    @property
    def name(self) -> str:
        """The check's name, e.g. `product_id_in_products`."""
        return f"{'_and_'.join(self.columns)}_in_{self.to}"


@dataclass(frozen=True, kw_only=True)
class Node:
    """What tables and exports share: a function, where it stands, and what it reads."""

    name: str
    stage: str
    module: str
    file: Path
    function: Callable[..., Any]
    grain: str
    description: str
    inputs: Mapping[str, Model]
    run_parameter: str | None
    settings: tuple[str, ...] = ()
    owner: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def upstream(self) -> tuple[str, ...]:
        """Names of the tables that must be published before this node is built."""
        return tuple(self.inputs)


@dataclass(frozen=True, kw_only=True)
class TableDef(Node):
    """A table: its contract, its wiring and how it is audited and published."""

    model: Model
    source: Source | None = None
    source_parameter: str | None = None
    partitions: Partitions | None = None
    load: Incremental | History | None = None
    preserves: str | None = None
    max_rejects: RejectBudget = RejectBudget()
    keep: KeepFirst | None = None
    references: tuple[Reference, ...] = ()
    engine: Literal["ibis", "python"] = "ibis"
    known: tuple[Known, ...] = ()
    may_be_empty: bool = False
    may_shrink: float = MAY_SHRINK
    usual: Severity = "warn"
    fresh: Fresh | None = None
    newest: tuple[str, dtm.timedelta] | None = None

    @property
    def upstream(self) -> tuple[str, ...]:
        names = [*self.inputs, *(reference.to for reference in self.references)]
        if self.preserves:
            names.append(self.preserves)
        return tuple(dict.fromkeys(name for name in names if name != self.name))

    @property
    def appends(self) -> bool:
        """Whether each build adds rows (event streams, new files) instead of replacing them."""
        return self.source is not None and self.source.incremental

    @property
    def takes_more(self) -> bool:
        """Whether it takes columns that its source has and its contract has not."""
        return getattr(self.source, "extra", "stop") == "add"

    @property
    def rereads(self) -> bool:
        """Whether its source adds rows and can be read from its start again, as files can."""
        return bool(getattr(self.source, "new_only", False))

    def goes_on(self, *, full: bool) -> bool:
        """Whether a run, a `full` one or not, adds to what is published instead of replacing it."""
        return self.appends and not (self.rereads and full)


@dataclass(frozen=True, kw_only=True)
class ExportDef(Node):
    """A file for consumers, made from tables: `path` is relative to the output folder."""

    path: str


Asset = TableDef | ExportDef
"""What a run builds, by name; an invariant is a node as well, and is audited with one of these."""


@dataclass(frozen=True, kw_only=True)
class InvariantDef(Node):
    """A statement that spans tables, audited before `table` (its first parameter) is published.

    The function returns the rows that contradict it, as an Ibis table; none means it holds.
    """

    table: str
    severity: Severity = "error"
    across_partitions: bool = False
    names: str | None = None

    @property
    def upstream(self) -> tuple[str, ...]:
        return tuple(name for name in self.inputs if name != self.table)


@dataclass(frozen=True, kw_only=True)
class MetricDef(Node):
    """A number of `table` (its only parameter), taken at each build, judged by its own past and kept beside it."""

    table: str
    kind: Literal["count", "share", "number"] = "number"


def is_text(value: object) -> bool:
    """A bare string where a tuple of names belongs would be read letter by letter."""
    return isinstance(value, str)
