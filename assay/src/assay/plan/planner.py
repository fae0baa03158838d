"""Making a plan: build what calls for it in front of the read-only warehouse, and compare with what is published."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import PipelineError, PlanError, SourceError
from assay.plan.model import Plan
from assay.plan.published import orphans
from assay.plan.work import Work
from assay.tables.nodes import MAY_SHRINK, Asset, TableDef
from assay.tables.partitions import touched
from assay.tables.run import Run
from assay.warehouse.dry.scratch import folder_bytes
from assay.warehouses import Dry, dry_run_of, refuse

if TYPE_CHECKING:
    from assay.project import Project
    from assay.sources.base import Sources
    from assay.tables.partitions import PartitionRange

NOT_SIMULATED = (
    "Dagster's history: no materialization, check or freshness is recorded",
    "alerts and schedules: nobody is notified, nothing is started",
    "what a table's own Python code does outside the framework (files, network)",
)


def make_plan(
    project: Project,
    names: Sequence[str] = (),
    *,
    partition: PartitionRange | None = None,
    full: bool = False,
    removed_limit: float = MAY_SHRINK,
    on_node: Callable[[Asset], None] = lambda node: None,
) -> Plan:
    """What building `names` would change; without names, everything that calls for a build.

    Args:
        full: whether incremental tables take all rows.

    Raises:
        WiringError: an unknown name.
        PlanError: the days are none of the tables' partitions, or the dry run outgrew its scratch limit.
        WarehouseError: the real warehouse is locked or damaged, or something wrote it during the plan.
    """
    settings = project.settings()
    wanted = {project.graph.get(name).name for name in names}
    considered = [node for node in project.graph if not wanted or node.name in wanted]
    run = Run.start(partition=partition, full=full)
    if partition is not None:
        considered = _touched(considered, partition, run)
    started = time.perf_counter()
    with project.sources(settings) as sources:
        warehouse = dry_run_of(settings, readable=_readable(considered, sources))
        with warehouse.session() as session:
            refuse(session, project.graph, [node.name for node in considered], settings)
            work = Work(project, settings, session, sources, run, wanted, removed_limit)
            for node in considered:
                on_node(node)
                work.add(node)
                work.scratch_bytes = _within(warehouse, settings.scratch_limit)
            unpublished = orphans(work.books, project)
    nodes = tuple(work.nodes.values())
    touched = {node.name for node in nodes if node.changes}
    return Plan(
        project=project.package,
        created_at=work.run.now.isoformat(timespec="seconds"),
        warehouse=str(settings.warehouse),
        environment=settings.env,
        targets=tuple(node.name for node in considered if node.name in wanted),
        partition=str(partition) if partition else None,
        full=full,
        nodes=nodes,
        not_in_plan=tuple(name for name in project.graph.downstream(touched) if name not in work.nodes),
        orphans=unpublished,
        not_simulated=NOT_SIMULATED,
        proof=warehouse.proof.line if warehouse.proof else "",
        seconds=time.perf_counter() - started,
        scratch_bytes=work.scratch_bytes,
        scratch=str(warehouse.folder) if settings.keep_scratch else None,
        fingerprints=work.fingerprints(considered),
    )


def _touched(considered: Sequence[Asset], asked: PartitionRange, run: Run) -> list[Asset]:
    """Without the partitioned tables that have none of the partitions asked for."""
    try:
        names = touched(asked, considered, run.now)
    except PipelineError as error:
        raise PlanError(error.what, fix=error.fix) from None
    return [node for node in considered if node.name in names]


def _readable(considered: Sequence[Asset], sources: Sources) -> list[Path]:
    """The folders that the nodes' sources are read from; what stands at a web address is read without DuckDB."""
    found = []
    for node in considered:
        if isinstance(node, TableDef) and node.source is not None:
            with suppress(SourceError):  # told when the table itself is planned
                address = sources.resolve(node.source.location)
                if "://" not in address:
                    found.append(Path(address))
    return found


def _within(warehouse: Dry, limit: str) -> int:
    """The bytes the scratch folder takes; raises PlanError above the limit."""
    assert warehouse.folder is not None
    taken = folder_bytes(warehouse.folder)
    if taken > bytes_of(limit):
        raise PlanError(
            f"the dry run takes {taken:,} bytes, more than {limit}",
            where=str(warehouse.folder),
            fix="Plan fewer tables, or raise PIPELINE_SCRATCH_LIMIT.",
        )
    return taken


def bytes_of(limit: str) -> int:
    """`4GB` as DuckDB reads it: powers of 1000, with an `i` powers of 1024."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s?([KMGT])(i?)B", limit)
    assert match is not None, limit
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** (" KMGT".index(match[2])))
