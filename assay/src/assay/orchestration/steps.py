"""What a table's step does in a run. Loaded by runs alone: what builds tables is not waited for while code loads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

from assay import notices, progress
from assay.build import Progress, build_node, own_partitions
from assay.errors import CodeError, PipelineError, SourceUnavailable
from assay.mishaps import frames_only, told
from assay.orchestration import alike
from assay.orchestration.metadata import PARTITION_ROWS, check_results, publication_metadata
from assay.orchestration.tags import FULL_TAG, PARTITION_TAG
from assay.tables.nodes import Asset, TableDef
from assay.tables.partitions import PartitionRange, Partitions
from assay.tables.results import AuditFailed, Publication

if TYPE_CHECKING:
    from assay.ahead import Ahead
    from assay.orchestration.resources import WarehouseResource
    from assay.tables.graph import Graph
    from assay.tables.run import Run
    from assay.warehouse.ops import PartitionRecord
    from assay.warehouse.session import Session

SOURCE_RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
"""A source that does not answer may be back in a moment; a missing file or a failed audit will fail again.

No policy of the asset's: Dagster applies one to everything that is raised, an interrupt included.
"""


def materialize(
    context: dg.AssetExecutionContext, node: Asset, graph: Graph, partitions: Partitions | None
) -> Iterator[Any]:
    """Build the node, or take what was built ahead; checks are recorded even when the step then fails."""
    warehouse: WarehouseResource = context.resources.warehouse
    try:
        with notices.reading(context.log.warning):
            done = _ahead(context, node, graph).result(node.name)
    except AuditFailed as error:
        yield from check_results(node, error.checks)
        raise dg.Failure(str(error), allow_retries=False) from None
    except PipelineError as error:
        if isinstance(error, SourceUnavailable) and context.retry_number < SOURCE_RETRIES.max_retries:
            # Waited for here, where Ctrl-C ends it at once: between two attempts Dagster would not listen.
            time.sleep(SOURCE_RETRIES.calculate_delay(context.retry_number + 1))
            raise dg.RetryRequested(SOURCE_RETRIES.max_retries, seconds_to_wait=0) from None
        frames = {"traceback": dg.MetadataValue.text(frames_only(error))} if isinstance(error, CodeError) else None
        raise dg.Failure(str(error), metadata=frames, allow_retries=False) from None
    except BaseException:
        for other in warehouse.interrupted():
            # Published, and Dagster did not come to its step: its history would not know.
            version = {DATA_VERSION_TAG: other.publication.data_version}
            metadata = publication_metadata(other.node, other.publication)
            context.log_event(dg.AssetMaterialization(other.node.name, metadata=metadata, tags=version))
        raise
    publication, run, before = done.publication, done.run, done.before
    metadata = publication_metadata(node, publication)
    if isinstance(node, TableDef) and partitions is not None:
        built = own_partitions(node, run) or partitions.whole(run.now)
        keys = partitions.keys(built) if built is not None else []
        metadata = _report_partitions(context, node, keys, None if run.partition else before, metadata)
    yield dg.MaterializeResult(
        metadata=metadata,
        data_version=dg.DataVersion(publication.data_version),
        check_results=list(check_results(node, publication.checks)),
    )


@dataclass(frozen=True)
class _Built:
    """A node as it was built in this run, and what the books said of its partitions before."""

    node: Asset
    publication: Publication
    run: Run
    before: Mapping[str, PartitionRecord]


def _ahead(context: dg.AssetExecutionContext, node: Asset, graph: Graph) -> Ahead[_Built]:
    """What builds the nodes of this run; tells what goes on."""
    warehouse: WarehouseResource = context.resources.warehouse
    tags, run_id = context.run.tags, context.run.run_id
    # Of a run whose steps have processes of their own it is this one's step alone.
    names = [
        key for key in context.get_step_execution_context().execution_plan.step_keys_to_execute if key in graph.nodes
    ]

    def build(node: Asset, session: Session) -> _Built:
        progress.emit(Progress("start", node))
        try:
            with told(node):
                partitions = node.partitions if isinstance(node, TableDef) else None
                run = warehouse.run(run_id, _asked(tags, partitions), full=_is_full(tags))
                before = session.partitions(node.name) if partitions is not None else {}
                publication = build_node(node, graph, session, run, sources)
        except PipelineError as error:
            failed = error.publication if isinstance(error, AuditFailed) else None
            progress.emit(Progress("failed", node, failed, error))
            raise
        progress.emit(Progress("done", node, publication))
        return _Built(node, publication, run, before)

    try:
        with told(node):
            warehouse.run(run_id, None)  # one moment for all of them
            sources = context.resources.sources()
            return warehouse.ahead(graph, names, build)
    except PipelineError as error:
        progress.emit(Progress("start", node))
        progress.emit(Progress("failed", node, None, error))
        raise


def _asked(tags: Mapping[str, str], partitions: Partitions | None) -> PartitionRange | None:
    """The partitions this run is to build; None where it builds them all.

    A key of Dagster's that is none of this table's is another table's, of a job started with it.
    """
    if PARTITION_TAG in tags:
        return PartitionRange.parse(tags[PARTITION_TAG])
    first = tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start")
    if first is None or partitions is None:
        return None
    try:
        return partitions.between(first, tags.get("dagster/asset_partition_range_end") or first)
    except (ValueError, PipelineError):
        return None


def _is_full(tags: Mapping[str, str]) -> bool:
    """Whether FULL_TAG says so; raises PipelineError where it says something else than true or false."""
    said = tags.get(FULL_TAG, "false")
    if said not in ("true", "false"):
        raise PipelineError(f"'{said}' is neither true nor false", where=f"the run's tag {FULL_TAG}", fix="Say true.")
    return said == "true"


def _report_partitions(
    context: dg.AssetExecutionContext,
    table: TableDef,
    keys: Sequence[str],
    before: Mapping[str, PartitionRecord] | None,
    metadata: dict[str, Any],
) -> dict[str, Any]:
    """Tell Dagster which partitions were built, with their rows; returns the metadata of the materialization itself.

    In a backfill Dagster materializes each key with that same metadata: the schema, profile and lineage of the whole
    build stand at the last one alone. A job reports its keys here; building a whole table those that are new or hold
    something else, as ten years of days with each run would be 3,650 events for each table.

    Args:
        before: what the books said of the table's partitions, if all of them were built.
    """
    records = context.resources.warehouse.session().partitions(table.name)
    rows = {key: {PARTITION_ROWS: records[key].rows} for key in keys}
    step, asset = context.get_step_execution_context(), dg.AssetKey(table.name)
    if context.assets_def.partitions_def is None:
        if before is not None:
            known = context.instance.get_materialized_partitions(asset)
            same = {
                key
                for key in known & before.keys() & rows.keys()
                if records[key].data_version == before[key].data_version
            }
            rows = {key: told for key, told in rows.items() if key not in same}
        alike.materialize(context, asset, rows)
        return metadata
    if len(rows) < 2:
        return {**metadata, **(rows[keys[0]] if keys else {})}
    # What `context.add_asset_metadata` does, which looks at all keys of the run for each of them.
    rows[keys[-1]] = {**metadata, **rows[keys[-1]]}
    of_keys: dict[Any, Any] = {
        AssetMetadataHandle(asset_key=asset, partition_key=key): told for key, told in rows.items()
    }
    known_so_far = step._metadata_accumulator.per_output_metadata
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata={**known_so_far, **of_keys})
    return {name: metadata[name] for name in ("action", "code_version")}
