"""The checks of one table, evaluated on its staged rows: what holds, what does not, and how to see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.operations as ops

from assay.errors import WiringError
from assay.tables.nulls import Nulls
from assay.tables.results import CheckResult
from assay.warehouse.quarantine.keep import cut
from assay.warehouse.session import Session
from assay.warehouse.staging import Staged
from assay.words import plural, rows_told

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.contract.uniqueness import KeyProblems
    from assay.tables.nodes import InvariantDef, Known, TableDef
    from assay.warehouse.parts import Parts
    from assay.warehouse.preserved import Preserved
    from assay.warehouse.shrinking import Replaced

SAMPLE = 10
"""How many offending rows a check shows."""


def acknowledged(table: TableDef, checks: Iterable[CheckResult]) -> tuple[CheckResult, ...]:
    """The checks, in which warnings that the table declares as known are told apart from news."""
    known = {each.check: each for each in table.known}
    return tuple(_acknowledged(check, known[check.name]) if check.name in known else check for check in checks)


def _acknowledged(check: CheckResult, known: Known) -> CheckResult:
    if not check.warns or check.untold:
        return check
    said = check.summary.rstrip(".")
    if check.failing > known.rows:
        return dataclasses.replace(check, summary=f"{said}; more than is {known}")
    return dataclasses.replace(check, summary=f"{said}; {known}", known=known.reason)


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


def rows_valid(table: TableDef, staged: Staged, before: Mapping[str, int] | None = None) -> CheckResult:
    """Whether rows broke rules: a warning inside the table's budget, an error above it.

    Args:
        before: published rows that stay and break the contract as it is now, by reason: a warning.
    """
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
    if before:
        told = ", ".join(f"{code} {count:,}" for code, count in before.items())
        summary += f"; rows published before break the contract as it is now: {told}"
    return CheckResult(
        name="rows_valid",
        passed=staged.rejected == 0 and not before,
        severity="warn" if tolerated else "error",
        summary=summary,
        failing=staged.rejected + sum((before or {}).values()),
        reasons=reasons,
        sample=tuple(staged.sample),
        sample_sql=(
            f"SELECT * FROM quarantine.rejects WHERE table_name = '{table.name}' AND status = 'open'"
            if staged.rejected
            else None
        ),
    )


def reconciles(
    table: TableDef,
    staged: Staged,
    preserved: Preserved | None,
    *,
    replaced: Replaced,
    parts: Parts | None = None,
    after: int | None = None,
    merged: str | None = None,
) -> CheckResult:
    """Whether no row was lost or multiplied, and no more of what is published would go than the table allows.

    Args:
        preserved: what became of the input that the table preserves; None if it declares none.
        replaced: the published rows that the staged ones would take the place of.
        parts: what is built of a partitioned table.
        after: rows of the table as it would be, where these are not those staged.
        merged: what became of the staged rows of an incremental table, in words.
    """
    problems = list(replaced.problems(table, staged.published if after is None else after))
    if staged.staged != staged.published + staged.rejected:
        problems.append(
            f"{staged.staged:,} staged is not {staged.published:,} published + {staged.rejected:,} rejected"
        )
    lost = preserved.problem(str(table.preserves)) if preserved is not None else None
    if lost is not None:
        problems.append(lost)
    good = merged or f"{staged.staged:,} staged = {staged.published:,} published + {staged.rejected:,} rejected"
    if preserved is not None:
        good = f"{merged}; " if merged else ""
        good += f"{preserved.rows:,} of {table.preserves} = {preserved.arrived:,} published or rejected here"
        good += f", {preserved.how}"
    if parts is not None:
        # What was built is what was compared; of the other partitions this says nothing.
        noun = plural(len(parts.keys), parts.partitions.noun)
        good += f"; {noun} {parts.built or 'none'}: {rows_told(staged.published)}, {replaced.rows:,} before"
        if staged.waiting:
            good += f"; {rows_told(staged.waiting, 'wait')} for their {parts.partitions.noun} to be over"
    return CheckResult(
        "reconciles",
        not problems,
        "error",
        "; ".join(problems) or good,
        failing=len(problems),
        sample=short(preserved.sample) if preserved is not None and lost is not None else (),
    )


def unique_key(
    session: Session, contract: Contract, relation: str, *, target: str, proven: bool = False, rows: int | None = None
) -> CheckResult:
    """Whether no key of the contract is null or repeats, by DuckDB.

    Args:
        relation: the whole table as it would be.
        target: its name after publishing, for the SQL that a person runs.
        proven: repeats of the first key were set aside already.
        rows: how many rows there are, where that is known.
    """

    def problems(key: tuple[str, ...]) -> KeyProblems:
        found = contract.key_problems(session.connection, relation, key=key, rows=rows)
        sql = found.sample_sql and found.sample_sql.replace(relation, target)
        return dataclasses.replace(found, sample_sql=sql)

    return keys(contract, problems, proven=proven)


def keys(
    contract: Contract, problems: Callable[[tuple[str, ...]], KeyProblems], *, proven: bool = False
) -> CheckResult:
    """Whether no key of the contract is null or repeats, by what an engine finds of each."""
    listed = " and ".join(f"({', '.join(key)})" for key in contract.keys)
    for key in contract.keys:
        nullable = any(contract.column(name).nullable for name in key)
        if proven and key == contract.key and not nullable:
            continue
        found = problems(key)
        if not found.sound:
            return CheckResult(
                "unique_key",
                False,
                "error",
                key_summary(key, found.nulls, found.excess),
                failing=found.nulls + found.excess,
                sample=short(found.sample),
                sample_sql=found.sample_sql,
            )
    if proven:
        return CheckResult("unique_key", True, "error", f"{listed} is unique: repeats were set aside")
    return CheckResult("unique_key", True, "error", f"{listed} is unique and never null")


def key_summary(key: Collection[str], nulls: int, excess: int) -> str:
    """What is wrong with a key, in words."""
    listed = f"({', '.join(key)})"
    found = [f"{rows_told(excess, 'repeat')} {listed}"] if excess else []
    return " and ".join([*found, *([f"{listed} is null in {rows_told(nulls)}"] if nulls else [])])


def table_rules(
    session: Session, contract: Contract, rows: ibis.Table, *, may_be_empty: bool = False
) -> list[CheckResult]:
    """Rules about the table as a whole, such as a share or a total; one whose value is NULL does not hold.

    Args:
        may_be_empty: whether a table without a row is as it should be: then there is nothing to judge.
    """
    found = []
    for rule in contract.table_rules:
        value = session.ask(session.sql(rule.expression(rows).as_table()))[0][0]
        held, said = bool(value), "holds" if value else "does not hold"
        if value is None:
            count = session.ask(f"SELECT count(*) FROM ({session.sql(rows)})")[0][0]
            held = may_be_empty and count == 0
            said = "is not judged: there is no row" if held else f"cannot be told: it is NULL over {rows_told(count)}"
            said += "" if held else " (if that is right, say so in the rule: .fill_null(True))"
        found.append(CheckResult(rule.code, held, "error", f"{rule.description} {said}", failing=0 if held else 1))
    return found


def invariant(
    session: Session,
    declared: InvariantDef,
    contradicting: ibis.Table,
    hidden: Callable[[ibis.Table], Collection[str]],
) -> CheckResult:
    """Whether no row contradicts a statement that spans tables.

    A row for which the last filter is NULL does not contradict it, and does not keep it either.

    Args:
        hidden: columns of such rows that are masked in the sample.
    """
    first = declared.description.splitlines()[0] if declared.description else declared.name
    said, untold, shown, last = first, 0, contradicting, _last_filter(contradicting)
    if last is None:
        count = session.ask(f"SELECT count(*) FROM ({session.sql(contradicting)})")[0][0]
    else:  # both answers in one reading
        parent, told = last
        counts = "count(*) FILTER (WHERE told), count(*) FILTER (WHERE told IS NULL)"
        count, untold = session.ask(f"SELECT {counts} FROM ({session.sql(parent.select(told=told))})")[0]
        if untold and not count:
            # Not told.isnull(): Ibis writes a negation's as NOT (...) IS NULL, which negates the IS NULL.
            shown = parent.filter(told.fill_null(True) & ~told.fill_null(False))
            said = f"cannot be told for {rows_told(untold)}, whose comparison is NULL (decide with .fill_null): {first}"
    if count:
        said = f"{rows_told(count, 'contradict')} it{_named(session, declared, contradicting, hidden)}: {first}"
    failing = count or untold
    sql = session.sql(shown) if failing else None
    return CheckResult(
        declared.name,
        failing == 0,
        declared.severity,
        said,
        failing=failing,
        untold=failing > count,
        sample=_sample(session, sql, shown.columns, hidden(shown)) if sql else (),
        sample_sql=sql,
    )


def _named(
    session: Session, declared: InvariantDef, rows: ibis.Table, hidden: Callable[[ibis.Table], Collection[str]]
) -> str:
    """What the rows say is wrong, in brackets, where the invariant has a column for it that nobody masks."""
    if declared.names is None:
        return ""
    if declared.names not in rows.columns:
        raise WiringError(
            f"'{declared.name}' returns no column '{declared.names}'",
            where=str(declared.file),
            fix=f"Its columns: {', '.join(rows.columns)}.",
        )
    if declared.names in hidden(rows):
        return ""
    found = rows.select(declared.names).distinct().order_by(declared.names).limit(SAMPLE)
    return f" ({', '.join(str(name) for (name,) in session.ask(session.sql(found)))})"


def _last_filter(contradicting: ibis.Table) -> tuple[ibis.Table, ibis.BooleanValue] | None:
    """What the last filter of `contradicting` reads and what it asks, where that can be NULL."""
    operation, nulls = contradicting.op(), Nulls({})
    while isinstance(operation, ops.Project | ops.Sort):
        operation = operation.parent
    if not isinstance(operation, ops.Filter) or all(nulls.value(each) is False for each in operation.predicates):
        return None
    return operation.parent.to_expr(), ibis.and_(*(predicate.to_expr() for predicate in operation.predicates))


def _sample(session: Session, sql: str, names: Sequence[str], hidden: Collection[str]) -> tuple[Mapping[str, Any], ...]:
    return short(
        {name: "***" if name in hidden and value is not None else value for name, value in zip(names, row, strict=True)}
        for row in session.ask(f"SELECT * FROM ({sql}) ORDER BY ALL LIMIT {SAMPLE}")
    )


def short(rows: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """At most `SAMPLE` rows; a value that nobody could read in a report is cut."""
    return tuple(
        {name: cut(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in islice(rows, SAMPLE)
    )
