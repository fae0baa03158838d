"""A lake whose catalog is a database: built, planned and read through Postgres, and what is told where it refuses."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from assay.build import build
from assay.errors import WarehouseError
from assay.plan.planner import make_plan
from assay.settings import BaseSettings
from assay.spark.lake import Lake
from assay.spark.session import Cluster
from assay.spark.warehouse import SparkWarehouse
from assay.tables.run import Run
from tests.postgres import GUARDED, execute
from tests.shop.project import ORDERS, shop_project
from tests.standalone import free_port

PASSWORD = "open-sesame-17"


@pytest.fixture(scope="module")
def catalog(postgres: str) -> str:
    """The address of a database that asks for a password, as Java takes it."""
    execute(
        postgres, f"CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '{PASSWORD}'", f"CREATE DATABASE {GUARDED} OWNER keeper"
    )
    parts = urlsplit(postgres)
    return f"jdbc:postgresql://{parts.hostname}:{parts.port}/{GUARDED}?user=keeper&password={PASSWORD}"


def test_a_project_is_built_and_planned_through_postgres(
    spark: Cluster, catalog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    named = {"PIPELINE_ENGINE": "spark", "PIPELINE_LAKE_CATALOG": catalog, "PIPELINE_LAKE": str(tmp_path / "files")}
    settings = BaseSettings.read(named, root=tmp_path)
    project = dataclasses.replace(shop_project(tmp_path), settings=lambda: settings)
    warehouse = SparkWarehouse.of(settings, cluster=spark)
    names = ["raw_orders", "orders"]
    with warehouse.session() as session, project.sources(settings) as sources:
        result = build(project.graph, names, session, Run.start(), sources)
        assert result.ok, result.errors
    with psycopg.connect(catalog.removeprefix("jdbc:")) as connection:
        tables = connection.execute("SELECT table_namespace, table_name FROM iceberg_tables ORDER BY 1, 2").fetchall()
        assert tables == [("extract", "raw_orders"), ("transform", "orders")]
    monkeypatch.setattr("assay.plan.planner.dry_run_of", partial(SparkWarehouse.dry, cluster=spark))
    (tmp_path / "inputs/orders.csv").write_text(ORDERS.replace("20.50", "21.50"))
    planned = make_plan(project, names)
    assert "lake's 2 tables" in planned.proof
    assert [node.action for node in planned.nodes] == ["replace", "replace"]
    differences = [node.difference for node in planned.nodes if node.difference is not None]
    told = [(each.changed, each.added, each.removed, dict(each.columns)) for each in differences]
    assert told == [(0, 1, 1, {}), (1, 0, 0, {"amount": 1})]  # without a key, and with one
    with psycopg.connect(catalog.removeprefix("jdbc:")) as connection:
        assert len(connection.execute("SELECT FROM iceberg_tables").fetchall()) == 2  # the dry run's are elsewhere
    assert PASSWORD not in "".join(capfd.readouterr())


def refused(spark: Cluster, folder: Path, catalog: str) -> str:
    with pytest.raises(WarehouseError) as told:
        Lake(spark, "refused", str(folder), catalog)
    return str(told.value)


def test_a_catalog_that_refuses_is_told_in_one_line_without_the_password(
    spark: Cluster, catalog: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = catalog.partition("?")[0]
    wrong = refused(spark, tmp_path, catalog.replace(PASSWORD, "swordfish-99"))
    assert wrong.startswith(f"{place}: the catalog refuses the user or the password. Correct PIPELINE_LAKE_CATALOG.")
    missing = refused(spark, tmp_path, catalog.replace(GUARDED, "nowhere").replace(PASSWORD, "swordfish-99"))
    assert missing.startswith(f"{place.replace(GUARDED, 'nowhere')}: there is no such database")
    silent = refused(spark, tmp_path, f"http://ann:swordfish-99@127.0.0.1:{free_port()}/api?token=swordfish-99")
    assert "the catalog does not answer" in silent
    driverless = refused(spark, tmp_path, "jdbc:nobody://ann:swordfish-99@127.0.0.1/books")
    assert "Spark has no driver for the catalog's database" in driverless
    shown = "".join([wrong, missing, silent, driverless, *capfd.readouterr()])
    assert "\n" not in wrong + missing + silent + driverless
    assert "swordfish" not in shown
