"""The checks of one table, evaluated on its staged rows: what holds, what does not, and how to see it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pipeline_project.framework.results import CheckResult
from pipeline_project.framework.warehouse.session import Session
from pipeline_project.framework.warehouse.staging import Staged

if TYPE_CHECKING:
    import ibis

    from pipeline_project.framework.contract import Contract
    from pipeline_project.framework.tables import InvariantDef, Reference, TableDef

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
        summary = f"all {staged.staged:,} rows keep the contract"
    else:
        budget = "inside" if tolerated else "above"
        summary = f"{staged.rejected:,} of {staged.staged:,} rows rejected, {budget} the budget: {listed}"
    return CheckResult(
        name="rows_valid",
        passed=staged.rejected == 0,
        severity="warn" if tolerated else "error",
        summary=summary,
        failing=staged.rejected,
        reasons=reasons,
        sample_sql=(
            f"SELECT reason_codes, payload FROM quarantine.rejects WHERE table_name = '{table.name}'"
            if staged.rejected
            else None
        ),
    )


def reconciles(table: TableDef, staged: Staged, upstream_rows: int | None, arrived: int) -> CheckResult:
    """Whether no row was lost or multiplied.

    Args:
        upstream_rows: rows of the input that the table preserves; None if it declares none.
        arrived: rows the table's expression has over all partitions, to compare with `upstream_rows`.
    """
    problems = []
    if staged.staged != staged.published + staged.rejected:
        problems.append(
            f"{staged.staged:,} staged is not {staged.published:,} published + {staged.rejected:,} rejected"
        )
    if upstream_rows is not None and upstream_rows != arrived:
        verb = "lost" if arrived < upstream_rows else "multiplied"
        problems.append(
            f"{table.preserves} has {upstream_rows:,} rows, {arrived:,} arrived: {abs(arrived - upstream_rows):,} {verb}"
        )
    if upstream_rows is None:
        good = f"{staged.staged:,} staged = {staged.published:,} published + {staged.rejected:,} rejected"
    else:
        good = f"{upstream_rows:,} of {table.preserves} = {arrived:,} published or rejected here"
    return CheckResult("reconciles", not problems, "error", "; ".join(problems) or good, failing=len(problems))


def unique_key(session: Session, contract: Contract, relation: str, *, proven: bool) -> CheckResult:
    """Whether the contract's key is never null and never repeats; `proven` where repeats were already set aside."""
    listed = ", ".join(contract.key)
    if proven:
        return CheckResult("unique_key", True, "error", f"({listed}) is unique: repeats were set aside")
    problems = contract.key_problems(session.connection, relation)
    if problems.nulls == 0 and problems.excess == 0:
        return CheckResult("unique_key", True, "error", f"({listed}) is unique and never null")
    return CheckResult(
        "unique_key",
        False,
        "error",
        f"({listed}) is null in {problems.nulls:,} rows and repeated by {problems.excess:,} rows",
        failing=problems.nulls + problems.excess,
        sample=tuple(problems.sample[:SAMPLE]),
        sample_sql=problems.sample_sql,
    )


def reference(session: Session, contract: Contract, relation: str, declared: Reference, target: str) -> CheckResult:
    """Whether every non-null value of the columns exists in the referenced table."""
    columns = declared.columns
    others = declared.to_columns or columns
    present = " AND ".join(f'staged."{column}" IS NOT NULL' for column in columns)
    match = " AND ".join(f'staged."{column}" = other."{other}"' for column, other in zip(columns, others, strict=True))
    orphans = f"FROM {relation} AS staged ANTI JOIN {target} AS other ON {match} WHERE {present}"
    keys = ", ".join(f'staged."{column}"' for column in columns)
    counted = session.connection.execute(f"SELECT count(*), count(DISTINCT ({keys})) {orphans}").fetchall()[0]
    rows, values = int(counted[0]), int(counted[1])
    listed = ", ".join(columns)
    if rows == 0:
        return CheckResult(declared.name, True, declared.severity, f"every ({listed}) is in {declared.to}")
    return CheckResult(
        declared.name,
        False,
        declared.severity,
        f"{rows:,} rows have {values:,} ({listed}) that {declared.to} does not have",
        failing=rows,
        sample=contract.masked_rows(
            session.connection, f"SELECT DISTINCT {keys} {orphans} ORDER BY ALL LIMIT {SAMPLE}"
        ),
        sample_sql=_published_sql(f"SELECT DISTINCT {keys} {orphans}", relation),
    )


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
        first if count == 0 else f"{count:,} rows contradict it: {first}",
        failing=count,
        sample=_sample(session, sql, hidden) if count else (),
        sample_sql=sql if count else None,
    )


def _sample(session: Session, sql: str, hidden: Collection[str]) -> tuple[dict[str, object], ...]:
    cursor = session.connection.execute(f"SELECT * FROM ({sql}) ORDER BY ALL LIMIT {SAMPLE}")
    names = [column[0] for column in cursor.description or ()]
    return tuple(
        {name: "***" if name in hidden and value is not None else value for name, value in zip(names, row, strict=True)}
        for row in cursor.fetchall()
    )


def _published_sql(sql: str, relation: str) -> str:
    """The SQL a person can run later: the published table in place of the staging one."""
    return sql.replace("__staging_", "")
