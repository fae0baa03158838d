"""The other faces: the command's help and speed of start, starting a case, pytest nodes, Dagster's job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assay.golden.case import UNSAID
from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.golden_job import JOB, TREE, golden_definitions
from assay.orchestration.processes import process_tag
from assay.testing import goldens as pytest_plugin
from tests.golden.tree import FIVE_ORDERS, Tree
from tests.shop.project import ORDERS


def test_help_lists_the_commands_and_the_exit_codes(tree: Tree) -> None:
    said = tree.cli("--help").output
    assert "[OPTIONS] [CASE[/TABLE]]..." in said
    assert "Exit codes: 0 equal, 1 differs, 2 error, 3 new or orphaned goldens." in said
    for command in ("run", "review", "accept", "reject", "pending", "prune", "new"):
        assert f"\n  {command} " in said


def test_a_case_named_like_a_command_can_be_run(tree: Tree) -> None:
    tree.accepted("new")
    assert tree.cli("run", "new").exit_code == 0


def test_no_case_at_all(tree: Tree) -> None:
    said = tree.cli()
    assert (said.exit_code, "0 equal in 0 cases" in said.output) == (0, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["zebra"], "no case named 'zebra'"),
        (["five/zebra"], "'zebra' is not under test"),
        (["new", "five", "orders"], "golden/five: the case exists"),
        (["new", "Five!", "orders"], "'Five!' is no name for a case"),
        (["new", "six", "zebra"], "no table named 'zebra'"),
        (["new", "six", "letter"], "'letter' is an exported file"),
        (["new", "six", "orders", "daily_sales", "--returned"], "'daily_sales' reads 'orders', of which such a case"),
    ],
)
def test_wrong_arguments_are_one_line(tree: Tree, args: list[str], message: str) -> None:
    tree.case("five", FIVE_ORDERS)
    said = tree.cli(*args)
    assert said.exit_code == 2
    assert message in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_malformed_case_is_one_line(tree: Tree) -> None:
    tree.case("five", {"case.yml": "description: x\ntabels: [orders]\n"})
    said = tree.cli()
    assert (said.exit_code, said.stderr.count("\n")) == (2, 1)


def test_a_new_case_has_a_file_for_every_input(tree: Tree) -> None:
    said = tree.cli("new", "six", "daily_sales")
    assert said.exit_code == 0
    assert (tree.golden / "six/inputs/tables/orders.csv").read_text() == "order_id,email,ordered_on,amount\n"
    assert "tables: [daily_sales]" in (tree.golden / "six/case.yml").read_text()
    assert tree.run("six").exit_code == 3
    tree.cli("new", "seven", "raw_orders")
    assert (tree.golden / "seven/inputs/shop_files/orders.csv").read_text() == "order_id,email,ordered_on,amount\n"
    assert tree.run("seven").exit_code == 3


def test_a_new_case_of_returned_rows_breaks_every_rule_of_what_is_never_null(tree: Tree) -> None:
    said = tree.cli("new", "bugs", "orders", "--returned")
    assert said.exit_code == 0
    assert (tree.golden / "bugs/inputs/returned/orders.csv").read_text() == (
        "order_id,email,ordered_on,amount\n\\N,\\N,\\N,\\N\n"
    )
    assert tree.cli("bugs").exit_code == 3, "nothing is wrong but that nothing is accepted yet"
    assert tree.cli("accept", "bugs").exit_code == 0
    (case,) = tree.run("bugs").cases
    never_null = {code for table in case.tables for code in table.reasons}
    assert {"order_id.not_null", "email.not_null", "ordered_on.not_null", "amount.not_null"} <= never_null
    assert [table.failing for table in case.tables] == [("rows_valid", "reconciles")]


def test_a_case_that_does_not_say_what_it_teaches_is_named(tree: Tree) -> None:
    tree.cli("new", "six", "daily_sales")
    told = "six: its case.yml still says TODO: write what the case teaches"
    assert told in tree.cli("six").output
    case = tree.golden / "six/case.yml"
    case.write_text(case.read_text().replace(UNSAID, "Nothing sold is no day"))
    assert "TODO" not in tree.cli("six").output


@pytest.mark.slow
def test_running_a_case_imports_neither_dagster_nor_a_model_library(tree: Tree) -> None:
    tree.case("five", FIVE_ORDERS)
    code = """
