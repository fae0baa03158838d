"""The warehouse and the sources as Dagster resources, opened when a run needs them and closed at its end."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster_duckdb import DuckDBResource
from pydantic import Field, PrivateAttr

from assay.errors import PipelineError, SettingsError
from assay.orchestration import postgres
from assay.orchestration.origin import sign
from assay.orchestration.processes import claim
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.partitions import PartitionRange

if TYPE_CHECKING:
    import duckdb

    from assay.ahead import Ahead
    from assay.project import Project
    from assay.tables.graph import Graph
    from assay.tables.nodes import Asset
    from assay.tables.run import Run
    from assay.warehouse.session import Session
    from assay.warehouses import Dry, Warehouse

T = TypeVar("T")
RETIRED_AT_ONCE = 200
"""How many runs one run retires: the first on an old history must not take minutes."""


class WarehouseResource(DuckDBResource):
    """A `DuckDBResource` that reads settings when a run starts, waits for the file, and publishes audited tables.

    A plain `@asset` uses it like any `DuckDBResource`, with `get_connection()`. Tables of the framework use
    `session()`: one connection for the whole run, opened at the first table and closed when the run ends, so
    that nothing holds the file between runs. In the `dry_run` environment the session is a dry run's.
    """

    database: str = Field(default="", description="Path of the DuckDB file; empty: PIPELINE_WAREHOUSE.")
    _stack: ExitStack | None = PrivateAttr(default=None)
    _session: Any = PrivateAttr(default=None)
    _warehouse: Any = PrivateAttr(default=None)
    _run: Any = PrivateAttr(default=None)
    _ahead: Any = PrivateAttr(default=None)

    @classmethod
    def read_settings(cls) -> BaseSettings:
        """The project's settings; `for_project` provides it."""
        raise NotImplementedError("use WarehouseResource.for_project(project)")

    @classmethod
    def root(cls) -> Path | None:
        """The project's folder; `for_project` provides it."""
        return None

    @classmethod
    def refuse(cls, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
        """Raise where a run cannot build its tables; `for_project` provides it."""

    @classmethod
    def for_project(cls, project: Project) -> WarehouseResource:
        """The resource of `project`, whose settings are read when a run sets it up."""
        own = {
            "read_settings": staticmethod(project.settings),
            "root": staticmethod(lambda: project.root),
            "refuse": staticmethod(partial(refuse_without_partition, project)),
        }
        bound = type("Warehouse", (cls,), {**own, "__doc__": cls.__doc__})
        resource: WarehouseResource = bound()
        return resource

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[WarehouseResource]:
        """Dagster's set-up and tear-down of one run."""
        if context.instance is not None and context.run is not None:
            self.refuse(context.instance, context.run)
            claim(context.instance, context.run)
            os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")
            if postgres.is_history_of(context.instance):
                postgres.hold(context.instance)
            if root := self.root():
                sign(context.instance, context.run, root)
        with ExitStack() as stack:
            # Not by its type: see `retire`.
            if held := getattr(context.instance and context.instance.event_log_storage, "held", None):
                stack.enter_context(held())
            self._stack = stack
            try:
                yield self
                with suppress(SettingsError):  # the run has said so already
                    if context.instance is not None:
                        retire(context.instance, self.read_settings().keep_runs)
            finally:
                self._stack = self._session = self._run = self._warehouse = self._ahead = None

    def settings(self) -> BaseSettings:
        """The project's settings, with this resource's file; raises SettingsError."""
        settings = self.read_settings()
        return settings.model_copy(update={"warehouse": Path(self.database)}) if self.database else settings

    def warehouse(self) -> Warehouse | Dry:
        """The warehouse that settings describe; raises SettingsError."""
        from assay.warehouses import dry_run_of, warehouse_of

        settings = self.settings()
        return dry_run_of(settings) if settings.env == "dry_run" else warehouse_of(settings)

    def session(self) -> Session:
        """This run's session, opened on first use; raises WarehouseLocked or WarehouseError."""
        if self._session is None:
            assert self._stack is not None, "session() is for the body of an asset"
            self._warehouse = self.warehouse()
            self._session = self._stack.enter_context(self._warehouse.session())
        session: Session = self._session
        return session

    def ahead(self, graph: Graph, names: Iterable[str], build: Callable[[Asset, Session], T]) -> Ahead[T]:
        """What builds this run's nodes `names` side by side; one object for all of its tables, begun with the first.

        A dry run's nodes are built one after the other: each of its connections would have to be guarded.
        """
        from assay.ahead import Ahead
        from assay.warehouses import refuse

        if self._ahead is None:
            session, settings = self.session(), self.settings()
            at_once = 1 if session.dry else settings.tables_at_once
            assert self._stack is not None, "ahead() is for the body of an asset"
            refuse(session, graph, names, settings)
            self._ahead = self._stack.enter_context(Ahead(graph, names, session, build, at_once=at_once))
        ahead: Ahead[T] = self._ahead
        return ahead

    def interrupted(self) -> list[Any]:
        """End soon: the copy for readers is left to the next run. Returns what was built and not asked for."""
        if self._warehouse is not None:
            self._warehouse.snapshot = None
        return self._ahead.stop() if self._ahead is not None else []

    def run(self, run_id: str, partition: PartitionRange | None, *, full: bool = False) -> Run:
        """This run's clock, seed and list of publications; one object for all of its tables."""
        from assay.tables.run import Run

        if self._run is None:
            self._run = Run.start(id=run_id)

        run: Run = dataclasses.replace(self._run, partition=partition, full=full)
        return run

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own, closed at the end of the block, for plain assets.

        Raises:
            SettingsError: tables are not DuckDB's.
        """
        from assay.warehouse.connection import close, connect
        from assay.warehouse.warehouse import DryRunWarehouse, DuckDBWarehouse

        warehouse = self.warehouse()
        if isinstance(warehouse, DryRunWarehouse):
            yield self.session().connection
            return
        if not isinstance(warehouse, DuckDBWarehouse):
            raise SettingsError(
                "a plain asset asks for DuckDB's tables, which are Spark's",
                where="PIPELINE_ENGINE",
                fix="Make it a table of the framework, or read the lake by a client of its own.",
            )
        connection = connect(warehouse.path, warehouse.options, lock_timeout=warehouse.lock_timeout)
        try:
            yield connection
        finally:
            close(connection)


def retire(instance: dg.DagsterInstance, keep: int) -> None:
    """Remove the pages of finished runs but the newest `keep`, and but those that built an asset last.

    In whichever store of the history is known; what is said of assets, their partitions and checks stays.
    """
    storage: Any = instance.event_log_storage
    # Not by its type: `EventLog` brings SQLAlchemy, for which who only loads the code would wait.
    forget = getattr(storage, "forget", None) or partial(postgres.forget, instance)
    if not hasattr(storage, "forget") and not postgres.is_history_of(instance):
        return
    if not (old := instance.get_run_ids(dg.RunsFilter(statuses=FINISHED_STATUSES))[keep:]):
        return
    with storage.index_connection() as connection:
        newest = {row[0] for row in connection.exec_driver_sql("SELECT last_run_id FROM asset_keys")}
    for run_id in [run_id for run_id in reversed(old) if run_id not in newest][:RETIRED_AT_ONCE]:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        forget(run_id)
        # Last, so that what a killed process has not removed is found again.
        instance.run_storage.delete_run(run_id)


def refuse_without_partition(project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Refuse a run for no partition of partitioned assets that read each other, before it builds the first half.

    Dagster would end it when it looks for the partitions of an input. The jobs of `project_jobs` have no such assets.

    Raises:
        PipelineError: the run is one of these.
    """
    if run.is_partitioned or run.execution_plan_snapshot_id is None:
        return
    plan = instance.run_storage.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    for step in (step for step in plan.steps if step.key in plan.step_keys_to_execute):
        outputs = [each.properties for each in step.outputs if each.properties is not None]
        for key in (each.asset_key for each in outputs if each.is_asset_partitioned):
            table = project.graph.tables.get(key.path[-1]) if key is not None else None
            for upstream in table.inputs if table is not None else ():
                if table is not None and project.graph.tables[upstream].partitions is not None:
                    raise PipelineError(
                        f"'{table.name}' and '{upstream}', which it reads, are partitioned, and this run is for no partition",
                        where=f"job {run.job_name}",
                        fix=f"In definitions.py: project_jobs(project, {run.job_name}). Or give the run a partition.",
                    )


def sources_resource(project: Project) -> dg.ResourceDefinition:
    """The project's sources, opened when a run first needs them and closed at its end."""

    @dg.resource(description="Where sources are found; demo servers live as long as the run.")
    def sources(_: dg.InitResourceContext) -> Iterator[Callable[[], Sources]]:
        opened: list[Sources] = []

        def get() -> Sources:
            if not opened:
                opened.append(project.sources(project.settings()))
            return opened[0]

        try:
            yield get
        finally:
            for source in opened:
                source.close()

    return sources
