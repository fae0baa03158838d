"""A plan as a page: what is destroyed first, then every table in the order it is built."""

from __future__ import annotations

from assay.plan.model import NodePlan, Plan
from assay.plan.text import cost, full_name, headline, kind, loaded, quiet, rows, size
from assay.report.pages import render


def render_page(plan: Plan) -> str:
    """The whole page."""
    return render(
        "plan.html",
        plan=plan,
        title=plan.footer,
        nodes=[node for node in plan.nodes if node.action != "none" and (node.changes or not node.built)],
        quiet=list(quiet(plan)),
        cost=cost,
        full_name=full_name,
        headline=headline,
        kind=kind,
        loaded=loaded,
        rows=rows,
        scratch=size(plan.scratch_bytes),
        shares=_shares,
    )


def _shares(node: NodePlan) -> list[tuple[str, str, int, float]]:
    """Word, sign, number and part of the rows that are added, removed, changed and the same."""
    difference = node.difference
    assert difference is not None
    signs = {"added": "+", "removed": "-", "changed": "~", "same": "="}
    counts = {word: getattr(difference, word) or 0 for word in signs}
    total = sum(counts.values()) or 1
    return [(word, signs[word], count, 100 * count / total) for word, count in counts.items()]
