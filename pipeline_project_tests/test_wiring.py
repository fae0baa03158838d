"""Everything that stands in the stage folders is registered, described and classified."""

from __future__ import annotations

import dagster as dg
import duckdb
import pytest

from assay.contract.contract import Contract
from assay.scaffold.unsaid import problems
from assay.sql import quoted
from assay.tables.nodes import TableDef
from assay.testing.wiring import fits
from pipeline_project.project import project


@pytest.fixture(autouse=True)
def _fits() -> None:
    fits(project)


def test_nothing_is_missing() -> None:
    found = problems(project)
    assert not found, "\n" + "\n".join(map(str, found))


def test_dagster_has_every_node_in_the_group_of_its_stage() -> None:
    graph = project.dagster_definitions().resolve_asset_graph()
    groups = {key.to_user_string(): graph.get(key).group_name for key in graph.materializable_asset_keys}
    assert groups == {node.name: node.stage for node in project.graph}


def test_dagster_loads_every_job_and_schedule() -> None:
    dg.Definitions.validate_loadable(project.dagster_definitions())


def test_dagster_has_the_edges_of_the_tables() -> None:
    graph = project.dagster_definitions().resolve_asset_graph()
    for node in project.graph:
        upstream = {key.to_user_string() for key in graph.get(dg.AssetKey(node.name)).parent_keys}
        assert upstream >= set(node.upstream), node.name


def test_dagster_has_the_checks_of_every_table() -> None:
    graph = project.dagster_definitions().resolve_asset_graph()
    checks = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    for node in project.graph:
        if isinstance(node, TableDef):
            wanted = {"schema", "rows_valid", *(reference.name for reference in node.references)}
            wanted |= {invariant.name for invariant in project.graph.invariants_of(node.name)}
            assert {(node.name, name) for name in wanted} <= checks


def test_every_table_can_be_profiled() -> None:
    """Golden cases do not profile what they build, so a type that cannot be would first be met in production."""
    with duckdb.connect() as connection:
        for table in project.graph.tables.values():
            contract = Contract.of(table.model)
            nulls = ", ".join(
                f"CAST(NULL AS {type_}) AS {quoted(name)}" for name, type_ in contract.duckdb_columns.items()
            )
            connection.execute(f"CREATE TABLE {quoted(table.name)} AS SELECT {nulls}")
            for rows in (1, None):
                assert contract.profile(connection, quoted(table.name), rows=rows).rows == 1, table.name
