"""Dagster's face: the same tables, checks and metadata as the plain build, recorded even when a step fails."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assay.build import build
from assay.contract.contract import Contract
from assay.errors import WiringError
from assay.orchestration import event_log
from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.jobs import daily_schedule, project_jobs
from assay.orchestration.metadata import check_results
from assay.orchestration.schema import column_schema
from assay.project import Project
from assay.tables.audited import check_names
from assay.tables.graph import Graph
from assay.tables.nodes import Reference
from assay.tables.results import CheckResult
from assay.tables.run import Run
from assay.warehouse.warehouse import DuckDBWarehouse
from tests.shop.project import ORDERS, shop_project
from tests.shop.transform.orders import Orders
from tests.tables.declared import orders

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def definitions(project: Project) -> dg.Definitions:
    return dg.Definitions(
        assets=build_assets(project),
        resources=build_resources(project),
        jobs=project_jobs(project),
        schedules=[daily_schedule(project, hour=6, timezone="UTC")],
        executor=dg.in_process_executor,
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def execute(project: Project, instance: dg.DagsterInstance, **arguments: Any) -> Any:
    job = definitions(project).resolve_job_def("pipeline")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET, **arguments)
    for event in result.all_events:
        if event.is_step_failure:
            print(event.event_specific_data.error_display_string)
    return result


def rows_told_by(record: dg.EventLogRecord) -> object:
    """The rows that a materialization of a partition, or of the whole table, tells."""
    assert record.asset_materialization is not None
    found = record.asset_materialization.metadata
    return found["dagster/row_count" if record.partition_key is None else "dagster/partition_row_count"].value


def contents(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    with DuckDBWarehouse.of(project.settings()).session() as session:
        return {
            name: session.connection.execute(f"SELECT * FROM {session.relation(table)} ORDER BY ALL").fetchall()
            for name, table in project.graph.tables.items()
            if session.exists(table)
        }


def test_a_run_of_the_ui_writes_its_events_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process has Dagster's instance as dagster.yaml says it, and not that of `pipeline run`."""
    monkeypatch.setattr(event_log, "SOON", 3600.0)
    sizes: list[int] = []

    def counted(storage: event_log.EventLog, events: Any) -> None:
        sizes.append(len(events))
        store(storage, events)

    store = event_log.EventLog.store_event_batch
    monkeypatch.setattr(event_log.EventLog, "store_event_batch", counted)
    (tmp_path / "dagster.yaml").write_text(
        "event_log_storage: {module: assay.orchestration.event_log, class: EventLog}\ntelemetry: {enabled: false}\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        result = execute(shop_project(tmp_path), instance)
        during = [size for size in sizes if size > 1]
        assert sum(during) > 5 * len(during), "of a table's dozen events there are two transactions"
        logs = [entry for entry in instance.all_logs(result.run_id) if entry.is_dagster_event]
        assert [entry.dagster_event_type for entry in logs][-1] is dg.DagsterEventType.PIPELINE_SUCCESS
        steps = [str(entry.step_key) for entry in logs if entry.dagster_event_type is dg.DagsterEventType.STEP_SUCCESS]
        assert sorted(steps) == sorted(shop_project(tmp_path).graph.nodes)


def test_both_faces_give_the_same_tables_checks_and_versions(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    plain, dagster = shop_project(tmp_path / "plain"), shop_project(tmp_path / "dagster")
    with DuckDBWarehouse.of(plain.settings()).session() as session:
        built = build(plain.graph, plain.graph.nodes, session, Run.start(), plain.sources(plain.settings()))
    result = execute(dagster, instance)
    assert built.ok
    assert result.success
    assert contents(plain) == contents(dagster)
    recorded = {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): (evaluation.passed, evaluation.description)
        for evaluation in result.get_asset_check_evaluations()
    }
    assert recorded == {
        (name, check.name): (check.passed, check.summary)
        for name, publication in built.publications.items()
        for check in publication.checks
    }
    for name, publication in built.publications.items():
        event = instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event is not None
        assert event.asset_materialization is not None
        materialization = event.asset_materialization
        assert materialization.tags is not None
        if name != "letter":
            assert materialization.metadata["dagster/row_count"].value == publication.rows
            assert materialization.tags["dagster/data_version"] == publication.data_version


def test_check_specs_are_what_a_build_reports(tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    with DuckDBWarehouse.of(project.settings()).session() as session:
        built = build(project.graph, project.graph.nodes, session, Run.start(), project.sources(project.settings()))
    for node in project.graph:
        assert check_names(node, project.graph) == [check.name for check in built.publications[node.name].checks]


@pytest.mark.slow
def test_a_failed_audit_is_recorded_and_stops_what_follows(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    project = shop_project(tmp_path)
    assert execute(project, instance).success
    before = contents(project)
    orders = tmp_path / "inputs" / "orders.csv"
    orders.write_text(ORDERS.replace(",7.25", ",-7.25"))

    result = execute(project, instance)

    assert not result.success
    failed = {e.check_name: e for e in result.get_asset_check_evaluations() if not e.passed}
    assert set(failed) == {"rows_valid", "reconciles"}, "of a day no row is left"
    assert "amount.ge_0 2" in (failed["rows_valid"].description or "")
    assert failed["rows_valid"].blocking
    materialized = {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()}
    assert materialized == {"raw_orders"}
    after = contents(project)
    assert after["orders"] == before["orders"]
    assert after["daily_sales"] == before["daily_sales"]
    message = next(e for e in result.all_events if e.is_step_failure).event_specific_data.error_display_string
    assert "transform.orders: rows_valid: 2 of 5 rows rejected, above the budget" in message
    assert "the previous version stays" in message


def test_a_missing_source_fails_with_one_line(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.orchestration.steps.SOURCE_RETRIES", None)
    project = shop_project(tmp_path)
    (tmp_path / "inputs" / "orders.csv").unlink()

    result = execute(project, instance)

    assert not result.success
    error = next(e for e in result.all_events if e.is_step_failure).event_specific_data.error
    assert "orders.csv" in error.message
    assert "raw_orders" in error.message
    assert "Traceback" not in error.message


def test_definition_metadata_shows_schema_lineage_and_code(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    project = shop_project(tmp_path)
    specs = {spec.key.to_user_string(): spec for spec in definitions(project).resolve_all_asset_specs()}
    orders = specs["orders"]
    assert orders.group_name == "transform"
    assert orders.kinds == {"duckdb", "table"}
    assert specs["raw_orders"].owners == ["team:shop"]
    assert orders.metadata["dagster/table_name"] == "transform.orders"
    columns = {column.name: column for column in orders.metadata["dagster/column_schema"].columns}
    assert columns["email"].tags == {"classification": "personal"}
    assert not columns["amount"].constraints.nullable
    assert "not null" not in columns["amount"].constraints.other, "Dagster says so by itself"
    (reference,) = orders.metadata["dagster/code_references"].code_references
    assert Path(reference.file_path).name == "orders.py"
    assert orders.code_version
    assert execute(project, instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey("daily_sales"))
    assert event is not None
    assert event.asset_materialization is not None
    lineage = event.asset_materialization.metadata["dagster/column_lineage"].value
    assert lineage.deps_by_column["amount"] == [dg.TableColumnDep(dg.AssetKey("orders"), "amount")]
    schema = event.asset_materialization.metadata["dagster/column_schema"].value
    told = {column.name: column.constraints.other for column in schema.columns}
    assert told["amount"][-1] == "from orders"


def test_a_check_that_only_warns_is_not_called_blocking_and_says_so(tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    warned = Reference(("day",), to="orders", to_columns=("ordered_on",), severity="warn")
    nodes = dict(project.graph.nodes)
    nodes["daily_sales"] = dataclasses.replace(project.graph.tables["daily_sales"], references=(warned,))
    invariants = {name: dataclasses.replace(each, severity="warn") for name, each in project.graph.invariants.items()}
    project.__dict__["graph"] = Graph(nodes, invariants)
    checks = [check for asset in build_assets(project) for check in asset.check_specs]
    for check in checks:
        assert check.description is not None
        assert check.description.endswith(".")
        assert check.blocking == ("Only a warning" not in check.description)
    assert {check.name for check in checks if not check.blocking} == {warned.name, "usual", *invariants}
    (said,) = [check.description for check in checks if check.name == warned.name]
    assert said == (
        "Every day that is not null is found in orders (ordered_on there). "
        "Only a warning: the table is published all the same."
    )


def test_a_profile_fits_and_has_no_mean_of_what_identifies_things(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    assert execute(shop_project(tmp_path), instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey("orders"))
    assert event is not None
    assert event.asset_materialization is not None
    profile = event.asset_materialization.metadata["profile"]
    assert isinstance(profile, dg.TableMetadataValue)
    rows = {record.data["column"]: record.data for record in profile.records}
    assert rows["order_id"]["mean"] == ""
    assert rows["amount"]["mean"] == "34.435"


@pytest.mark.slow
def test_a_partition_run_replaces_its_days_and_records_them(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    project = shop_project(tmp_path)
    assert execute(project, instance).success
    source = tmp_path / "inputs" / "orders.csv"
    source.write_text(ORDERS.replace("20.50", "21.00").replace("99.99", "1.00"))
    tags = {"dagster/asset_partition_range_start": "2026-03-01", "dagster/asset_partition_range_end": "2026-03-02"}

    assert execute(project, instance, tags=tags).success

    amounts = {row[0]: str(row[3]) for row in contents(project)["orders"]}
    assert amounts == {1: "10.00", 2: "21.00", 3: "7.25", 5: "99.99"}
    events = instance.fetch_materializations(dg.AssetKey("orders"), limit=3).records
    assert {event.partition_key: rows_told_by(event) for event in events} == {None: 4, "2026-03-02": 1, "2026-03-01": 2}


def test_a_dry_run_environment_writes_nothing_real(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    real = shop_project(tmp_path)
    assert execute(real, instance).success
    file = tmp_path / "data" / "warehouse.duckdb"
    before = file.read_bytes()
    (tmp_path / "inputs" / "orders.csv").write_text(ORDERS.replace("20.50", "21.00"))
    (tmp_path / "data" / "letter.txt").write_text("untouched")

    assert execute(shop_project(tmp_path, env="dry_run"), instance).success

    assert file.read_bytes() == before
    assert (tmp_path / "data" / "letter.txt").read_text() == "untouched"


@pytest.mark.slow
def test_nothing_holds_the_warehouse_after_a_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    import subprocess
    import sys

    project = shop_project(tmp_path)
    assert execute(project, instance).success
    file = str(tmp_path / "data" / "warehouse.duckdb")
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE t (a INT)')",
            file,
        ],
        capture_output=True,
        check=False,
    )
    assert other.returncode == 0, other.stderr


def test_samples_whose_rows_have_other_fields_are_one_table() -> None:
    """A malformed row is shown as its line, one that broke a rule as its columns."""
    rows = ({"reasons": "csv.columns", "_line": "2;3"}, {"reasons": "k.ge_0", "k": "-2"}, {"k": None})
    check = CheckResult("rows_valid", False, "warn", "2 rejected", 2, sample=rows)
    found = next(check_results(orders, [check])).metadata["sample"]
    assert isinstance(found, dg.TableMetadataValue)
    assert [column.name for column in found.schema.columns] == ["reasons", "_line", "k"]
    assert [record.data for record in found.records] == [
        {"reasons": "csv.columns", "_line": "2;3", "k": ""},
        {"reasons": "k.ge_0", "_line": "", "k": "-2"},
        {"reasons": "", "_line": "", "k": "NULL"},
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"owner": "sales"},
        {"owner": "team:"},
        {"tags": {"a key": "x"}},
        {"tags": {"key": "a value with blanks"}},
        {"tags": {"key": "x" * 70}},
        {"tags": {"": "x"}},
        {"tags": {"key": 1}},
        {"name": "größe"},
        {"name": "context"},
        {"name": "config"},
    ],
)
def test_what_dagster_refuses_is_one_line_with_file_and_fix(tmp_path: Path, options: dict[str, Any]) -> None:
    project = shop_project(tmp_path)
    node = dataclasses.replace(project.graph.tables["raw_orders"], **options)
    project.__dict__["graph"] = Graph({node.name: node}, {})
    with pytest.raises(WiringError) as caught:
        build_assets(project)
    text = str(caught.value)
    assert "\n" not in text
    assert f"raw_orders.py: Dagster refuses '{node.name}': " in text
    assert "Names are letters, digits and _" in text


def test_columns_are_described_in_sentences() -> None:
    described = [column.description for column in column_schema(Contract.of(Orders)).columns]
    assert described == ["The order.", "Who ordered.", "Day.", "Euros."]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("only", "built", "days"),
    [
        (("stage:extract",), {"raw_orders"}, None),
        (("stage:load",), {"daily_sales", "letter"}, "2026-03-03"),
        (("tag:domain=sales+",), {"orders", "daily_sales", "letter"}, "2026-03-03"),
        ((), {"raw_orders", "orders", "daily_sales", "letter"}, "2026-03-03"),
    ],
)
def test_a_schedule_builds_the_part_that_its_words_choose(
    tmp_path: Path, instance: dg.DagsterInstance, only: tuple[str, ...], built: set[str], days: str | None
) -> None:
    """And nothing else, when what it asks for is run."""
    project = shop_project(tmp_path)
    assert execute(project, instance).success
    schedule = daily_schedule(project, hour=6, timezone="UTC", name="part", only=only)
    tick = dtm.datetime(2026, 3, 4, 6, tzinfo=dtm.UTC)
    with dg.build_schedule_context(scheduled_execution_time=tick) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.tags.get("pipeline/partition") == days
    result = execute(project, instance, asset_selection=request.asset_selection, tags=request.tags)
    assert result.success
    assert {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()} == built


def test_a_schedule_of_nothing_is_refused_where_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match="'tag:finanse' chooses nothing"):
        daily_schedule(shop_project(tmp_path), hour=6, timezone="UTC", only=("tag:finanse",))
