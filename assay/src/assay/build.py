"""Build one table (read, call, publish, report) or a graph of them in order. Knows no Dagster.

Golden runs and plans call `build`; a Dagster asset's body calls `build_node`: one code path is tested and run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import ibis.expr.types as ir

from assay import notices
from assay.contract.contract import Contract
from assay.errors import PipelineError, WiringError
from assay.landings import blaming_the_source, land
from assay.mishaps import told
from assay.tables.alignment import is_aligned
from assay.tables.code_version import code_version
from assay.tables.declared import declared
from assay.tables.lineage import carried_columns, column_lineage
from assay.tables.loads import History
from assay.tables.nodes import Asset, ExportDef, TableDef
from assay.tables.places import with_places
from assay.tables.results import AuditFailed, Publication
from assay.warehouse import histories, ops, past, versions, watermarks
from assay.warehouse.builds import Build
from assay.warehouse.publish import publish

if TYPE_CHECKING:
    import ibis

    from assay.sources.base import Landed, Sources
    from assay.tables.graph import Graph
    from assay.tables.partitions import PartitionRange
    from assay.tables.run import Run
    from assay.warehouse.session import Session


@dataclass(frozen=True)
class Progress:
    """A node starts, is done, failed, or is skipped because an upstream failed."""

    kind: Literal["start", "done", "failed", "skipped"]
    node: Asset
    publication: Publication | None = None
    error: PipelineError | None = None


@dataclass
class BuildResult:
    """What a graph of builds did.

    Attributes:
        publications: by node name, failed audits included.
        errors: by node name.
        skipped: nodes not built because something upstream failed -> that upstream's name.
    """

    publications: dict[str, Publication] = field(default_factory=dict)
    errors: dict[str, PipelineError] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.errors


def build(
    graph: Graph,
    names: Iterable[str],
    session: Session,
    run: Run,
    sources: Sources,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> BuildResult:
    """Build exactly the nodes `names`, upstream first; what is downstream of a failure is skipped."""
    result = BuildResult()
    wanted = {graph.get(name).name for name in names}
    for node in graph:
        if node.name not in wanted:
            continue
        broken = next(
            (name for name in graph.upstream_of(node.name) if name in result.errors or name in result.skipped), None
        )
        if broken is not None:
            result.skipped[node.name] = result.skipped.get(broken, broken)
            on_progress(Progress("skipped", node))
            continue
        on_progress(Progress("start", node))
        try:
            publication = build_node(node, graph, session, run, sources)
        except PipelineError as error:
            failed = error.publication if isinstance(error, AuditFailed) else None
            if failed is not None:
                result.publications[node.name] = failed
            result.errors[node.name] = error
            on_progress(Progress("failed", node, failed, error))
        else:
            result.publications[node.name] = publication
            on_progress(Progress("done", node, publication))
    return result


def build_node(
    node: Asset, graph: Graph, session: Session, run: Run, sources: Sources, landed: Landed | None = None
) -> Publication:
    """Build one node from what is published upstream.

    Args:
        landed: what its source brought, where somebody asked already; None lands it.

    Raises:
        AuditFailed: a blocking check failed; nothing was published.
        PipelineError: the source or the warehouse failed; nothing was published.
    """
    started = time.perf_counter()
    given = replace(run, settings=declared(node, sources.settings))
    try:
        with told(node), notices.watched(session.connection):
            publication = (
                _build_table(node, graph, session, given, sources, landed, started)
                if isinstance(node, TableDef)
                else _build_export(node, graph, session, given, started)
            )
    except AuditFailed as error:
        if error.publication is not None:
            run.publications.append(error.publication)
        raise
    run.publications.append(publication)
    return publication


def _build_table(
    table: TableDef,
    graph: Graph,
    session: Session,
    run: Run,
    sources: Sources,
    landed: Landed | None,
    started: float,
) -> Publication:
    contract = Contract.of(table.model)
    code = code_version(table, *graph.invariants_of(table.name), settings=run.settings)
    since = watermarks.since(session, table, contract, code, run)
    upstream = {name: graph.tables[name] for name in graph.upstream_of(table.name)}
    inputs = {name: session.read(graph.tables[name]) for name in table.inputs}
    with ExitStack() as stack:
        arguments: dict[str, Any] = dict(inputs)
        anew = False
        if table.source is not None:
            offsets = session.offsets(table) if table.goes_on(full=run.full) else {}
            # Read whole until now: all that comes is in the table already.
            anew = not offsets and table.appends and table.source.told_by_landing
            value = since.value if since is not None else None
            landed = landed or land(table, session, sources, offsets, value, stack)
            stack.enter_context(blaming_the_source(landed))
            arguments["source"] = inputs["source"] = session.landed(landed.sql)
        if table.run_parameter:
            arguments[table.run_parameter] = run
        rows = stack.enter_context(_as_expression(table, table.function(**arguments), session))
        if isinstance(table.load, History):
            rows = histories.dated(table, table.load, rows, contract, run)
        elif landed is not None:
            rows = with_places(rows, arguments["source"])
        partition = own_partitions(table, run)
        return publish(
            session,
            Build(
                table=table,
                contract=contract,
                expression=rows,
                run=run,
                upstream=upstream,
                invariants=graph.invariants_of(table.name),
                metrics=graph.metrics_of(table.name),
                partition=partition,
                landed=landed,
                since=since,
                anew=anew,
                code_version=code,
                upstream_versions=_versions(session, table.inputs),
                aligned=_aligned(table, rows, inputs, upstream),
                lineage=_lineage(table, rows, inputs),
                carried=_carried(table, rows, inputs),
                started=started,
            ),
        )


def own_partitions(table: TableDef, run: Run) -> PartitionRange | None:
    """What of `table` the run builds; None where that is all of it.

    Raises:
        PipelineError: the run is for partitions of which the table has none, or not yet.
    """
    if table.partitions is None or run.partition is None:
        return None
    whole, own = table.partitions.whole(run.now), table.partitions.clip(run.partition, run.now)
    if own is None:
        raise PipelineError(
            f"{run.partition} is outside its partitions",
            where=f"{table.stage}.{table.name}",
            fix=f"Name {table.partitions.noun}s of {whole}." if whole else "Its first partition is not complete yet.",
        )
    return None if own == whole else own


def _build_export(node: ExportDef, graph: Graph, session: Session, run: Run, started: float) -> Publication:
    arguments: dict[str, Any] = {name: session.read(graph.tables[name]) for name in node.inputs}
    if node.run_parameter:
        told_so_far = sorted(run.publications, key=lambda each: [*graph.nodes].index(each.table))
        arguments[node.run_parameter] = replace(run, past=past.read(session, graph.tables), publications=told_so_far)
    content = node.function(**arguments)
    data = content.encode() if isinstance(content, str) else content
    if not isinstance(data, bytes):
        raise WiringError(
            f"'{node.name}' returned {type(content).__name__}", where=str(node.file), fix="Return str or bytes."
        )
    path = session.write_file(node.path, data)

    publication = Publication(
        table=node.name,
        stage=node.stage,
        action="replace",
        rows=0,
        staged=0,
        rejected=0,
        seconds=time.perf_counter() - started,
        data_version=hashlib.sha256(data).hexdigest()[:16],
        code_version=code_version(node, settings=run.settings),
        checks=(),
        upstream_versions=_versions(session, node.inputs),
        bytes=len(data),
        path=str(path),
    )
    with session.transaction():
        ops.record(session.connection, session.catalog, session.publication_id(), publication, run)
        versions.keep_code(session, publication.code_version, node, settings=run.settings)
    return publication


def _as_expression(table: TableDef, rows: Any, session: Session) -> AbstractContextManager[ibis.Table]:
    if isinstance(rows, ir.Table):
        return nullcontext(rows)
    what, fix = "an Ibis table", 'an expression, or declare @table(engine="python")'
    if table.engine == "python":
        if hasattr(rows, "read_all"):  # a reader gives its rows once, and they are asked again
            rows = rows.read_all()
        if any(hasattr(rows, name) for name in ("__arrow_c_stream__", "schema", "columns")):
            return session.registered(rows, f"__rows_{table.name}")
        what, fix = "rows", "an Arrow table or a data frame"
    raise WiringError(
        f"'{table.name}' returned {type(rows).__name__}, not {what}", where=str(table.file), fix=f"Return {fix}."
    )


def _versions(session: Session, names: Iterable[str]) -> dict[str, str]:
    found = {name: session.data_version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def _aligned(
    table: TableDef, rows: ibis.Table, inputs: Mapping[str, ibis.Table], upstream: Mapping[str, TableDef]
) -> frozenset[str]:
    """The partitioned inputs of which a partition of `table` reads nothing but the same partition."""
    if table.partitions is None:
        return frozenset()
    others = {name: upstream[name].partitions for name in table.inputs}
    return frozenset(
        name
        for name, partitions in others.items()
        if partitions is not None and is_aligned(rows, table.partitions.column, inputs[name], partitions.column)
    )


def _lineage(
    table: TableDef, rows: ibis.Table, inputs: Mapping[str, ibis.Table]
) -> dict[str, tuple[tuple[str, str], ...]]:
    if table.engine == "python":
        # Rows computed in Python: every column may depend on every input column.
        pairs = tuple((name, column) for name, source in inputs.items() for column in source.columns)
        return dict.fromkeys(rows.columns, pairs)
    return {column: tuple(pairs) for column, pairs in column_lineage(rows, inputs).items()}


def _carried(table: TableDef, rows: ibis.Table, inputs: Mapping[str, ibis.Table]) -> dict[str, str]:
    """Columns of the preserved input -> the table's columns that hold their values unchanged."""
    if table.preserves is None:
        return {}
    if table.engine == "python":
        return {name: name for name in inputs[table.preserves].columns}  # nothing tells, but the name
    return carried_columns(rows, inputs[table.preserves])
