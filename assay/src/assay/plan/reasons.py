"""Why a table would be built: what of code, upstream data, sources and partitions is not what it was made from."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from assay.plan.model import Reason
from assay.tables.declare import ExportDef, TableDef
from assay.tables.partitions import PartitionRange

if TYPE_CHECKING:
    from assay.plan.published import Books, Published


def reasons(
    node: TableDef | ExportDef,
    books: Books,
    *,
    code: str,
    source: str | None,
    changed: Mapping[str, str],
    now: dtm.datetime,
    partition: PartitionRange | None,
    requested: Collection[str],
) -> tuple[Reason, ...]:
    """Everything that calls for building `node`; empty if nothing does.

    Args:
        code: the node's code version now.
        source: its source's fingerprint now.
        changed: data versions that this plan would publish, by name.
        now: the moment of the run; says which partitions are complete.
        partition: what was asked for.
        requested: names that were asked for.
    """
    published = books.published.get(node.name)
    table = isinstance(node, TableDef)
    if published is None or (table and not published.exists):
        return (Reason("new", "never published"),)
    found: list[Reason] = []
    if published.code_versions != {code}:
        found.append(Reason("code", _code(published, code)))
    for name in node.upstream:
        current = changed.get(name, books.data_version(name))
        if name in node.inputs and current != published.upstream_versions.get(name):
            found.append(Reason("upstream", f"{name} {'would change' if name in changed else 'changed'}"))
    if source is not None and source != published.source_version:
        assert isinstance(node, TableDef)
        assert node.source is not None
        found.append(Reason("source", f"{node.source.location} changed"))
    found += _partition(node, published, now, partition)
    if not found and node.name in requested:
        found.append(Reason("requested", "asked for"))
    return tuple(found)


def _code(published: Published, code: str) -> str:
    others = sorted(published.code_versions - {code})
    if code in published.code_versions:
        return f"some partitions were made by code {', '.join(others)}, now {code}"
    return f"{', '.join(others)} -> {code}"


def _partition(
    node: TableDef | ExportDef, published: Published, now: dtm.datetime, partition: PartitionRange | None
) -> list[Reason]:
    if not isinstance(node, TableDef) or node.partitions is None:
        return []
    if partition is not None:
        own = node.partitions.clip(partition, now)
        return [Reason("partition", f"{node.partitions.noun}s {own}")] if own else []
    # What was complete at the last build is the same question at another moment.
    before, whole = node.partitions.whole(published.published_at), node.partitions.whole(now)
    if whole is not None and whole != before:
        new = PartitionRange(before.stop, whole.stop) if before else whole
        return [Reason("partition", f"new {node.partitions.noun}s {new}")]
    return []
