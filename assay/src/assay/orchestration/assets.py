"""Tables as Dagster assets with checks; what their steps do is in `steps.py`."""

# No `from __future__ import annotations` here: Dagster compares the annotation of `context` by identity.
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import dagster as dg
from dagster._check import CheckError

from assay.errors import SettingsError, WiringError
from assay.orchestration.freshness import freshness
from assay.orchestration.origin import code_references
from assay.orchestration.resources import WarehouseResource, sources_resource
from assay.orchestration.schema import definition_metadata
from assay.project import Project
from assay.tables.audited import blocks, check_names, describe
from assay.tables.code_version import code_version
from assay.tables.nodes import Asset, TableDef
from assay.tables.partitions import Partitions


@lru_cache(maxsize=1)  # the jobs are made of the same assets
def build_assets(project: Project) -> tuple[dg.AssetsDefinition, ...]:
    """Every table and export of `project` as an ordinary asset: flat keys, the stage as group."""
    with warnings.catch_warnings():
        # `backfill_policy` is beta, and the only way to build a range of partitions in one run.
        warnings.simplefilter("ignore", dg.BetaWarning)
        engine = "duckdb"
        with suppress(SettingsError):  # a run says so
            engine = project.settings().engine
        return tuple(_accepted(node, project, engine) for node in project.graph)


def unpartitioned(project: Project) -> Sequence[dg.AssetsDefinition]:
    """The same assets as `build_assets`' for jobs, whose one run builds each table's own partitions.

    To Dagster a partition belongs to the run: one key or range for all of its assets, which must then be partitioned
    alike, and without a key a partitioned asset cannot read another one. So in a job no asset is partitioned; the
    tag PARTITION_TAG says what to build, and the partitions built are reported by the assets. Backfills use the
    partitioned assets.
    """

    def without(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(partitions_def=None, deps=[dep.asset_key for dep in spec.deps])

    return dg.map_asset_specs(without, build_assets(project))


def build_resources(project: Project) -> dict[str, Any]:
    """The resources the assets require."""
    return {"warehouse": WarehouseResource.for_project(project), "sources": sources_resource(project)}


def _accepted(node: Asset, project: Project, engine: str) -> dg.AssetsDefinition:
    """The asset; raises WiringError where Dagster refuses the node's name, owner, tags or stage."""
    try:
        return _asset(node, project, engine)
    except (dg.DagsterError, CheckError) as error:
        raise WiringError(
            f"Dagster refuses '{node.name}': {' '.join(str(error).split())}",
            where=str(node.file),
            fix="Names are letters, digits and _; an owner is an e-mail address or team:name; tags are short words.",
        ) from error


def _asset(node: Asset, project: Project, engine: str) -> dg.AssetsDefinition:
    graph = project.graph
    partitions = node.partitions if isinstance(node, TableDef) else None
    kinds = {engine, "table"} if isinstance(node, TableDef) else {"file"}
    if isinstance(node, TableDef) and node.engine == "python":
        kinds.add("python")

    @dg.asset(
        name=node.name,
        group_name=node.stage,
        deps=[_dependency(partitions, graph.tables[name]) for name in graph.upstream_of(node.name)],
        description="\n\n".join(text for text in (node.grain, node.description) if text),
        metadata={**definition_metadata(node), **code_references(node, project)},
        kinds=kinds,
        owners=[node.owner] if node.owner else None,
        tags=dict(node.tags),
        code_version=code_version(node, *graph.invariants_of(node.name)),
        freshness_policy=freshness((node.fresh if isinstance(node, TableDef) else None) or project.fresh),
        partitions_def=dagster_partitions(partitions) if partitions else None,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
        # DuckDB has one writer. A history on Postgres can have runs that write the same warehouse wait for each other
        # in the queue, and no others; see docs/scale.md. One in SQLite knows no pools.
        pool=f"{project.package}_warehouse",
        required_resource_keys={"warehouse", "sources"},
        check_specs=[
            dg.AssetCheckSpec(
                name, asset=node.name, blocking=blocks(name, node, graph), description=describe(name, node, graph)
            )
            for name in check_names(node, graph)
        ],
    )
    def compute(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from assay.orchestration.steps import materialize

        yield from materialize(context, node, graph, partitions)

    return compute


def _dependency(partitions: Partitions | None, upstream: TableDef) -> dg.AssetDep:
    """The edge, with what Dagster is to wait for in a backfill.

    It relates partitions of time in one zone; where it could not, all of the upstream's partitions come first. Those
    that the upstream does not have are no mistake: tables begin on different days.
    """
    theirs = upstream.partitions
    if partitions is None or theirs is None or dagster_partitions(partitions) == dagster_partitions(theirs):
        return dg.AssetDep(upstream.name)
    if partitions.unit != "static" and theirs.unit != "static" and partitions.timezone == theirs.timezone:
        mapping: dg.PartitionMapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
        return dg.AssetDep(upstream.name, partition_mapping=mapping)
    return dg.AssetDep(upstream.name, partition_mapping=dg.AllPartitionMapping())


def dagster_partitions(partitions: Partitions) -> dg.PartitionsDefinition[str]:
    """The framework's partitions as Dagster's."""
    if partitions.unit == "static":
        return dg.StaticPartitionsDefinition(list(partitions.names))
    times: dict[str, Any] = {
        "start_date": partitions.start,
        "end_date": partitions.stop,
        "timezone": partitions.timezone,
    }
    if partitions.unit == "hour":
        return dg.HourlyPartitionsDefinition(**times)
    if partitions.unit == "week":
        return dg.WeeklyPartitionsDefinition(**times, day_offset=partitions.start.isoweekday() % 7)
    return (dg.MonthlyPartitionsDefinition if partitions.unit == "month" else dg.DailyPartitionsDefinition)(**times)
