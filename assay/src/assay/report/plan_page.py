"""The plan as one HTML page that needs nothing else: no script, no font, no request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from assay.compare import Difference, RowChange, RowSample, visible
from assay.compare.text import key_problem, schema_change, visible_pair
from assay.plan.model import NodePlan, Plan
from assay.plan.text import cost, full_name, headline, kind, rows, short_reasons, size


def render_page(plan: Plan) -> str:
    """The whole page: what is destroyed first, then every table in the order it is built."""
    style = files(__package__).joinpath("plan.css").read_text(encoding="utf-8")
    body = "\n".join([*_head(plan), *_destroyed(plan), *_tiles(plan), *_nodes(plan), *_rest(plan)])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(plan.footer)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _head(plan: Plan) -> Iterator[str]:
    what = ", ".join(plan.targets) if plan.targets else "everything that calls for a build"
    days = f", days {plan.partition}" if plan.partition else ""
    yield "<header>"
    yield "<h1>What a run would change</h1>"
    yield f'<p class="soft break">Dry run of {escape(what)}{escape(days)}, made {escape(plan.created_at)}</p>'
    yield f'<p class="soft break">In front of <code>{escape(plan.warehouse)}</code> ({escape(plan.environment)})</p>'
    yield f'<p class="verdict">{escape(plan.footer)}</p>'
    yield "</header>"


def _destroyed(plan: Plan) -> Iterator[str]:
    if plan.destructive:
        lines = "\n".join(
            f'<li><a href="#{escape(node.name)}">{escape(full_name(node))}</a> {escape(found.detail)}</li>'
            for node in plan.destructive
            for found in node.destructive
        )
        yield '<section class="danger-box" aria-labelledby="destructive">'
        yield '<h2 id="destructive">Destructive: published data would be lost</h2>'
        yield f"<ul>{lines}</ul></section>"


def _tiles(plan: Plan) -> Iterator[str]:
    numbers = [
        (len(plan.changed), "changed", ""),
        (len(plan.destructive), "destructive", "danger" if plan.destructive else ""),
        (plan.blocking, "checks would fail", "fail" if plan.blocking else ""),
        (len(plan.unchanged), "unchanged", ""),
    ]
    yield '<ul class="tiles">'
    yield from (f'<li class="{css}"><b>{number:,}</b>{escape(label)}</li>' for number, label, css in numbers)
    yield "</ul>"


def _nodes(plan: Plan) -> Iterator[str]:
    shown = [node for node in plan.nodes if node.action != "none" and (node.changes or not node.built)]
    if not shown:
        return
    yield "<h2>Table by table, in the order they are built</h2>"
    for node in shown:
        opened = " open" if node.destructive or node.action == "fail" or len(shown) <= 8 else ""
        yield f'<details class="node {kind(node)}" id="{escape(node.name)}"{opened}>'
        yield f'<summary><span class="name">{escape(full_name(node))}</span> '
        yield f'<span class="what">{escape(headline(node))}</span>'
        if node.kind == "table" and node.built:
            yield f'<span class="rows">{escape(rows(node))} rows</span>'
        yield "</summary>"
        yield '<div class="body">'
        yield from _body(node)
        yield "</div></details>"


def _body(node: NodePlan) -> Iterator[str]:
    if node.error:
        yield f'<p class="failed break">{escape(node.error)}</p>'
    if node.reasons:
        yield "<h3>Why it is built</h3>"
        yield _chips(f"<b>{escape(reason.kind)}</b> {escape(reason.detail)}" for reason in node.reasons)
    if node.changes and node.changed_partitions:
        yield f"<p>Changed: {escape(node.changed_partitions)}</p>"
    if node.difference is not None:
        yield from _difference(node.difference)
    if node.shifts:
        yield "<h3>Numbers that move</h3>"
        yield _table(
            "Numbers that move",
            ["column", "number", "today", "planned"],
            (
                [f"<code>{escape(shift.column)}</code>", shift.metric, _old(shift.before), _new(shift.after)]
                for shift in node.shifts
            ),
        )
    yield from _checks(node)
    if node.built:
        rejects = f"{node.rejects_before:,} → {node.rejects_after:,} rejected rows; "
        shown = rejects if node.rejects_before or node.rejects_after else ""
        yield f'<p class="soft">{shown}{escape(cost(node))}</p>'


def _difference(difference: Difference) -> Iterator[str]:
    if difference.schema:
        yield "<h3>Columns</h3>"
        items = [
            f'<li class="{"danger" if change.kind == "removed" else "kept"}">'
            f"<code>{escape(schema_change(change))}</code></li>"
            for change in difference.schema
        ]
        yield f'<ul class="chips">{"".join(items)}</ul>'
    yield from (f'<p class="failed break">{escape(key_problem(problem))}</p>' for problem in difference.key_problems)
    if difference.added is None:
        return
    yield "<h3>Rows</h3>"
    yield from _bar(difference)
    if difference.columns:
        yield "<h3>Most changed columns</h3>"
        yield _chips(f"<code>{escape(name)}</code> {count:,}" for name, count in list(difference.columns.items())[:12])
    yield from _samples(difference)


def _bar(difference: Difference) -> Iterator[str]:
    counts = {
        "added": difference.added or 0,
        "removed": difference.removed or 0,
        "changed": difference.changed or 0,
        "same": difference.same or 0,
    }
    total = sum(counts.values()) or 1
    parts = "".join(
        f'<span class="{name}" style="width:{100 * count / total:.2f}%"></span>'
        for name, count in counts.items()
        if count
    )
    yield f'<div class="bar" aria-hidden="true">{parts}</div>'
    signs = {"added": "+", "removed": "-", "changed": "~", "same": "="}
    legend = "".join(
        f'<span class="{name}-text">{signs[name]}{count:,} {name}</span>' for name, count in counts.items()
    )
    note = "" if difference.key else '<span class="soft">no key: compared as a multiset</span>'
    yield f'<div class="legend">{legend}{note}</div>'


def _samples(difference: Difference) -> Iterator[str]:
    if difference.changes:
        yield f"<h3>Changed rows, {len(difference.changes)} of {difference.changed or 0:,}</h3>"
        yield _table("Changed rows", ["row", "column", "today", "planned", "by"], _changed(difference.changes))
    for title, sign, found, total in (
        ("Removed rows", "-", difference.only_expected, difference.removed),
        ("Added rows", "+", difference.only_actual, difference.added),
    ):
        if found:
            yield f"<h3>{title}, {len(found)} of {total or 0:,}</h3>"
            yield _table(title, ["", *map(escape, found[0].values)], _whole(found, sign))


def _changed(changes: Iterable[RowChange]) -> Iterator[list[str]]:
    for change in changes:
        key = " ".join(f"{name}={visible(value)}" for name, value in change.key.items())
        for cell in change.cells:
            left, right = visible_pair(cell.expected, cell.actual)
            yield [
                f"<code>{escape(key)}</code>",
                f"<code>{escape(cell.column)}</code>",
                f"<del>{escape(left)}</del>",
                f"<ins>{escape(right)}</ins>",
                escape(cell.delta or ""),
            ]
            key = ""


def _whole(found: Iterable[RowSample], sign: str) -> Iterator[list[str]]:
    tag = "del" if sign == "-" else "ins"
    for row in found:
        copies = f"{sign}{row.copies}" if row.copies > 1 else sign
        yield [f"<{tag}>{copies}</{tag}>", *(escape(visible(value)) for value in row.values.values())]


def _checks(node: NodePlan) -> Iterator[str]:
    if node.checks:
        yield "<h3>Checks whose verdict matters here</h3>"
        yield _table(
            "Checks",
            ["check", "today", "planned", "what was found"],
            (
                [
                    f"<code>{escape(check.name)}</code>",
                    f'<span class="{check.before}">{check.before}</span>',
                    f'<span class="{check.after}">{check.after}{" (blocks)" if check.blocks else ""}</span>',
                    "<br>".join(map(escape, [check.summary, *check.rows])),
                ]
                for check in node.checks
            ),
            text_columns={3},
        )


def _rest(plan: Plan) -> Iterator[str]:
    for title, names in (
        (
            "Built again with the same result",
            [f"{full_name(node)} ({short_reasons(node)})" for node in plan.unchanged if node.built],
        ),
        ("Nothing calls for a build", [full_name(node) for node in plan.unchanged if not node.built]),
        ("Downstream of a change, not in this plan", plan.not_in_plan),
        ("Published, but made by no code any more; DROP TABLE in DuckDB removes one", plan.orphans),
    ):
        if names:
            yield f"<h2>{escape(title)}</h2>{_chips(f'<code>{escape(name)}</code>' for name in names)}"
    yield "<h2>Not simulated</h2>"
    yield f'<ul class="plain-list">{"".join(f"<li>{escape(text)}</li>" for text in plan.not_simulated)}</ul>'
    yield "<h2>Proof that nothing was written</h2>"
    bad = "" if plan.proof.startswith("Proof: nothing written") else " bad"
    yield f'<p class="proof mono{bad}">{escape(plan.proof)}</p>'
    yield f'<p class="soft">The dry run took {plan.seconds:.1f} s and {size(plan.scratch_bytes)} of scratch space.</p>'


def _chips(items: Iterable[str]) -> str:
    return f'<ul class="chips">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def _table(title: str, header: Iterable[str], lines: Iterable[Iterable[str]], text_columns: Iterable[int] = ()) -> str:
    """A table that scrolls by itself on a narrow screen; a scrolling box must be reachable by keyboard."""
    wide = set(text_columns)
    head = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{"text" if i in wide else "value"}">{cell}</td>' for i, cell in enumerate(line))
        + "</tr>"
        for line in lines
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _old(value: str | None) -> str:
    return f"<del>{escape(visible(value))}</del>"


def _new(value: str | None) -> str:
    return f"<ins>{escape(visible(value))}</ins>"
