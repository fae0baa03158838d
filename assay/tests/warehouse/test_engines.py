"""Which engine keeps the tables is a setting: who stays on DuckDB loads nothing else, and what one cannot do is told first."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.build import build
from assay.contract.classification import public
from assay.errors import EngineError, SettingsError
from assay.lab.mutation.mutate import _warehouse
from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.jobs import project_jobs
from assay.orchestration.resources import WarehouseResource
from assay.plan.planner import make_plan
from assay.project import Project
from assay.settings import BaseSettings
from assay.tables.run import Run
from assay.warehouse.duckdb_session import DuckDBSession
from assay.warehouse.offsets import committed_offsets
from assay.warehouse.warehouse import DryRunWarehouse, DuckDBWarehouse
from assay.warehouses import dry_run_of, warehouse_of
from tests.shop.project import shop_project
from tests.warehouse.house import Given, House, given, values

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Pair(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)


def on_spark(root: Path) -> Project:
    settings = BaseSettings.read({"PIPELINE_ENGINE": "spark"}, root=root)
    return dataclasses.replace(shop_project(root), settings=lambda: settings)


def test_without_the_setting_it_is_duckdb_s(tmp_path: Path) -> None:
    settings = BaseSettings.read({}, root=tmp_path)
    assert isinstance(warehouse_of(settings), DuckDBWarehouse)
    assert isinstance(dry_run_of(settings), DryRunWarehouse)
    assert settings.lake_address == str(tmp_path / "data" / "lake")
    assert BaseSettings.read({"PIPELINE_LAKE": "s3://lake/x"}, root=tmp_path).lake_address == "s3://lake/x"


def test_who_stays_on_duckdb_loads_nothing_of_spark(tmp_path: Path) -> None:
    """With pyspark installed: a package of that name stands where Python looks first."""
    stub = tmp_path / "first" / "pyspark"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("")
    code = f"""
import sys
from pathlib import Path
import assay.definitions
from assay.build import build
from assay.tables.run import Run
from assay.warehouses import warehouse_of
from tests.shop.project import shop_project
from tests.warehouse.house import Given, House, given, values
project = shop_project(Path({str(tmp_path)!r}))
settings = project.settings()
with warehouse_of(settings).session() as session, project.sources(settings) as sources:
    assert build(project.graph, ["raw_orders", "orders"], session, Run.start(), sources).ok
print([name for name in sys.modules if name.startswith(("pyspark", "assay.spark"))])
"""
    environment = {**os.environ, "PYTHONPATH": f"{stub.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["[]"], 0), done.stderr


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusals(self: DuckDBSession, graph: Any, names: Iterable[str], settings: Any) -> Iterator[EngineError]:
        yield from (EngineError(f"refused: {name}", where="here") for name in names if name == "orders")

    monkeypatch.setattr(DuckDBSession, "refusals", refusals)


@pytest.mark.usefixtures("refusing")
def test_what_the_engine_cannot_do_is_told_before_the_first_table(tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    with pytest.raises(EngineError, match="refused: orders"):
        make_plan(project)
    job = dg.Definitions(
        assets=build_assets(project), resources=build_resources(project), jobs=project_jobs(project)
    ).resolve_job_def("pipeline")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    told = {event.step_failure_data.user_failure_data.description for event in result.get_step_failure_events()}
    assert told == {"here: refused: orders"}
    with DuckDBWarehouse.of(project.settings()).session() as session:
        assert not any(session.exists(table) for table in project.graph.tables.values())


def test_a_plan_asks_the_session_what_stands_in_the_real_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = shop_project(tmp_path)
    settings = project.settings()
    with warehouse_of(settings).session() as session, project.sources(settings) as sources:
        assert build(project.graph, ["raw_orders"], session, Run.start(), sources).ok

    def planned() -> str:
        (node,) = (node for node in make_plan(project).nodes if node.name == "raw_orders")
        return node.action

    assert planned() == "none"
    monkeypatch.setattr(DuckDBSession, "standing", lambda session: {})
    assert planned() == "create"


def test_how_far_a_stream_was_read_stands_in_the_books_whatever_engine_keeps_its_table(house: House) -> None:
    a = given("a", Pair, Given(values("k BIGINT", "1"), offsets={0: 7}, incremental=True))
    assert house.build(a).ok
    settings = BaseSettings(warehouse=house.file)
    lake = settings.model_copy(update={"engine": "spark"})
    house.leave()
    assert committed_offsets(settings, "a", 0) == committed_offsets(lake, "a", 0) == {0: 7}
    house.rows(f"DROP TABLE {house.session.relation(a)}")
    house.leave()
    assert committed_offsets(settings, "a", 0) == {}, "a table that was dropped starts over"
    assert committed_offsets(lake, "a", 0) == {0: 7}, "which only the lake could tell"


def test_the_ui_says_which_engine_it_is(tmp_path: Path) -> None:
    def kinds(project: Project) -> set[str]:
        (asset,) = (each for each in build_assets(project) if each.key == dg.AssetKey("orders"))
        return asset.specs_by_key[asset.key].kinds

    assert kinds(shop_project(tmp_path)) == {"duckdb", "table"}
    assert kinds(on_spark(tmp_path)) == {"spark", "table"}


def test_a_plain_asset_gets_no_connection_to_spark_s_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.warehouses.warehouse_of", lambda settings: object())
    resource = WarehouseResource.for_project(on_spark(tmp_path))
    with pytest.raises(SettingsError, match=r"^PIPELINE_ENGINE: a plain asset asks"), resource.get_connection():
        pass


def test_the_search_for_rows_that_tell_mutants_apart_leaves_another_engine_s_warehouse_alone(tmp_path: Path) -> None:
    with _warehouse(on_spark(tmp_path)) as real:
        assert real.connection is None
        assert real.notes == ["the warehouse was not searched: its tables are spark's"]
