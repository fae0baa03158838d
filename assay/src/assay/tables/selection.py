"""Choosing tables by more than their names: `tag:finance+`, `owner:team:shop`, `stage:load`, `+orders`, `raw_*`, `state:failed`."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from assay.errors import WiringError, did_you_mean
from assay.tables.graph import Graph
from assay.tables.nodes import Asset

KINDS = ("tag", "owner", "stage", "state")
STATES = ("failed", "new")


def select(graph: Graph, words: Iterable[str], states: Callable[[], Mapping[str, str]] = dict) -> list[str]:
    """The names that any of the `words` chooses, in topological order.

    A `+` before a word adds all that is upstream of what it chooses, one behind it all that is downstream.

    Args:
        states: node name -> the action of its newest publication, "failed" among them; asked where a word needs it.

    Raises:
        WiringError: a word chooses nothing.
    """
    chosen: set[str] = set()
    for word in words:
        bare = word.removeprefix("+").removesuffix("+")
        kind, _, value = bare.partition(":")
        found = list(_matching(graph, bare, kind, value, states))
        if not found:
            raise _nothing(graph, word, kind, value)
        chosen.update(found)
        if word.startswith("+"):
            chosen.update(graph.closure(found))
        if word.endswith("+"):
            chosen.update(graph.downstream(found))
    return [name for name in graph.nodes if name in chosen]


def _matching(graph: Graph, bare: str, kind: str, value: str, states: Callable[[], Mapping[str, str]]) -> Iterator[str]:
    known = states() if kind == "state" else {}
    for node in graph:
        if kind not in KINDS:
            holds = fnmatch.fnmatchcase(node.name, bare)
        elif kind == "state":
            holds = (
                (known.get(node.name) == "failed") if value == "failed" else value == "new" and node.name not in known
            )
        else:
            holds = any(fnmatch.fnmatchcase(each, value) for each in _said(node, kind))
        if holds:
            yield node.name


def _said(node: Asset, kind: str) -> Collection[str]:
    """What a node says of itself that a word of that kind may mean."""
    if kind == "tag":
        return [text for key, value in node.tags.items() for text in (key, *([f"{key}={value}"] if value else ()))]
    return [node.stage] if kind == "stage" else [node.owner] if node.owner else []


def _nothing(graph: Graph, word: str, kind: str, value: str) -> WiringError:
    if kind not in KINDS:
        bare = word.strip("+")
        return WiringError(
            f"no table named '{bare}'", fix=did_you_mean(bare, graph.nodes, "`pipeline tables` lists them.")
        )
    if kind == "state":
        known: Collection[str] = STATES
        if value in STATES:
            return WiringError(f"'{word}' chooses nothing: no table is {value}", fix="Nothing is to be done.")
    else:
        known = sorted({text for node in graph for text in _said(node, kind)})
    listed = f"Known: {', '.join(known)}." if known else f"No table has a {kind}: @table({kind}s={{...}})."
    return WiringError(f"'{word}' chooses nothing", fix=did_you_mean(value, known, listed))
