"""An outline, from tables that are loaded."""

from __future__ import annotations

from dataclasses import replace

from assay.health.outline import Check, Outline, Watched
from assay.sources.events import EventLog
from assay.sources.files import Files
from assay.tables.audited import check_names
from assay.tables.fresh import Fresh
from assay.tables.graph import Graph
from assay.tables.nodes import Asset, TableDef


def outline(graph: Graph, default: Fresh | None = None, schedules: tuple[str, ...] = ()) -> Outline:
    """What of `graph` says whether it is well.

    Args:
        default: by when those are built that do not say it.
        schedules: those that are off until somebody turns them on.
    """
    owners = {node.owner for node in [*graph, *graph.invariants.values()] if node.owner}
    return Outline({node.name: _watched(node, graph, default) for node in graph}, tuple(sorted(owners)), schedules)


def _watched(node: Asset, graph: Graph, default: Fresh | None) -> Watched:
    checks = {}
    for name in check_names(node, graph):
        own = graph.invariants.get(name)
        says = own.description.splitlines()[0].rstrip(".") if own is not None and own.description else None
        checks[name] = Check(says, (own.owner if own is not None else None) or node.owner)
    plain = Watched(node.name, node.stage, node.owner, graph.upstream_of(node.name), checks, default)
    if not isinstance(node, TableDef):
        return plain
    source = node.source
    log = (source.location, source.topic) if isinstance(source, EventLog) else None
    files = (source.location, source.path) if isinstance(source, Files) and source.tells_lag else None
    fresh = node.fresh or default
    return replace(plain, fresh=fresh, newest=node.newest, partitions=node.partitions, log=log, files=files)
