"""Pieces of the page: one difference as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as html_escape

from assay.compare import CellChange, Difference, RowSample, visible
from assay.compare.text import key_problem, key_text, row_counts, schema_change, visible_pair
from assay.golden.result import Comparison
from assay.golden.text import harmless
from assay.words import rows_told


def escape(text: str) -> str:
    """Text that may stand in the page."""
    return html_escape(harmless(text))


WORDS = {"equal": "equal", "differs": "differs", "missing": "new", "error": "error"}


def badge(status: str) -> str:
    """The status as a word on its color."""
    return f'<span class="badge {status}">{WORDS[status]}</span>'


def command(text: str) -> str:
    """A command to run, with a button that copies it."""
    return f'<div class="do"><code>{escape(text)}</code><button type="button" data-copy="{escape(text)}">Copy</button></div>'


def facts(difference: Difference) -> str:
    """Schema, key, counts, columns and tolerances, a line each."""
    lines = [("schema", schema_change(change)) for change in difference.schema]
    lines += [("key", key_problem(problem)) for problem in difference.key_problems]
    lines.append(("rows", row_counts(difference)))
    if difference.columns:
        lines.append(("columns", ", ".join(f"{name} in {count:,}" for name, count in difference.columns.items())))
    lines += [
        ("tolerance", f"{use.column}: {use.cells:,} cells within it, the largest off by {use.largest:.6g}")
        for use in difference.tolerance
        if use.cells
    ]
    items = "".join(
        f'<li><span class="tag">{tag}</span><span class="mono">{escape(text)}</span></li>' for tag, text in lines
    )
    return f'<ul class="facts named">{items}</ul>'


def changes(difference: Difference) -> str:
    """Changed cells, row by row."""
    if not difference.changes:
        return ""
    rows = "".join(
        f'<div class="row"><div class="key">{escape(key_text(change.key)) or "row"}</div>'
        f"<div>{''.join(map(_cell, change.cells))}</div></div>"
        for change in difference.changes
    )
    return f'<div class="cells">{rows}</div>{_more("changed", difference.changed, len(difference.changes))}'


def only_rows(difference: Difference) -> str:
    """Rows that one side alone has, as a table."""
    if not difference.only_expected and not difference.only_actual:
        return ""
    samples = [("minus", "-", row) for row in difference.only_expected] + [
        ("plus", "+", row) for row in difference.only_actual
    ]
    names = list(dict.fromkeys(name for _, _, row in samples for name in row.values))
    body = "".join(
        f'<tr class="{kind}"><td class="mark">{mark}</td>{_values(names, row)}</tr>' for kind, mark, row in samples
    )
    note = "- expected only, + in the new output only"
    table = _table(["", *names], body, note)
    return (
        table
        + _more("removed", difference.removed, sum(row.copies for row in difference.only_expected))
        + _more("added", difference.added, sum(row.copies for row in difference.only_actual))
    )


def preview(comparison: Comparison) -> str:
    """The first rows of output that has no golden."""
    if comparison.difference is not None:
        return '<ul class="facts"><li>Rows are equal, but the golden has no schema file yet: accepting writes it.</li></ul>'
    body = "".join(
        f'<tr class="plus"><td class="mark">+</td>{"".join(f"<td>{_value(value)}</td>" for value in row)}</tr>'
        for row in comparison.preview
    )
    note = f"{rows_told(comparison.rows)}, and no golden to compare them with"
    return _table(["", *comparison.columns], body, note) + _more("new", comparison.rows, len(comparison.preview))


def _cell(cell: CellChange) -> str:
    left, right = visible_pair(cell.expected, cell.actual)
    old, new = _marked(left, right)
    delta = f' <span class="delta">({escape(cell.delta)})</span>' if cell.delta else ""
    return (
        f'<div class="cell"><b>{escape(cell.column)}</b><del aria-label="expected">{old}</del> → '
        f'<ins aria-label="actual">{new}</ins>{delta}</div>'
    )


def _marked(left: str, right: str) -> tuple[str, str]:
    """Both texts with the part marked in which they differ."""
    start = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    end = 0
    while end < min(len(left), len(right)) - start and left[len(left) - 1 - end] == right[len(right) - 1 - end]:
        end += 1
    if start + end == 0:
        return escape(left), escape(right)
    return _mark(left, start, end), _mark(right, start, end)


def _mark(text: str, start: int, end: int) -> str:
    middle = text[start : len(text) - end]
    marked = f"<mark>{escape(middle)}</mark>" if middle else ""
    return f"{escape(text[:start])}{marked}{escape(text[len(text) - end :])}"


def _values(names: Sequence[str], row: RowSample) -> str:
    copies = f' <span class="delta">({row.copies} times)</span>' if row.copies > 1 else ""
    cells = [_value(row.values[name]) if name in row.values else "" for name in names]
    if cells:
        cells[0] += copies
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _value(value: str | None) -> str:
    shown = escape(visible(value if value is None or len(value) <= 80 else value[:79] + "…"))
    return f'<span class="null">{shown}</span>' if value in (None, "") else shown


def _table(names: Iterable[str], body: str, caption: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in names)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="rows">'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _more(word: str, total: int | None, shown: int) -> str:
    return f'<p class="faint">… {total - shown:,} more {word}</p>' if total and total > shown else ""
