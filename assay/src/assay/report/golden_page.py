"""The result as one self-contained page: nothing is loaded, nothing is sent, and a phone shows it whole."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Iterator
from pathlib import Path

from assay.golden.result import CaseResult, GoldenResult, TableResult
from assay.golden.store import REJECTS
from assay.report.golden_parts import WORDS, badge, changes, command, escape, facts, only_rows, preview

_SYMBOLS = {"equal": "✓", "differs": "≠", "missing": "+", "error": "!"}
_COUNTED = {"equal": "equal", "differs": "differ", "missing": "new", "error": "could not run"}
_SCRIPT = """
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  try { await navigator.clipboard.writeText(button.dataset.copy); button.textContent = "Copied"; }
  catch { getSelection().selectAllChildren(button.previousElementSibling); button.textContent = "Selected"; }
});
"""


def page(result: GoldenResult, *, made: dtm.datetime | None = None) -> str:
    """The page, as text."""
    made = made or dtm.datetime.now(dtm.UTC)
    head = _headline(result)
    css = Path(__file__).with_name("golden.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{escape(head)}</title>
<style>
{css}</style>
</head>
<body>
<header class="top">
<h1>{escape(head)}</h1>
<p class="faint">{_plural(len(result.cases), "case")} in {result.seconds:.1f} s,
<time datetime="{made:%Y-%m-%dT%H:%M:%SZ}">{made:%Y-%m-%d %H:%M} UTC</time></p>
<ul class="counts">{"".join(_count(status, count) for status, count in result.counts().items() if count)}</ul>
</header>
<main>
{"".join(_sections(result))}
<footer>Exit code {result.exit_code}. Written by <code>pipeline golden --html</code>.</footer>
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _headline(result: GoldenResult) -> str:
    counts = result.counts()
    parts = [f"{counts[status]} {word}" for status, word in _COUNTED.items() if counts[status] and status != "equal"]
    parts += [f"{len(result.orphans)} orphaned"] if result.orphans else []
    return f"Golden tests: {', '.join(parts)}" if parts else "Golden tests: all equal"


def _sections(result: GoldenResult) -> Iterator[str]:
    wrong = [(case, table) for case in result.cases for table in case.tables if table.status != "equal"]
    broken = [case for case in result.cases if case.error]
    if result.tables:
        yield f"<h2>Cases and tables</h2>{_grid(result)}"
    if broken or wrong or result.orphans or result.notes:
        yield "<h2>What to look at, root causes first</h2>"
        yield from map(_broken, broken)
        for case, table in wrong:
            if not _told_elsewhere(table, case):
                below = [other for other in case.tables if other.cause == table.table]
                yield _card(case, table, below)
        yield _tree(result)
    yield f'<h2>Every case</h2><ul class="cases">{"".join(map(_case, result.cases))}</ul>'


def _grid(result: GoldenResult) -> str:
    tables = _in_order(result)
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in tables)
    rows = []
    for case in result.cases:
        found = {table.table: table for table in case.tables}
        cells = "".join(f"<td>{_square(found.get(name))}</td>" for name in tables)
        if case.error:
            link = f'<a class="error" href="#{escape(case.name)}">! could not run</a>'
            cells = f'<td class="whole" colspan="{len(tables)}">{link}</td>'
        rows.append(f'<tr><th scope="row" title="{escape(case.description)}">{escape(case.name)}</th>{cells}</tr>')
    legend = "".join(
        f'<span><span class="badge {status}">{_SYMBOLS[status]}</span> {WORDS[status]}</span>' for status in _SYMBOLS
    )
    return (
        f'<div class="scroll fit" tabindex="0" role="region" aria-label="Cases and tables">'
        f'<table class="grid"><thead><tr><th scope="col">case</th>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="legend">{legend}</p>'
    )


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


def _square(table: TableResult | None) -> str:
    if table is None:
        return ""
    label = f"{table.case}, {table.table}: {WORDS[table.status]}"
    follows = " follows" if table.cause else ""
    symbol = _SYMBOLS[table.status]
    if table.status == "equal":
        return f'<i class="equal" role="img" title="{escape(label)}" aria-label="{escape(label)}">{symbol}</i>'
    anchor = f"{table.case}--{table.cause or table.table}"
    return (
        f'<a class="{table.status}{follows}" href="#{escape(anchor)}" title="{escape(label)}" '
        f'aria-label="{escape(label)}">{symbol}</a>'
    )


def _card(case: CaseResult, table: TableResult, below: list[TableResult]) -> str:
    parts = [
        f'<article class="card is-{table.status}" id="{escape(table.case)}--{escape(table.table)}">',
        (
            f'<div class="head">{badge(table.status)}<h3>{escape(table.address)}</h3>'
            f'<span class="faint mono place">{escape(table.file)}:{table.line}</span></div>'
        ),
        f"<p>{escape(case.description)}</p>",
        *_body(table),
    ]
    if below:
        inner = "".join(f"<h3>{badge(each.status)} {escape(each.table)}</h3>{''.join(_body(each))}" for each in below)
        word = _plural(len(below), "table")
        parts.append(f"<details><summary>{word} below it: {escape(', '.join(e.table for e in below))}</summary>")
        parts.append(f"{inner}</details>")
    parts.append("</article>")
    return "".join(parts)


def _in_lines(problem: str) -> str:
    return escape(problem).replace("\n", "<br>")


def _body(table: TableResult) -> Iterator[str]:
    if table.problems:
        yield '<ul class="facts">'
        yield from (f"<li>{_in_lines(problem)}</li>" for problem in table.problems)
        yield "</ul>"
    for comparison in table.comparisons:
        if comparison.status == "equal":
            continue
        if comparison.name.endswith(REJECTS):
            yield '<p class="faint about">Rejected rows, with their reasons</p>'
        if comparison.difference is None or comparison.difference.equal:
            yield preview(comparison)
        else:
            yield facts(comparison.difference)
            yield changes(comparison.difference)
            yield only_rows(comparison.difference)
    if any(each.pending for each in table.comparisons):
        yield command(f"pipeline golden accept {table.address}")


def _broken(case: CaseResult) -> str:
    trace = (
        f"<details><summary>Traceback</summary><pre>{escape(case.traceback)}</pre></details>" if case.traceback else ""
    )
    return (
        f'<article class="card is-error" id="{escape(case.name)}"><div class="head">{badge("error")}'
        f"<h3>{escape(case.name)}</h3></div><p>{escape(case.description)}</p>"
        f"<pre>{escape(case.error or '')}</pre>{trace}</article>"
    )


def _tree(result: GoldenResult) -> str:
    found = ""
    if result.notes:
        found += "".join(
            f'<article class="card is-error"><div class="head">{badge("error")}</div><pre>{escape(note)}</pre></article>'
            for note in result.notes
        )
    if result.orphans:
        files = "".join(f"<li><code>{escape(path)}</code></li>" for path in result.orphans)
        found += (
            f'<article class="card is-missing"><div class="head"><span class="badge missing">orphaned</span>'
            f"<h3>{_plural(len(result.orphans), 'file')} that no case has under test</h3></div>"
            f'<ul class="facts">{files}</ul>{command("pipeline golden prune")}</article>'
        )
    return found


def _case(case: CaseResult) -> str:
    tables = "".join(
        f'<span class="badge {t.status}">{_SYMBOLS[t.status]} {escape(t.table)}</span>' for t in case.tables
    )
    owner = f" · {escape(case.owner)}" if case.owner else ""
    return (
        f'<li><div class="head">{badge(case.status)}<h3>{escape(case.name)}</h3>'
        f'<span class="faint">{case.seconds:.1f} s{owner}</span></div>'
        f'<p>{escape(case.description)}</p><div class="tables">{tables}</div></li>'
    )


def _told_elsewhere(table: TableResult, case: CaseResult) -> bool:
    return table.cause is not None and any(other.table == table.cause for other in case.tables)


def _count(status: str, count: int) -> str:
    return f'<li class="{status}"><b>{count}</b>{_COUNTED[status]}</li>'


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