import sys, pathlib
from tests.shop.project import shop_project
from assay.golden.runner import run_golden
assert run_golden(shop_project(pathlib.Path(sys.argv[1]))).exit_code == 3
wrong = {"dagster", "sklearn", "httpx", "altair", "duckdb.experimental", "pytest"} & set(sys.modules)
assert not wrong, wrong
"""
    subprocess.run([sys.executable, "-c", code, str(tree.project.root)], check=True, cwd=Path(__file__).parents[3])


def test_pytest_has_a_node_per_case_and_table(tree: Tree) -> None:
    tree.accepted()
    assert pytest_plugin.golden_nodes(tree.project) == [("five", "orders"), ("five", "daily_sales")]
    assert pytest_plugin.golden_difference(tree.project, "five", "orders") == ""
    assert pytest_plugin.golden_orphans(tree.project) == ()


def test_pytest_tells_the_difference_and_writes_nothing(tree: Tree) -> None:
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26"))
    before = sorted(tree.golden.rglob("*"))
    said = pytest_plugin.golden_difference(tree.project, "five", "orders")
    assert "order_id=3  amount  7.25 -> 7.26  (+0.01)" in said
    assert "pipeline golden five/orders" in said
    assert sorted(tree.golden.rglob("*")) == before


def test_pytest_tells_why_a_case_cannot_run(tree: Tree) -> None:
    tree.case("stuck", {"case.yml": "description: x\ntables: [orders]\nempty: [zebra]\n"})
    assert "no table named 'zebra'" in pytest_plugin.golden_difference(tree.project, "stuck", "orders")


def definitions(tree: Tree) -> dg.Definitions:
    project = tree.project
    assets = dg.Definitions(
        assets=build_assets(project), resources=build_resources(project), executor=dg.in_process_executor
    )
    return dg.Definitions.merge(assets, golden_definitions(project))


def run_job(tree: Tree) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions(tree).resolve_job_def(JOB)
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert [instance.get_latest_materialization_event(key) for key in instance.all_asset_keys()] in ([], [None])
        return result


def test_a_run_of_the_golden_job_says_which_process_it_is(tree: Tree) -> None:
    tree.accepted()
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions(tree).resolve_job_def(JOB).execute_in_process(instance=instance, raise_on_error=False)
        recorded = instance.get_run_by_id(result.run_id)
        assert recorded is not None
        assert process_tag(result.run_id)
        assert recorded.tags.items() >= process_tag(result.run_id).items()


def test_the_golden_job_passes_and_records_no_materialization(tree: Tree) -> None:
    tree.accepted()
    result = run_job(tree)
    assert result.success
    evaluations = {(each.asset_key.to_user_string(), each.check_name) for each in result.get_asset_check_evaluations()}
    assert evaluations == {("golden", "five__orders"), ("golden", "five__daily_sales"), ("golden", TREE)}
    assert result.get_asset_materialization_events() == []
    assert not (tree.project.root / "data").exists()


def test_the_golden_job_fails_on_a_difference_and_shows_it(tree: Tree) -> None:
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26"))
    result = run_job(tree)
    assert not result.success
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}
    orders = found["five__orders"]
    assert not orders.passed
    assert (orders.description or "").startswith("orders: +0 -0 ~1 rows\n")
    assert "7.25 -> 7.26" in (orders.description or ""), "in the first lines"
    assert "```text\n" in (orders.description or ""), "Dagster reads it as Markdown"
    rows = orders.metadata["rows"]
    assert isinstance(rows, dg.TableMetadataValue)
    assert [record.data for record in rows.records] == [
        {
            "golden": "orders",
            "what": "changed",
            "key": "order_id=3",
            "column": "amount",
            "expected": "7.25",
            "actual": "7.26",
        }
    ]
    failure = next(each for each in result.all_events if each.is_step_failure).event_specific_data.error
    assert "five/orders: orders: +0 -0 ~1 rows" in failure.message


def test_the_cases_are_one_asset_that_says_whom_to_ask(tree: Tree) -> None:
    tree.case("owned", {"case.yml": "description: x\nowner: team:shop\ntables: [orders]\n"})
    tree.case("asked", {"case.yml": "description: y\nowner: whoever is there\ntables: [orders]\n"})
    golden = [spec for spec in definitions(tree).resolve_all_asset_specs() if spec.group_name == "golden"]
    (spec,) = golden
    assert spec.owners == ["team:shop"], "Dagster takes no other words"
    assert "**asked** (whoever is there): y" in (spec.description or "")


def test_the_golden_job_fails_on_a_case_that_cannot_run(tree: Tree) -> None:
    tree.case("stuck", {"case.yml": "description: x\ntables: [daily_sales]\n"})
    tree.case("lost", {"case.yml": "description: x\ntables: [orders]\nempty: [zebra]\n"})
    result = run_job(tree)
    assert not result.success
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert "not built, because raw_orders failed: " in (found["stuck__daily_sales"].description or "")
    assert "golden case lost could not run: " in (found["lost__orders"].description or "")


def test_the_golden_job_fails_on_a_case_that_cannot_be_read_though_the_location_loads(tree: Tree) -> None:
    tree.accepted()
    tree.case("wrong", {"case.yml": "description: x\ntabels: [orders]\n"})
    result = run_job(tree)
    assert not result.success
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == TREE]
    assert "unknown key 'tabels'" in str(found.metadata["problem"].value)


def test_materializing_tables_runs_no_golden_check(tree: Tree) -> None:
    tree.accepted()
    everything = definitions(tree).resolve_implicit_global_asset_job_def()
    tables = {dg.AssetKey(name) for name in tree.project.graph.nodes}
    job = everything.get_subset(asset_selection=tables)
    keys, selected = job.asset_layer.asset_graph.asset_check_keys, job.asset_layer.selected_asset_keys
    assert keys
    assert {key.to_user_string() for key in selected} == set(tree.project.graph.nodes)
