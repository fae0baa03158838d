"""Why a table would be built: what of code, upstream data, sources and partitions is not what it was made from."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from assay.plan.changed_code import code_diff, what_changed
from assay.plan.model import Reason
from assay.plan.stale import BUILDS, ranges, stale, told
from assay.tables.loads import Incremental
from assay.tables.nodes import Asset, TableDef
from assay.warehouse.parts import Parts

if TYPE_CHECKING:
    from assay.plan.published import Books
    from assay.tables.partitions import PartitionRange
    from assay.warehouse.ops import Record
    from assay.warehouse.session import Session


def reasons(
    node: Asset,
    books: Books,
    *,
    session: Session,
    upstream: Mapping[str, TableDef],
    code: str,
    parts: Mapping[str, str],
    written: Mapping[str, str],
    source: str | None,
    changed: Mapping[str, str],
    now: dtm.datetime,
    partition: PartitionRange | None,
    requested: Collection[str],
    full: bool = False,
) -> tuple[tuple[Reason, ...], tuple[PartitionRange, ...]]:
    """Everything that calls for building `node`, and the partitions that do; these are empty where it is built whole.

    Args:
        session: the dry run's, in which the upstream that this plan would change stands as it would be.
        code: the node's code version now; `parts` is what it is made of, and `written` how that is written.
        changed: data versions that this plan would publish, by name.
        now: the moment of the run; says which partitions are complete.
        full: whether tables that take what is new are to take all rows.
    """
    published = books.of(node)
    asked: tuple[PartitionRange, ...] = (partition,) if partition is not None else ()
    if published is None:
        return (Reason("new", "never published"),), asked
    found: list[Reason] = []
    made_by = [published.code_version]
    some = asked
    if isinstance(node, TableDef) and node.partitions is not None:
        own = node.partitions.clip(partition, now) if partition is not None else None
        looked_at = Parts(node.partitions, own, now)
        known = session.partitions(node.name)

        def said(versions: Iterable[str]) -> str:
            made_by[:] = versions
            return what_changed([books.code.get(version) for version in made_by], parts)

        found, keys = stale(
            session, node, upstream, known, looked_at, code=code, said=said, source=source, changed=changed
        )
        if own is not None:
            found.append(Reason("partition", told(node.partitions, looked_at.keys, looked_at.keys)))
        elif len(keys) < len(looked_at.keys):
            some = tuple(ranges(node.partitions, looked_at.keys, keys, BUILDS))
    else:
        found += _whole(node, books, published, code=code, parts=parts, source=source, changed=changed)
    if full and isinstance(node, TableDef) and (isinstance(node.load, Incremental) or node.rereads):
        found.append(Reason("requested", "all rows, as asked for"))
    if not found and node.name in requested:
        found.append(Reason("requested", "asked for"))
    diff = code_diff([books.code.get(version) for version in made_by], parts, books.sources, written)
    found = [dataclasses.replace(each, diff=diff) if each.kind == "code" else each for each in found]
    return tuple(found), some


def _whole(
    node: Asset,
    books: Books,
    published: Record,
    *,
    code: str,
    parts: Mapping[str, str],
    source: str | None,
    changed: Mapping[str, str],
) -> Iterator[Reason]:
    if published.code_version != code:
        whole = (
            "; all rows are taken, not only new ones"
            if isinstance(node, TableDef) and isinstance(node.load, Incremental)
            else ""
        )
        yield Reason("code", what_changed([books.code.get(published.code_version)], parts) + whole)
    for name in node.inputs:
        current = changed.get(name, books.data_version(name))
        if current != published.upstream_versions.get(name):
            yield Reason("upstream", f"{name} {'would change' if name in changed else 'changed'}")
    if source is not None and source != published.source_version:
        assert isinstance(node, TableDef)
        assert node.source is not None
        yield Reason("source", f"{node.source.location} changed")
