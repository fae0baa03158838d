"""The comparer's vocabulary: plain data that text, JSON, HTML and Dagster's metadata are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.errors import PipelineError

Side = Literal["expected", "actual"]


class CompareError(PipelineError):
    """The comparison itself is ill-defined: a tolerance on a decimal, an unknown column."""


@dataclass(frozen=True)
class SqlColumn:
    """A column of one side; `nullable` is None where it is not known."""

    name: str
    type: str
    nullable: bool | None = None


@dataclass(frozen=True)
class Tolerance:
    """How far a FLOAT or DOUBLE may be off: `abs`, or `rel` times the expected value's size; either suffices."""

    abs: float = 0.0
    rel: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("abs", self.abs), ("rel", self.rel)):
            if not 0 <= value < float("inf"):
                raise CompareError(f"tolerance {name}={value} is not a number of 0 or more")


@dataclass(frozen=True)
class SchemaChange:
    """One difference of the schemas.

    `expected` and `actual` are the types, the names ("renamed": a change of case), the nullability
    ("nullability") or the order of the common columns ("reordered", where `column` is empty).
    """

    kind: Literal["removed", "added", "retyped", "renamed", "reordered", "nullability"]
    column: str
    expected: str | None
    actual: str | None


@dataclass(frozen=True)
class KeyProblem:
    """A key that cannot match rows: `rows` of `side` have it null, share it, or lack the column."""

    side: Side
    kind: Literal["missing", "null", "duplicate"]
    rows: int
    samples: tuple[Mapping[str, str | None], ...] = ()


@dataclass(frozen=True)
class CellChange:
    """One changed value, both sides as DuckDB's text; `delta` is actual minus expected where that is a number."""

    column: str
    expected: str | None
    actual: str | None
    delta: str | None = None


@dataclass(frozen=True)
class RowChange:
    """A row of both sides with its changed cells; `key` identifies it."""

    key: Mapping[str, str | None]
    cells: tuple[CellChange, ...]


@dataclass(frozen=True)
class RowSample:
    """A row that only one side has; `copies` is how many more of it (multisets can have several)."""

    key: Mapping[str, str | None]
    values: Mapping[str, str | None]
    copies: int = 1


@dataclass(frozen=True)
class ToleranceUse:
    """How much of a column's tolerance was needed: `cells` not exactly equal, and the largest distance."""

    column: str
    cells: int
    largest: float


@dataclass(frozen=True)
class Difference:
    """How `actual` differs from `expected`.

    Attributes:
        key: the columns rows were matched on; empty for multisets.
        expected_rows, actual_rows: rows of either side.
        schema, key_problems: what is wrong before any row is compared.
        added, removed, changed, same: rows; None where key problems forbid matching.
        columns: changed cells per column, most changed first.
        changes, only_actual, only_expected: samples, in key order.
        tolerance: use of each declared tolerance.
    """

    key: tuple[str, ...]
    expected_rows: int
    actual_rows: int
    schema: tuple[SchemaChange, ...] = ()
    key_problems: tuple[KeyProblem, ...] = ()
    added: int | None = None
    removed: int | None = None
    changed: int | None = None
    same: int | None = None
    columns: Mapping[str, int] = field(default_factory=dict)
    changes: tuple[RowChange, ...] = ()
    only_actual: tuple[RowSample, ...] = ()
    only_expected: tuple[RowSample, ...] = ()
    tolerance: tuple[ToleranceUse, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs beyond what the tolerances allow."""
        return not (self.schema or self.key_problems or self.added or self.removed or self.changed)

    def as_dict(self) -> dict[str, Any]:
        """The difference as JSON-ready data, `equal` included."""
        return {"equal": self.equal, **dataclasses.asdict(self)}
