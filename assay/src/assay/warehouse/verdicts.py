"""The checks of one table, evaluated on its staged rows: what holds, what does not, and how to see it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from assay.tables.results import CheckResult
from assay.warehouse.ops import quoted
from assay.warehouse.quarantine.keep import cut
from assay.warehouse.session import Session
from assay.warehouse.staging import Staged
from assay.words import rows_told

if TYPE_CHECKING:
    import ibis

    from assay.contract import Contract
    from assay.tables.declare import InvariantDef, Reference, TableDef

SAMPLE = 10
"""How many offending rows a check shows."""


def schema(table: TableDef, problems: Iterable[object]) -> CheckResult:
    """Whether the expression has exactly the contract's columns and types."""
    texts = [str(problem) for problem in problems]
    return CheckResult(
        name="schema",
        passed=not texts,
        severity="error",
        summary="; ".join(texts) or "columns and types are the contract's",
        failing=len(texts),
        sample=tuple({"problem": text} for text in texts[:SAMPLE]),
    )


def rows_valid(table: TableDef, staged: Staged) -> CheckResult:
    """Whether rows broke rules: a warning inside the table's budget, an error above it."""
    tolerated = table.max_rejects.tolerates(staged.rejected, staged.staged)
    reasons = dict(sorted(staged.reasons.items(), key=lambda item: (-item[1], item[0])))
    listed = ", ".join(f"{code} {count:,}" for code, count in reasons.items())
    if staged.rejected == 0:
        summary = (
            "the row keeps the contract" if staged.staged == 1 else f"all {staged.staged:,} rows keep the contract"
        )
    else:
        budget = "inside the budget" if tolerated else f"above the budget of {table.max_rejects}"
        summary = f"{staged.rejected:,} of {rows_told(staged.staged)} rejected, {budget}: {listed}"
        if staged.first_place:
            summary += f"; the first at {staged.first_place}"
    return CheckResult(
        name="rows_valid",
        passed=staged.rejected == 0,
        severity="warn" if tolerated else "error",
        summary=summary,
        failing=staged.rejected,
        reasons=reasons,
        sample=tuple(staged.sample),
        sample_sql=(
            f"SELECT * FROM quarantine.rejects WHERE table_name = '{table.name}' AND status = 'open'"
            if staged.rejected
            else None
        ),
    )


def reconciles(
    table: TableDef, staged: Staged, upstream_rows: int | None, arrived: int, *, replaced: int = 0
) -> CheckResult:
    """Whether no row was lost or multiplied, and not the whole table emptied.

    Args:
        upstream_rows: rows of the input that the table preserves; None if it declares none.
        arrived: rows the table's expression has over all partitions, to compare with `upstream_rows`.
        replaced: published rows that the staged ones would take the place of.
    """
    problems = []
    if replaced and not staged.published and not table.may_be_empty:
        problems.append(
            f"no row is left where {replaced:,} are published (if that is right: @table(may_be_empty=True))"
        )
    if staged.staged != staged.published + staged.rejected:
        problems.append(
            f"{staged.staged:,} staged is not {staged.published:,} published + {staged.rejected:,} rejected"
        )
    if upstream_rows is not None and upstream_rows != arrived:
        verb = "lost" if arrived < upstream_rows else "multiplied"
        problems.append(
            f"{table.preserves} has {rows_told(upstream_rows)}, {arrived:,} arrived: {abs(arrived - upstream_rows):,} {verb}"
        )
    if upstream_rows is None:
        good = f"{staged.staged:,} staged = {staged.published:,} published + {staged.rejected:,} rejected"
    else:
        good = f"{upstream_rows:,} of {table.preserves} = {arrived:,} published or rejected here"
    return CheckResult("reconciles", not problems, "error", "; ".join(problems) or good, failing=len(problems))


def unique_key(
    session: Session, contract: Contract, relation: str, *, target: str, proven: bool = False, rows: int | None = None
) -> CheckResult:
    """Whether no key of the contract is null or repeats.

    Args:
        relation: the whole table as it would be.
        target: its name after publishing, for the SQL that a person runs.
        proven: repeats of the first key were set aside already.
        rows: how many rows there are, where that is known.
    """
    listed = " and ".join(f"({', '.join(key)})" for key in contract.keys)
    for key in contract.keys:
        nullable = any(contract.column(name).nullable for name in key)
        if proven and key == contract.key and not nullable:
            continue
        problems = contract.key_problems(session.connection, relation, key=key, rows=rows)
        if problems.nulls or problems.excess:
            sql = problems.sample_sql
            return CheckResult(
                "unique_key",
                False,
                "error",
                key_summary(key, problems.nulls, problems.excess),
                failing=problems.nulls + problems.excess,
                sample=_short(problems.sample),
                sample_sql=sql.replace(relation, target) if sql else None,
            )
    if proven:
        return CheckResult("unique_key", True, "error", f"{listed} is unique: repeats were set aside")
    return CheckResult("unique_key", True, "error", f"{listed} is unique and never null")


