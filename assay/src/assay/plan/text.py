"""The plan for a terminal: what would be destroyed first, then every table in the order it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from assay.compare.text import render as render_difference
from assay.compare.text import visible
from assay.plan.model import NodePlan, Plan

INDENT = "    "
SAMPLES = 3
"""So many rows of a table are shown, unless all details are asked for."""
DIFF_LINES = 6
"""So many lines of code that changed."""
Style = Callable[[str, str], str]


def plain(text: str, _: str) -> str:
    """No colours."""
    return text


def render(plan: Plan, style: Style = plain, *, details: bool = True) -> str:
    """The plan as text; `style` colours a piece of it as `danger`, `change`, `create`, `fail`, `same` or `dim`.

    Args:
        details: whether to tell all that is known: else a few rows of each table and lines of code, and no metrics.
    """
    lines = [*_head(plan), *_destroyed(plan, style)]
    shown = [node for node in plan.nodes if node.action != "none" and (node.changes or not node.built)]
    if len(shown) > 1:
        lines += ["", *_overview(shown, style)]
    for node in shown:
        lines += ["", *_node(node, style, details)]
    lines += ["", *_rest(plan, style)]
    return "\n".join(lines)


def _head(plan: Plan) -> Iterator[str]:
    what = ", ".join(plan.targets) if plan.targets else "everything that calls for a build"
    only = f", only {plan.partition}," if plan.partition else ""
    yield f"Dry run of {what}{only} in front of {plan.warehouse} ({plan.environment})"


def _destroyed(plan: Plan, style: Style) -> Iterator[str]:
    if not plan.destructive:
        return
    yield ""
    yield style("!!! DESTRUCTIVE: published data would be lost", "danger")
    width = max(len(full_name(node)) for node in plan.destructive)
    for node in plan.destructive:
        for found in node.destructive:
            yield style(f"!!! {full_name(node):<{width}}  {found.detail}", "danger")


def _overview(nodes: Sequence[NodePlan], style: Style) -> Iterator[str]:
    """A line for each table: what happens to it, and how many rows."""
    width = max(len(full_name(node)) for node in nodes)
    for node in nodes:
        counts = "" if node.kind == "file" or not node.built else f"{rows(node)} rows"
        if (found := node.difference) is not None and found.added is not None:
            moved = {"+": found.added, "-": found.removed, "~": found.changed}
            counts += "".join(f"  {sign}{count:,}" for sign, count in moved.items() if count)
        what = counts or headline(node).partition(";")[0]
        why = (
            style(f"  {', '.join(dict.fromkeys(reason.kind for reason in node.reasons))}", "dim")
            if node.reasons
            else ""
        )
        yield f"{mark(node, style)} {full_name(node):<{width}}  {style(what, kind(node))}{why}"


def _node(node: NodePlan, style: Style, details: bool) -> Iterator[str]:
    yield f"{mark(node, style)} {full_name(node)}  {style(headline(node), kind(node))}"
    for reason in node.reasons:
        yield f"{INDENT}why     {reason.kind}: {reason.detail}"
        lines = reason.diff if details else reason.diff[:DIFF_LINES]
        yield from (f"{INDENT}        {style(line, 'fail' if line[:1] == '-' else 'create')}" for line in lines)
        if len(lines) < len(reason.diff):
            yield f"{INDENT}        … {len(reason.diff) - len(lines)} more lines, with --details"
    if node.error:
        yield f"{INDENT}{style('error', 'fail')}   {node.error}"
    if node.difference is not None:
        yield render_difference(node.difference, indent=INDENT, samples=None if details else SAMPLES)
    elif node.kind == "table" and node.built:
        yield f"{INDENT}rows    {rows(node)}"
    if node.loaded:
        yield f"{INDENT}load    {loaded(node)}"
    if node.changes and node.changed_partitions:
        yield f"{INDENT}changed {node.changed_partitions}"
    yield from _shifts(node) if details else ()
    for check in node.checks:
        verdict = f"{check.before} -> {check.after}"
        shown = style(verdict, "fail" if check.blocks else "change" if check.after == "failed" else "create")
        yield f"{INDENT}check   {check.name}: {shown}  {check.summary}"
        yield from (f"{INDENT}        {row}" for row in check.rows)
    if node.rejects_before != node.rejects_after:
        yield f"{INDENT}rejects {node.rejects_before:,} -> {node.rejects_after:,}"
    if node.built and details:
        yield style(f"{INDENT}cost    {cost(node)}", "dim")


def _shifts(node: NodePlan) -> Iterator[str]:
    columns: dict[str, list[str]] = {}
    for shift in node.shifts:
        columns.setdefault(shift.column, []).append(f"{shift.metric} {visible(shift.before)} -> {visible(shift.after)}")
    for column, moved in columns.items():
        yield f"{INDENT}metrics {column}: {', '.join(moved)}"


def quiet(plan: Plan) -> Iterator[tuple[str, Sequence[str]]]:
    """Titles and names of what the plan leaves as it is."""
    rebuilt = [node for node in plan.unchanged if node.built]
    why = (", ".join(dict.fromkeys(reason.kind for reason in node.reasons)) for node in rebuilt)
    names = [f"{full_name(node)} ({reasons})" for node, reasons in zip(rebuilt, why, strict=True)]
    yield "Built again with the same result", names
    yield "Nothing calls for a build", [full_name(node) for node in plan.unchanged if not node.built]
    yield "Downstream of a change, not in this plan", plan.not_in_plan
    yield (
        "Published, but made by no code any more; a run leaves them alone, DROP TABLE in DuckDB removes one",
        plan.orphans,
    )


def _rest(plan: Plan, style: Style) -> Iterator[str]:
    for title, names in quiet(plan):
        if names:
            yield style(f"{title}: {', '.join(names)}", "dim")
    yield style(f"Not simulated: {'; '.join(plan.not_simulated)}", "dim")
    if plan.scratch:
        yield f"Scratch database kept in {plan.scratch}"
    yield style(f"Dry run: {plan.seconds:.1f} s, {size(plan.scratch_bytes)} of scratch space", "dim")
    yield plan.proof
    yield plan.footer


def full_name(node: NodePlan) -> str:
    """`stage.name`."""
    return f"{node.stage}.{node.name}"


def kind(node: NodePlan) -> str:
    """How the node is coloured."""
    if node.action == "fail":
        return "fail"
    if node.action == "skip":
        return "dim"
    if node.destructive:
        return "danger"
    return "create" if node.action == "create" else "change" if node.changes else "same"


def mark(node: NodePlan, style: Style) -> str:
    """One character: `+` created, `~` changed, `!` destroys, `x` fails, `.` skipped, `=` the same."""
    sign = {"fail": "x", "dim": ".", "danger": "!", "create": "+", "change": "~", "same": "="}[kind(node)]
    return style(sign, kind(node))


def headline(node: NodePlan) -> str:
    """What happens to the node, in a few words."""
    days = f" {node.partition}" if node.partition and node.action == "partition" else ""
    words = {
        "create": "is created",
        "replace": "is replaced",
        "partition": f"replaces{days}",
        "append": "is appended to",
        "merge": "is merged into",
        "none": "stays",
        "skip": "is skipped",
        "fail": "would FAIL; the published version would stay",
    }
    return words[node.action]


def rows(node: NodePlan) -> str:
    """Rows before and after."""
    before = "no table" if node.rows_before is None else f"{node.rows_before:,}"
    return f"{before} -> {node.rows_after:,}" if node.rows_after is not None else before


def loaded(node: NodePlan) -> str:
    """What an incremental build makes of the rows that it takes."""
    return ", ".join(f"{count:,} {name}" for name, count in node.loaded.items())


def cost(node: NodePlan) -> str:
    """Seconds, and bytes read or written."""
    text = f"{node.seconds:.2f} s"
    if node.bytes is not None:
        text += f", {size(node.bytes)} {'written' if node.kind == 'file' else 'read'}"
    return text


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"
