"""Tables as Dagster assets with checks. With `resources.py`, `metadata.py` and the jobs, the only room that knows Dagster."""

# No `from __future__ import annotations` here: Dagster compares the annotation of `context` by identity.
import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from assay.build import Progress, build_node
from assay.contract import Contract
from assay.errors import AuditFailed, PipelineError, SourceUnavailable
from assay.orchestration import progress
from assay.orchestration.metadata import check_results, definition_metadata, publication_metadata
from assay.orchestration.resources import WarehouseResource, sources_resource
from assay.project import Project
from assay.tables.code_version import code_version
from assay.tables.declare import ExportDef, TableDef
from assay.tables.graph import Graph
from assay.tables.partitions import Daily, PartitionRange

Node = TableDef | ExportDef

SOURCE_RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
"""A source that does not answer may be back in a moment; a missing file or a failed audit will fail again."""


def build_assets(project: Project) -> list[dg.AssetsDefinition]:
    """Every table and export of `project` as an ordinary asset: flat keys, the stage as group."""
    with warnings.catch_warnings():
        # `backfill_policy` is beta, and the only way to build a range of partitions in one run.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return [_asset(node, project.graph) for node in project.graph]


def build_resources(project: Project) -> dict[str, Any]:
    """The resources the assets require."""
    return {"warehouse": WarehouseResource.for_project(project), "sources": sources_resource(project)}


def check_names(node: Node, graph: Graph) -> list[str]:
    """The checks that building `node` reports, in order."""
    if isinstance(node, ExportDef):
        return []
    contract = Contract.of(node.model)
    names = ["schema", "rows_valid", *(["unique_key"] if contract.key else []), "reconciles"]
    names += [reference.name for reference in node.references]
    names += [rule.code for rule in contract.table_rules]
    return names + [invariant.name for invariant in graph.invariants_of(node.name)]


def _asset(node: Node, graph: Graph) -> dg.AssetsDefinition:
    partitions = node.partitions if isinstance(node, TableDef) else None
    kinds = {"duckdb", "table"} if isinstance(node, TableDef) else {"file"}
    if isinstance(node, TableDef) and node.engine == "python":
        kinds.add("python")

    @dg.asset(
        name=node.name,
        group_name=node.stage,
        deps=list(graph.upstream_of(node.name)),
        description="\n\n".join(text for text in (node.grain, node.description) if text),
        metadata=definition_metadata(node),
        kinds=kinds,
        owners=[node.owner] if node.owner else None,
        tags=dict(node.tags),
        code_version=code_version(node, *graph.invariants_of(node.name)),
        partitions_def=dagster_partitions(partitions) if partitions else None,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
        retry_policy=SOURCE_RETRIES if isinstance(node, TableDef) and node.source is not None else None,
        required_resource_keys={"warehouse", "sources"},
        check_specs=[
            dg.AssetCheckSpec(name, asset=node.name, blocking=True, description=_describe(name, node, graph))
            for name in check_names(node, graph)
        ],
    )
    def compute(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from _materialize(context, node, graph, partitions)

    return compute


def _materialize(
    context: dg.AssetExecutionContext, node: Node, graph: Graph, partitions: Daily | None
) -> Iterator[Any]:
    """Build the node; checks are recorded even when the step then fails."""
    warehouse: WarehouseResource = context.resources.warehouse
    progress.emit(Progress("start", node))
    try:
        run = warehouse.run(context.run.run_id, _partition(context, partitions))
        publication = build_node(node, graph, warehouse.session(), run, context.resources.sources())
    except AuditFailed as error:
        progress.emit(Progress("failed", node, error.publication, error))
        yield from check_results(node, error.checks)
        raise dg.Failure(str(error), allow_retries=False) from None
    except PipelineError as error:
        progress.emit(Progress("failed", node, None, error))
        raise dg.Failure(str(error), allow_retries=isinstance(error, SourceUnavailable)) from None
    progress.emit(Progress("done", node, publication))
    yield dg.MaterializeResult(
        metadata=publication_metadata(node, publication),
        data_version=dg.DataVersion(publication.data_version),
        check_results=list(check_results(node, publication.checks)),
    )


def _partition(context: dg.AssetExecutionContext, partitions: Daily | None) -> PartitionRange | None:
    """The days this run builds; None where it builds them all."""
    import datetime as dtm

    if partitions is None or (not context.has_partition_key_range and not context.has_partition_key):
        return None
    keys = context.partition_key_range
    found = PartitionRange(dtm.date.fromisoformat(keys.start), dtm.date.fromisoformat(keys.end))
    return None if found == partitions.whole(dtm.datetime.now(dtm.UTC).date()) else found


def dagster_partitions(partitions: Daily) -> dg.DailyPartitionsDefinition:
    """The framework's partitions as Dagster's, whose end is exclusive."""
    import datetime as dtm

    end = (partitions.end + dtm.timedelta(days=1)).isoformat() if partitions.end else None
    return dg.DailyPartitionsDefinition(partitions.start.isoformat(), end_date=end, timezone=partitions.timezone)


def _describe(name: str, node: Node, graph: Graph) -> str:
    fixed = {
        "schema": "Columns and types are exactly the contract's.",
        "rows_valid": "Every row keeps the contract's rules; broken rows are set aside inside the budget.",
        "unique_key": "The contract's key is never null and never repeats.",
        "reconciles": "No row is lost or multiplied on the way.",
    }
    if name in fixed:
        return fixed[name]
    if name in graph.invariants:
        return graph.invariants[name].description
    return name.replace("_", " ").capitalize() + "."