def key_summary(key: Collection[str], nulls: int, excess: int) -> str:
    """What is wrong with a key, in words."""
    listed = f"({', '.join(key)})"
    found = [f"{rows_told(excess, 'repeat')} {listed}"] if excess else []
    return " and ".join([*found, *([f"{listed} is null in {rows_told(nulls)}"] if nulls else [])])


def reference(
    session: Session, contract: Contract, relation: str, declared: Reference, other: str, *, target: str
) -> CheckResult:
    """Whether every non-null value of the columns exists in the referenced table.

    Args:
        relation: the rows to judge.
        other: the table that must have them.
        target: what `relation` is called after publishing, for the SQL that a person runs.
    """
    orphans = orphans_sql(relation, declared, other)
    keys = ", ".join(f"staged.{quoted(column)}" for column in declared.columns)
    counted = session.connection.execute(f"SELECT count(*), count(DISTINCT ({keys})) {orphans}").fetchall()[0]
    rows, values = int(counted[0]), int(counted[1])
    listed = ", ".join(declared.columns)
    if rows == 0:
        return CheckResult(declared.name, True, declared.severity, f"every ({listed}) is in {declared.to}")
    shown = contract.masked_rows(session.connection, f"SELECT DISTINCT {keys} {orphans} ORDER BY ALL LIMIT {SAMPLE}")
    return CheckResult(
        declared.name,
        False,
        declared.severity,
        f"{rows_told(rows, 'have')} {values:,} ({listed}) that {declared.to} does not have",
        failing=rows,
        sample=_short(shown),
        sample_sql=f"SELECT DISTINCT {keys} {orphans_sql(target, declared, other)}",
    )


def orphans_sql(relation: str, declared: Reference, other: str) -> str:
    """The FROM and WHERE of the rows, as `staged`, whose columns are not null and not in `other`."""
    columns, others = declared.columns, declared.to_columns or declared.columns
    present = " AND ".join(f"staged.{quoted(column)} IS NOT NULL" for column in columns)
    match = " AND ".join(
        f"staged.{quoted(column)} = other.{quoted(name)}" for column, name in zip(columns, others, strict=True)
    )
    return f"FROM {relation} AS staged ANTI JOIN {other} AS other ON {match} WHERE {present}"


def table_rules(session: Session, contract: Contract, rows: ibis.Table) -> list[CheckResult]:
    """Rules about the table as a whole, such as a share or a total."""
    found = []
    for rule in contract.table_rules:
        value = session.connection.execute(
            f"SELECT * FROM ({session.sql(rule.expression(rows).as_table())})"
        ).fetchone()
        held = bool(value[0]) if value and value[0] is not None else True
        summary = f"{rule.description} {'holds' if held else 'does not hold'}"
        found.append(CheckResult(rule.code, held, "error", summary, failing=0 if held else 1))
    return found


def invariant(
    session: Session, declared: InvariantDef, contradicting: ibis.Table, hidden: Collection[str]
) -> CheckResult:
    """Whether no row contradicts a statement that spans tables; columns in `hidden` are masked in the sample."""
    sql = session.sql(contradicting)
    counted = session.connection.execute(f"SELECT count(*) FROM ({sql})").fetchone()
    count = int(counted[0]) if counted else 0
    first = declared.description.splitlines()[0] if declared.description else declared.name
    return CheckResult(
        declared.name,
        count == 0,
        declared.severity,
        first if count == 0 else f"{rows_told(count, 'contradict')} it: {first}",
        failing=count,
        sample=_sample(session, sql, hidden) if count else (),
        sample_sql=sql if count else None,
    )


def _sample(session: Session, sql: str, hidden: Collection[str]) -> tuple[Mapping[str, Any], ...]:
    cursor = session.connection.execute(f"SELECT * FROM ({sql}) ORDER BY ALL LIMIT {SAMPLE}")
    names = [column[0] for column in cursor.description or ()]
    return _short(
        {name: "***" if name in hidden and value is not None else value for name, value in zip(names, row, strict=True)}
        for row in cursor.fetchall()
    )


def _short(rows: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """At most `SAMPLE` rows; a value that nobody could read in a report is cut."""
    return tuple(
        {name: cut(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in islice(rows, SAMPLE)
    )
