"""What a build would mean for readers: what it destroys, which numbers move, which checks turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assay.compare.model import Difference
from assay.contract.contract import Contract
from assay.plan.model import CheckShift, Destructive, MetricShift
from assay.tables.nodes import TableDef, removes_too_much
from assay.tables.results import Verdict

if TYPE_CHECKING:
    from assay.contract.profile import ColumnProfile
    from assay.tables.results import Publication
    from assay.warehouse.ops import Record

_INTEGERS = {"TINYINT": 7, "SMALLINT": 15, "INTEGER": 31, "BIGINT": 63, "HUGEINT": 127}
_INTEGERS |= {"UTINYINT": 8, "USMALLINT": 16, "UINTEGER": 32, "UBIGINT": 64, "UHUGEINT": 128}
_FLOATS = {"FLOAT": 24, "DOUBLE": 53}
"""Bits of whole numbers that a type holds exactly."""
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def destructive(difference: Difference, limit: float) -> tuple[Destructive, ...]:
    """What of the published table the change would lose.

    Args:
        limit: the share of rows whose removal counts, such as 0.1.
    """
    found: list[Destructive] = []
    for change in difference.schema:
        if change.kind == "removed":
            found.append(Destructive("dropped_column", f"drops column {change.column} {change.expected}"))
        elif change.kind == "retyped" and narrows(change.expected or "", change.actual or ""):
            found.append(
                Destructive("narrowed_type", f"narrows {change.column} from {change.expected} to {change.actual}")
            )
    before, removed = difference.expected_rows, difference.removed or 0
    if not difference.key:
        # Without a key a changed row counts as one removed and one added.
        removed = max(before - difference.actual_rows, 0)
    if before and not difference.actual_rows:
        found.append(Destructive("emptied", f"empties the table: {before:,} rows -> 0"))
    elif removes_too_much(removed, before, limit):
        found.append(Destructive("rows_removed", f"removes {removed:,} of {before:,} rows ({removed / before:.1%})"))
    return tuple(found)


def narrows(before: str, after: str) -> bool:
    """Whether some value of type `before` cannot be kept exactly in type `after`; unknown pairs count as narrowing."""
    if before == after or after == "VARCHAR":
        return False
    low, high = _exact(before), _exact(after)
    if low is not None and high is not None:
        signed = after.startswith("U") and not before.startswith("U") and after in _INTEGERS
        return signed or high[0] < low[0] or high[1] < low[1]
    if before.startswith("TIMESTAMP") and after.startswith("TIMESTAMP"):
        order = ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS"]
        zoned = "TIMESTAMP WITH TIME ZONE" in (before, after)
        return zoned or order.index(after) < order.index(before)
    return not (before == "DATE" and after.startswith("TIMESTAMP"))


def _exact(type_: str) -> tuple[float, float] | None:
    """Whole digits and decimal places that a numeric type holds exactly; None for other types."""
    if type_ in _INTEGERS:
        return _INTEGERS[type_] * 0.30103, 0
    if type_ in _FLOATS:
        # A binary fraction holds hardly any decimal fraction exactly, but is meant to hold numbers with fractions.
        return _FLOATS[type_] * 0.30103, 0.5
    match = _DECIMAL.fullmatch(type_)
    if match:
        width, scale = int(match[1]), int(match[2])
        return width - scale, scale
    return None


def shifts(published: Record, publication: Publication, table: TableDef) -> tuple[MetricShift, ...]:
    """The columns' numbers that would move, in the table's order; what identifies things has no sum."""
    ids = Contract.of(table.model).identifiers(table)
    before = {column["name"]: _numbers(column, published.rows) for column in published.profile}
    found: list[MetricShift] = []
    for column in publication.profile:
        old, new = before.get(column.name), _numbers(_as_mapping(column), publication.rows)
        if old is not None:
            found += [
                MetricShift(column.name, metric, old[metric], new[metric])  # type: ignore[arg-type]  # the same keys
                for metric in new
                if old[metric] != new[metric]
                and not (metric == "sum" and column.name in ids)
                and not (metric == "distinct" and None in (old[metric], new[metric]))  # carried on, not counted
            ]
    return tuple(found)


def _as_mapping(column: ColumnProfile) -> Mapping[str, Any]:
    return {name: getattr(column, name) for name in ("nulls", "distinct", "minimum", "maximum", "mean")}


def _numbers(column: Mapping[str, Any], rows: int) -> dict[str, str | None]:
    mean = None if column["mean"] is None else float(column["mean"])  # in the books one of no finite number is a text
    return {
        "nulls": f"{column['nulls']:,}",
        "distinct": None if column["distinct"] is None else f"~{column['distinct']:,}",
        "sum": None if mean is None else _number(mean * (rows - column["nulls"])),
        "min": column["minimum"],
        "max": column["maximum"],
    }


def _number(value: float) -> str:
    return f"{Decimal(repr(value)):,.2f}" if 1 <= abs(value) < 1e15 else f"{value:.6g}"


def check_shifts(published: Record | None, publication: Publication) -> tuple[CheckShift, ...]:
    """Checks that would newly fail or newly pass; one that never ran before and is no news is none."""
    return tuple(_check_shifts(published.verdicts if published else {}, publication))


def _check_shifts(before: Mapping[str, Verdict], publication: Publication) -> Iterator[CheckShift]:
    for check in publication.checks:
        then = before.get(check.name)
        # A check that blocks is told even if it failed before: it keeps the table from being published.
        if check.verdict == then and not check.blocks:
            continue
        if then in (None, "learning") and not check.warns and not check.blocks:
            continue
        if check.learning:  # the next build may know
            continue
        yield CheckShift(
            name=check.name,
            severity=check.severity,
            before=then or "new",
            after=check.verdict,
            summary=check.summary,
            rows=check.such_as(),
        )
