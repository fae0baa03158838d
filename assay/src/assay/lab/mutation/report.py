"""A mutation run as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assay.compare.text import visible
from assay.lab.mutation.mutate import MutantOutcome, MutationResult

_WIDTH = 160


def lines(result: MutationResult, minimum: float) -> Iterator[str]:
    """What a person reads: survivors first, then the tables, then the verdict."""
    for outcome in result.of("survived"):
        yield from _survivor(outcome)
    if result.of("survived"):
        yield ""
    width = max((len(table) for table in [*result.tables(), *result.unmutated]), default=0)
    for table in result.tables():
        parts = [f"{len(result.of('killed', table))} killed", f"{len(result.of('survived', table))} survived"]
        parts += [f"{len(result.of('equivalent', table))} equivalent"] if result.of("equivalent", table) else []
        parts += [f"{len(result.of('stillborn', table))} cannot run"] if result.of("stillborn", table) else []
        yield f"{table:<{width}}  {result.rate(table):>4.0%}  {', '.join(parts)}"
    for table, why in result.unmutated.items():
        yield f"{table:<{width}}     -  {why}"
    yield from result.notes
    for error in result.stale:
        yield f"error: {error}"
    verdict = "ok" if result.rate() >= minimum else "too few"
    killed, survived = len(result.of("killed")), len(result.of("survived"))
    yield f"\n{killed} of {killed + survived} mutants killed, {result.rate():.1%}: {verdict} (at least {minimum:.0%})"


def as_dict(result: MutationResult, minimum: float) -> dict[str, Any]:
    """JSON-ready data."""
    return {
        "version": 1,
        "rate": round(result.rate(), 4),
        "minimum": minimum,
        "tables": {table: round(result.rate(table), 4) for table in result.tables()},
        "unmutated": result.unmutated,
        "notes": result.notes,
        "stale": [str(error) for error in result.stale],
        "mutants": [_outcome(outcome) for outcome in result.outcomes],
    }


def _outcome(outcome: MutantOutcome) -> dict[str, Any]:
    rows = None if outcome.rows is None else [{"table": table, "row": row} for table, row in outcome.rows]
    return {
        **{name: value for name, value in vars(outcome.mutant).items() if name != "sql"},
        "status": outcome.status,
        "killed_by": outcome.by,
        "how": outcome.how,
        "reason": outcome.reason,
        "killing_rows": rows,
        "warehouse_row": outcome.real,
    }


def _survivor(outcome: MutantOutcome) -> Iterator[str]:
    mutant = outcome.mutant
    nth = f"  nth={mutant.nth}" if mutant.nth > 1 else ""
    yield f"SURVIVED  table={mutant.table}  operator={mutant.operator}{nth}"
    yield f"  before  {_short(mutant.before)}"
    yield f"  after   {_short(mutant.after) or '(nothing)'}"
    if outcome.rows is not None:
        yield "  killed by an input of" + (" no rows" if not outcome.rows else "")
        for table, row in outcome.rows:
            values = ", ".join(f"{name}={visible(value)}" for name, value in row.items() if value is not None)
            empty = [name for name, value in row.items() if value is None]
            yield f"    {table}  {values}" + (f"; NULL: {', '.join(empty)}" if empty else "")
    elif outcome.real is not None:
        yield f"  on the warehouse  {outcome.real}"
    else:
        yield "  no row found: may be equivalent"


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH // 2]} ... {text[-_WIDTH // 2 :]}"
