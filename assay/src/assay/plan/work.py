"""One plan in the making: node by node, why it is built, what building it gives, and how that differs from today."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import duckdb

from assay import __version__
from assay.build import build_node
from assay.compare.engine import compare
from assay.compare.model import Difference
from assay.contract.classification import is_masked
from assay.contract.contract import Contract
from assay.errors import PipelineError
from assay.landings import land, source_version
from assay.plan import effects
from assay.plan.model import Action, Fingerprints, NodePlan
from assay.plan.published import Books, read_books
from assay.plan.reasons import reasons
from assay.plan.stale import told
from assay.tables.code_version import code_parts, code_sources
from assay.tables.declared import declared
from assay.tables.nodes import Asset, TableDef
from assay.tables.results import AuditFailed, joined
from assay.warehouse import watermarks
from assay.warehouse.parts import Parts
from assay.warehouse.session import Session

if TYPE_CHECKING:
    from assay.project import Project
    from assay.settings import BaseSettings
    from assay.sources.base import Landed, Sources
    from assay.tables.results import Publication
    from assay.tables.run import Run
    from assay.warehouse.ops import PartitionRecord


def environment(settings: BaseSettings) -> dict[str, str]:
    """What must be the same when a plan is applied."""
    env = "dev" if settings.env == "dry_run" else settings.env
    return {
        "env": env,
        "engine": settings.engine,
        "warehouse": str(settings.warehouse.resolve()),
        "duckdb": duckdb.__version__,
        "framework": __version__,
    }


@dataclass
class Work:
    """Plans nodes, upstream first; `nodes` holds what was planned."""

    project: Project
    settings: BaseSettings
    session: Session
    sources: Sources
    run: Run
    wanted: set[str]
    removed_limit: float
    nodes: dict[str, NodePlan] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    source_versions: dict[str, str] = field(default_factory=dict)
    scratch_bytes: int = 0

    def __post_init__(self) -> None:
        assert self.session.real is not None
        self.books: Books = read_books(self.session.connection, self.session.real, self.session.standing())

    def add(self, node: Asset) -> None:
        """Plan `node`, whose upstream was planned before."""
        published, there = self.books.published.get(node.name), self.books.of(node)
        base = NodePlan(
            name=node.name,
            stage=node.stage,
            kind="table" if isinstance(node, TableDef) else "file",
            code_version=self._code_version(node),
            rows_before=there.rows if there else None,
            rows_after=there.rows if there else None,
            rejects_before=published.rejected if published else 0,
            rejects_after=published.rejected if published else 0,
            data_version_before=published.data_version if published else None,
        )
        broken = next((name for name in self.project.graph.upstream_of(node.name) if self._is_broken(name)), None)
        if broken is not None:
            self.nodes[node.name] = dataclasses.replace(base, action="skip", error=f"{broken} would fail")
            return
        try:
            planned = self._plan(node, base)
        except AuditFailed as error:
            planned = self._failed(base, error)
        except PipelineError as error:
            planned = dataclasses.replace(base, action="fail", error=str(error))
        self.nodes[node.name] = planned
        if planned.built and planned.data_version is not None and planned.data_version != base.data_version_before:
            self.changed[node.name] = planned.data_version

    def fingerprints(self, considered: Sequence[Asset]) -> Fingerprints:
        """What the plan was computed from."""
        read = {name for node in considered for name in self.project.graph.upstream_of(node.name)}
        return Fingerprints(
            code={node.name: self._code_version(node) for node in considered},
            sources=self.source_versions,
            real={name: self.books.data_version(name) for name in sorted(read | {node.name for node in considered})},
            environment=environment(self.settings),
        )

    def _code_version(self, node: Asset) -> str:
        return self.project.graph.version_of(node, self.settings)

    def _is_broken(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name].action in ("fail", "skip")

    def _plan(self, node: Asset, base: NodePlan) -> NodePlan:
        with ExitStack() as stack:
            source, landed = self._asked(node, stack)
            return self._planned(node, base, source, landed)

    def _planned(self, node: Asset, base: NodePlan, source: str | None, landed: Landed | None) -> NodePlan:
        rules, given = self.project.graph.invariants_of(node.name), declared(node, self.settings)
        why, some = reasons(
            node,
            self.books,
            session=self.session,
            upstream=self.project.graph.tables,
            code=base.code_version,
            parts=code_parts(node, *rules, settings=given),
            written=code_sources(node, *rules, settings=given),
            source=source,
            changed=self.changed,
            now=self.run.now,
            partition=self.run.partition,
            requested=self.wanted,
            full=self.run.full,
        )
        if not why:
            return base
        base = dataclasses.replace(base, reasons=why)
        before = self.session.partitions(node.name)
        try:
            publication = joined(
                [
                    build_node(
                        node,
                        self.project.graph,
                        self.session,
                        dataclasses.replace(self.run, partition=part),
                        self.sources,
                        landed,
                    )
                    for part in some or (None,)
                ]
            )
        except AuditFailed as error:
            return self._failed(base, error)
        if publication.source_version is not None:
            self.source_versions[node.name] = publication.source_version
        return self._built(node, base, publication, before)

    def _asked(self, node: Asset, stack: ExitStack) -> tuple[str | None, Landed | None]:
        """The source's fingerprint, where it can make a difference: a table built anyway tells it by building.

        And what it brought, where nothing else tells: a build takes that, so that nobody is asked twice.
        """
        if not isinstance(node, TableDef) or node.source is None or self.books.of(node) is None:
            return None, None
        offsets = self.session.offsets(node) if node.goes_on(full=self.run.full) else {}
        contract, code = Contract.of(node.model), self._code_version(node)
        since = watermarks.since(self.session, node, contract, code, self.run)
        asked = (self.sources, offsets, since.value if since is not None else None)
        landed = land(node, self.session, *asked, stack) if node.source.told_by_landing else None
        found = landed.fingerprint if landed is not None else source_version(node, *asked)
        self.source_versions[node.name] = found
        return found, landed

    def _built(
        self, node: Asset, base: NodePlan, publication: Publication, before: Mapping[str, PartitionRecord]
    ) -> NodePlan:
        published = self.books.published.get(node.name)
        standing = (node.stage, node.name) in self.books.tables if isinstance(node, TableDef) else published is not None
        seen = dataclasses.replace(
            base,
            action=cast("Action", publication.action) if standing else "create",
            rows_after=publication.rows if isinstance(node, TableDef) else None,
            checks=effects.check_shifts(published, publication),
            rejects_after=publication.rejected,
            seconds=publication.seconds,
            bytes=publication.bytes,
            data_version=publication.data_version,
            partition=publication.partition,
            loaded=publication.changes,
            changed_partitions=self._changed_partitions(node, before),
        )
        difference = self._compare(node, base, publication) if isinstance(node, TableDef) and standing else None
        if difference is None:
            return seen
        return dataclasses.replace(
            seen,
            difference=difference,
            destructive=effects.destructive(difference, self.removed_limit),
            rows_before=difference.expected_rows,
            shifts=effects.shifts(published, publication, node) if published and isinstance(node, TableDef) else (),
        )

    def _changed_partitions(self, node: Asset, before: Mapping[str, PartitionRecord]) -> str | None:
        """Which partitions would hold something else than today, as `before` has it."""
        if not isinstance(node, TableDef) or node.partitions is None or not before:
            return None
        after, keys = self.session.partitions(node.name), Parts(node.partitions, None, self.run.now).keys
        empty = {key for key in keys if key not in before}
        moved = [
            key
            for key in keys
            if key in after and key not in empty and after[key].data_version != before[key].data_version
        ]
        moved += [key for key in empty if key in after and after[key].rows]
        return told(node.partitions, keys, moved) if moved else None

    def _compare(self, table: TableDef, base: NodePlan, publication: Publication) -> Difference | None:
        """Published rows against planned rows; None where the content hashes already say that they are equal."""
        contract = Contract.of(table.model).taking(column.name for column in publication.profile)
        here = {column.name: column for column in contract.columns}
        there = [column.name for column in self.books.tables[table.stage, table.name]]
        if publication.data_version == base.data_version_before and there == list(here):
            return None
        masked = {name for name, column in here.items() if is_masked(column.classification)}
        masked |= {name for name in there if name not in here}
        connection = self.session.connection
        sides = self.session.sides(table, contract.key if set(contract.key) <= set(there) else ())
        found = compare(connection, sides.before, sides.after, key=sides.key, masked=masked)
        # A key that does not hold on one side matches no rows: counted as multisets they can still be told apart.
        if found.key_problems:
            found = compare(connection, sides.before, sides.after, masked=masked)
        return sides.whole(found)

    def _failed(self, base: NodePlan, error: AuditFailed) -> NodePlan:
        published = self.books.published.get(base.name)
        publication = error.publication
        shifts = effects.check_shifts(published, publication) if publication else ()
        return dataclasses.replace(
            base,
            action="fail",
            checks=shifts,
            error=error.what,
            seconds=publication.seconds if publication else 0.0,
            rejects_after=publication.rejected if publication else base.rejects_after,
        )
