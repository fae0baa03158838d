"""A plan as a page: what is destroyed first, then every table in the order it is built."""

from __future__ import annotations

from assay.plan.model import NodePlan, Plan
from assay.plan.text import cost, full_name, headline, kind, loaded, rows, short_reasons, size
from assay.report.pages import render


def render_page(plan: Plan) -> str:
    """The whole page."""
    return render(
        "plan.html",
        plan=plan,
        title=plan.footer,
        nodes=[node for node in plan.nodes if node.action != "none" and (node.changes or not node.built)],
        quiet=_quiet(plan),
        cost=cost,
        full_name=full_name,
        headline=headline,
        kind=kind,
        loaded=loaded,
        rows=rows,
        scratch=size(plan.scratch_bytes),
        shares=_shares,
    )


def _quiet(plan: Plan) -> list[tuple[str, list[str]]]:
    """Titles and names of what the plan leaves as it is."""
    again = [f"{full_name(node)} ({short_reasons(node)})" for node in plan.unchanged if node.built]
    return [
        ("Built again with the same result", again),
        ("Nothing calls for a build", [full_name(node) for node in plan.unchanged if not node.built]),
        ("Downstream of a change, not in this plan", list(plan.not_in_plan)),
        ("Published, but made by no code any more; DROP TABLE in DuckDB removes one", list(plan.orphans)),
    ]


def _shares(node: NodePlan) -> list[tuple[str, str, int, float]]:
    """Word, sign, number and part of the rows that are added, removed, changed and the same."""
    difference = node.difference
    assert difference is not None
    signs = {"added": "+", "removed": "-", "changed": "~", "same": "="}
    counts = {word: getattr(difference, word) or 0 for word in signs}
    total = sum(counts.values()) or 1
    return [(word, signs[word], count, 100 * count / total) for word, count in counts.items()]
