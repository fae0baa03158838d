"""The checks of a table's references: whether every value is in the table that it refers to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.sql import quoted
from assay.tables.results import CheckResult
from assay.warehouse.session import Session
from assay.warehouse.verdicts import SAMPLE, short
from assay.words import plural, rows_told

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.nodes import Reference


@dataclass(frozen=True)
class Orphans:
    """Rows whose columns are not null and in no row of the table they refer to.

    Attributes:
        values: different ones among them.
        untold: where there are none, rows in which a column is null, which refer to nothing.
        sample: some of the values, masked; `sample_sql` finds all of them in the published table.
    """

    rows: int
    values: int
    untold: int = 0
    sample: Sequence[Mapping[str, Any]] = ()
    sample_sql: str | None = None


def reference(declared: Reference, orphans: Orphans) -> CheckResult:
    """Whether every non-null value of the columns exists in the referenced table."""
    rows, listed = orphans.rows, ", ".join(declared.columns)
    if rows == 0:
        said = f"; {rows_told(orphans.untold)} without a value not judged" if orphans.untold else ""
        return CheckResult(declared.name, True, declared.severity, f"every ({listed}) is in {declared.to}{said}")
    return CheckResult(
        declared.name,
        False,
        declared.severity,
        f"{rows_told(rows)}, {_values_told(declared.columns, orphans.values)}, {'has' if rows == 1 else 'have'} no match "
        f"in {declared.to}",
        failing=rows,
        sample=short(orphans.sample),
        sample_sql=orphans.sample_sql,
    )


def orphans(
    session: Session, contract: Contract, relation: str, declared: Reference, other: str, *, target: str
) -> Orphans:
    """The rows of `relation` that refer to nothing.

    Args:
        other: the table that must have the values.
        target: what `relation` is called after publishing, for the SQL that a person runs.
    """
    among = orphans_sql(relation, declared, other, session.quoted)
    keys = ", ".join(f"staged.{session.quoted(column)}" for column in declared.columns)
    rows, values = session.ask(f"SELECT count(*), count(DISTINCT ({keys})) {among}")[0]
    if rows == 0:
        # As in SQL's own foreign keys a row without a value refers to nothing: told, for it is not judged.
        nullable = [name for name in declared.columns if contract.column(name).nullable]
        absent = " OR ".join(f"{quoted(name)} IS NULL" for name in nullable)
        return Orphans(0, 0, session.ask(f"SELECT count(*) FROM {relation} WHERE {absent}")[0][0] if absent else 0)
    sample = contract.masked(
        declared.columns, session.ask(f"SELECT DISTINCT {keys} {among} ORDER BY ALL LIMIT {SAMPLE}")
    )
    found = f"SELECT DISTINCT {keys} {orphans_sql(target, declared, other, session.quoted)}"
    return Orphans(rows, values, sample=sample, sample_sql=found)


def _values_told(columns: Collection[str], count: int) -> str:
    """`1,668 household_ids`; of several columns `2 values of (campaign_id, coupon_upc)`."""
    if len(columns) > 1:
        return f"{count:,} {plural(count, 'value')} of ({', '.join(columns)})"
    return f"{count:,} {plural(count, next(iter(columns)))}"


def orphans_sql(relation: str, declared: Reference, other: str, name: Callable[[str], str] = quoted) -> str:
    """The FROM and WHERE of the rows, as `staged`, whose columns are not null and not in `other`.

    Args:
        name: writes a name in the engine's SQL.
    """
    columns, others = declared.columns, declared.to_columns or declared.columns
    present = " AND ".join(f"staged.{name(column)} IS NOT NULL" for column in columns)
    match = " AND ".join(
        f"staged.{name(column)} = other.{name(there)}" for column, there in zip(columns, others, strict=True)
    )
    return f"FROM {relation} AS staged ANTI JOIN {other} AS other ON {match} WHERE {present}"
