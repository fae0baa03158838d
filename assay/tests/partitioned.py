"""A project of partitioned tables in a folder of its own, each reading the one before, in every way of running it."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from assay.build import Progress
from assay.orchestration.execute import RunSummary, execute
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.partitions import PartitionRange

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

TABLE = '''"""One row per order."""

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import (daily, hourly, monthly, public, static, table, weekly)
from assay.sources import Csv
{imports}


class {model}(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public)
    ordered_on: dt.Date = pa.Field(metadata=public)
    sold_at: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)
    place: dt.String = pa.Field(metadata=public)

    class Config:
        strict = True
        unique = ["order_id"]


@table({options})
def {name}({parameter}) -> Table[{model}]:
    """Orders."""
    return {parameter_name}
'''

DEFINITIONS = """
import dagster as dg

from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.jobs import daily_schedule, project_jobs
from {package}.current import project

defs = dg.Definitions(
    assets=build_assets(project), resources=build_resources(project), jobs=project_jobs(project),
    schedules=[daily_schedule(project, hour=6, timezone="UTC", lookback={lookback})], executor=dg.in_process_executor,
)
"""

numbers = itertools.count()


@dataclass
class Chain:
    """Tables `t0`, `t1` and so on, each reading the one before; `t0` reads the orders' file.

    Args:
        partitions: of each table, as written in its file; "" for none.
    """

    root: Path
    partitions: Sequence[str]
    lookback: int = 0

    def __post_init__(self) -> None:
        self.package = f"chain_{next(numbers)}"
        stage = self.root / self.package / "transform"
        stage.mkdir(parents=True)
        (stage.parent / "__init__.py").touch()
        (stage / "__init__.py").touch()
        (stage.parent / "definitions.py").write_text(DEFINITIONS.format(package=self.package, lookback=self.lookback))
        for number, partitions in enumerate(self.partitions):
            options = [f"partitions={partitions}"] if partitions else []
            model, upstream = f"T{number}", f"t{number - 1}"
            text = TABLE.format(
                imports=f"from {self.package}.transform.{upstream} import T{number - 1}" if number else "",
                model=model,
                name=model.lower(),
                options=", ".join([*options, *([] if number else ['source=Csv("shop", "orders.csv")'])]),
                parameter=f"{upstream}: Table[T{number - 1}]" if number else "source: ibis.Table",
                parameter_name=upstream if number else "source",
            )
            (stage / f"t{number}.py").write_text(text)
        sys.path.insert(0, str(self.root))
        importlib.invalidate_caches()
        self.rows("2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04")

    def close(self) -> None:
        sys.path.remove(str(self.root))
        for name in [name for name in sys.modules if name.split(".")[0] == self.package]:
            del sys.modules[name]

    def rows(self, *days: str) -> None:
        """One order for each day, at noon, in two places by turns."""
        folder = self.root / "shop"
        folder.mkdir(exist_ok=True)
        ids = [f"{day.replace('-', '')}{days[:i].count(day)}" for i, day in enumerate(days)]
        lines = [
            f"{id_},{day},{day} 12:00:00+00,{('north', 'south')[int(id_) % 2]}"
            for id_, day in zip(ids, days, strict=True)
        ]
        (folder / "orders.csv").write_text("\n".join(["order_id,ordered_on,sold_at,place", *lines]) + "\n")

    @property
    def project(self) -> Project:
        name = f"{self.package}.current"
        if name not in sys.modules:
            module: Any = type(sys)(name)
            module.project = Project(
                package=self.package,
                stages=("transform",),
                root=self.root,
                settings=lambda: BaseSettings.read(
                    {"PIPELINE_LOCK_TIMEOUT": "1", "PIPELINE_THREADS": "1"}, root=self.root
                ),
                sources=lambda _: Sources({"shop": str(self.root / "shop")}),
            )
            sys.modules[name] = module
        found: Project = sys.modules[name].project
        return found

    @property
    def definitions(self) -> dg.Definitions:
        project = self.project  # puts it where the definitions look for it
        return project.dagster_definitions()

    def run(self, partition: str | None = None, *names: str) -> RunSummary:
        """What `pipeline run` does."""
        asked = PartitionRange.parse(partition) if partition else None
        seen: list[Progress] = []
        return execute(self.project, names or list(self.project.graph.nodes), partition=asked, on_progress=seen.append)

    def job(self, instance: dg.DagsterInstance, job: str = "pipeline", **arguments: Any) -> dg.ExecuteInProcessResult:
        """A run of a job in Dagster."""
        found = self.definitions.resolve_job_def(job)
        return found.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET, **arguments)

    def days(self, table: str) -> list[str]:
        """The days of the table's rows."""
        file = str(self.root / "data" / "warehouse.duckdb")
        with duckdb.connect(file, read_only=True) as connection:
            return [
                str(day) for (day,) in connection.sql(f"SELECT ordered_on FROM transform.{table} ORDER BY 1").fetchall()
            ]
