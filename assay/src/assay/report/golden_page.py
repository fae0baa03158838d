"""A golden result as a page: a phone shows it whole."""

from __future__ import annotations

import datetime as dtm

from assay.compare.model import Difference
from assay.golden.result import CaseResult, GoldenResult, TableResult
from assay.golden.store import REJECTS
from assay.report.pages import render

SYMBOLS = {"equal": "✓", "differs": "≠", "missing": "+", "error": "!"}
WORDS = {"equal": "equal", "differs": "differs", "missing": "new", "error": "error"}
COUNTED = {"equal": "equal", "differs": "differ", "missing": "new", "error": "could not run"}


def page(result: GoldenResult, *, made: dtm.datetime | None = None) -> str:
    """The page, as text."""
    return render(
        "golden.html",
        result=result,
        made=made or dtm.datetime.now(dtm.UTC),
        title=_headline(result),
        tables=_in_order(result),
        causes=[(case, table, _below(case, table)) for case in result.cases for table in _causes(case)],
        sampled=_sampled,
        symbols=SYMBOLS,
        words=WORDS,
        counted=COUNTED,
        rejects=REJECTS,
    )


def _headline(result: GoldenResult) -> str:
    counts = result.counts()
    parts = [f"{counts[status]} {word}" for status, word in COUNTED.items() if counts[status] and status != "equal"]
    parts += [f"{len(result.orphans)} orphaned"] if result.orphans else []
    return f"Golden tests: {', '.join(parts)}" if parts else "Golden tests: all equal"


def _causes(case: CaseResult) -> list[TableResult]:
    """The tables to look at: those that do not follow from another one of the case."""
    names = [table.table for table in case.tables]
    return [table for table in case.tables if table.status != "equal" and table.cause not in names]


def _below(case: CaseResult, table: TableResult) -> list[TableResult]:
    return [other for other in case.tables if other.cause == table.table]


def _in_order(result: GoldenResult) -> list[str]:
    """All tables under test, upstream first as every case has them."""
    order: list[str] = []
    for case in result.cases:
        place = 0
        for table in case.tables:
            if table.table in order:
                place = max(place, order.index(table.table) + 1)
            else:
                order.insert(place, table.table)
                place += 1
    return order


def _sampled(difference: Difference) -> list[str]:
    """The columns of the rows that one side alone has, in order."""
    rows = (*difference.only_expected, *difference.only_actual)
    return list(dict.fromkeys(name for row in rows for name in row.values))
