"""The result for a terminal: a line a case, then every root cause in full."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compare.text import render, visible
from assay.golden.case import is_unsaid
from assay.golden.result import CaseResult, Comparison, GoldenResult, TableResult
from assay.golden.store import REJECTS
from assay.terminal import styled, unstyled
from assay.words import harmless, plural, rows_told

_WORDS = {"equal": ("ok", "green"), "missing": ("NEW", "yellow"), "differs": ("FAIL", "red"), "error": ("ERROR", "red")}

_LISTED = 3
"""Tables of a case that are listed by name in its line."""


def case_line(case: CaseResult) -> str:
    """`ok    year_edge   transactions, daily_sales   0.3 s`; of many tables only what is wrong, and how many."""
    word, color = _WORDS[case.status]
    shown = [table for table in case.tables if len(case.tables) <= _LISTED or table.status != "equal"]
    words = [_table_word(table) for table in shown]
    if len(shown) < len(case.tables):
        words.append(f"{len(case.tables) - len(shown)} tables" + (" equal" if shown else ""))
    tables = ", ".join(words) or "could not run"
    return f"{styled(f'{word:<6}', fg=color)}{case.name:<32} {tables}  {case.seconds:.1f} s"


def details(result: GoldenResult, *, every: bool = False) -> Iterator[str]:
    """What is wrong, root causes first; tables below one are named, and shown in full with `every`."""
    for case in result.cases:
        if case.error:
            yield ""
            yield f"{_head('error')}  case={case.name}"
            yield f"  {case.error}"
            yield from (f"  {line}" for line in (case.traceback or "").splitlines()[-8:])
        for table in case.tables:
            if table.status != "equal" and (every or table.cause is None or not _hidden(table, case)):
                yield ""
                yield from table_lines(table, case)


def table_lines(table: TableResult, case: CaseResult) -> Iterator[str]:
    """One table that is not equal, in full."""
    key = next((each.difference.key for each in table.comparisons if each.difference), ())
    yield f"{_head(table.status)}  case={table.case}  table={table.table}" + (
        f"  key=({', '.join(key)})" if key else ""
    )
    yield from (f"problem {problem}" for problem in table.problems)
    for comparison in table.comparisons:
        if comparison.status != "equal":
            yield from _comparison_lines(comparison)
    below = [other.table for other in case.tables if other.cause == table.table]
    if below:
        yield f"first table that differs: {table.table}; {len(below)} below it hidden: {', '.join(below)}"
    elif table.cause:
        yield f"first table that differs: {table.cause} (upstream)"
    if any(each.pending for each in table.comparisons):
        yield f"accept: pipeline golden accept {table.address}     review: pipeline golden review"


def headline(table: TableResult) -> str:
    """The first fact about a table that is not equal."""
    if table.problems:
        return harmless(table.problems[0])
    for comparison in table.comparisons:
        difference = comparison.difference
        if comparison.status == "missing":
            return f"{comparison.name}: no golden yet, {rows_told(comparison.rows)}"
        if difference is not None and not difference.equal:
            if difference.added is None:
                return f"{comparison.name}: the key is broken"
            schema = f", {len(difference.schema)} schema changes" if difference.schema else ""
            return f"{comparison.name}: +{difference.added} -{difference.removed} ~{difference.changed} rows{schema}"
    return table.status


def plain(table: TableResult, case: CaseResult) -> str:
    """The table's whole text, without colors."""
    return unstyled("\n".join(table_lines(table, case)))


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    if comparison.name.endswith(REJECTS):
        yield "rejected rows (reasons and values as they were set aside)"
    if comparison.difference is not None and not comparison.difference.equal:
        yield render(comparison.difference)
    elif comparison.difference is not None:
        yield "rows are equal, but the golden has no schema file yet: accepting writes it"
    else:
        yield f"new: {rows_told(comparison.rows)}, and no golden to compare them with"
        yield from _preview(comparison)


def _preview(comparison: Comparison) -> Iterator[str]:
    rows = [comparison.columns, *([visible(value) for value in row] for row in comparison.preview)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(comparison.columns))]
    for row in rows:
        yield ("  " + "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True))).rstrip()
    if comparison.rows > len(comparison.preview):
        yield f"  … {comparison.rows - len(comparison.preview):,} more"


def summary(result: GoldenResult) -> Iterator[str]:
    """The counts, and what is left to do."""
    if result.orphans:
        yield ""
        yield f"{_head('missing', 'ORPHANED')}  no case has these under test; `pipeline golden prune` deletes them"
        yield from (f"  {path}" for path in result.orphans)
    for note in result.notes:
        yield ""
        yield f"{_head('error')}  {note}"
    for case in result.cases:
        if is_unsaid(case.description):
            yield ""
            yield f"{case.name}: its case.yml still says TODO: write what the case teaches, which `make check` asks for"
    counts = result.counts()
    words = {"equal": "equal", "differs": "differ", "missing": "new", "error": "could not run"}
    parts = [f"{counts[status]} {word}" for status, word in words.items() if counts[status] or status == "equal"]
    cases = f"{len(result.cases)} case{'' if len(result.cases) == 1 else 's'}"
    yield ""
    yield f"{', '.join(parts)} in {cases}, {result.seconds:.1f} s"
    if result.engine != "duckdb":
        count = f"{result.computed:,} {plural(result.computed, 'table')}"
        yield f"computed by {result.engine}: {count} and all contracts; compared by DuckDB"


def _hidden(table: TableResult, case: CaseResult) -> bool:
    """Whether the table's cause is told in the same case already."""
    return any(other.table == table.cause for other in case.tables)


def _table_word(table: TableResult) -> str:
    word, color = _WORDS[table.status]
    return table.table if table.status == "equal" else styled(f"{table.table} {word}", fg=color)


def _head(status: str, word: str | None = None) -> str:
    found, color = _WORDS[status]
    return styled(f"GOLDEN {word or found}", fg=color, bold=True)
