"""The catalog of a project's tables as one page: drawn, searched, and each table opened."""

from __future__ import annotations

import unicodedata

from assay.report.catalog import Catalog, NodeFacts
from assay.report.layers import HEIGHT, draw
from assay.report.pages import render

LONGEST = 40
"""So many characters of a name stand in its box."""
COLOURS = 6
CASES = 3
"""So many cases that show a rule are named; the others are counted."""
ORIGINS = 6


def page(catalog: Catalog) -> str:
    """The page, as text."""
    names = {facts.node.name for facts in catalog.nodes}
    edges = {
        (name, facts.node.name): name in facts.upstream
        for facts in catalog.nodes
        for name in (*facts.upstream, *facts.checked_against)
    }
    return render(
        "catalog.html",
        catalog=catalog,
        title=f"Tables of {catalog.package}",
        drawing=draw({facts.node.name: _width(facts.node.name) for facts in catalog.nodes}, edges),
        facts={facts.node.name: facts for facts in catalog.nodes},
        reads=edges,
        colours={stage: number % COLOURS for number, stage in enumerate(catalog.stages)},
        box=HEIGHT,
        cases=CASES,
        origins=ORIGINS,
        known=names,
        searched=_searched,
        cut=_cut,
        tables=sum(bool(facts.columns) for facts in catalog.nodes),
    )


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _width(name: str) -> float:
    """Of a box that holds the name, and a number of rows, in any reader's font."""
    letters = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in _cut(name))
    return max(96.0, 7.8 * letters + 20)


def _searched(facts: NodeFacts) -> str:
    """What a search looks at, beside the names of columns."""
    node = facts.node
    classes = sorted({each.column.classification or "unclassified" for each in facts.columns})
    meanings = [each.column.description or "" for each in facts.columns]
    return " ".join([node.name, node.stage, node.grain, node.description, *facts.facts.values(), *classes, *meanings])
