"""Settings that a table reads: declared, typed, masked, a reason to build; in golden cases given, and never the machine's."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pydantic
import pytest
from pandera.typing.ibis import Table

from assay import build as building
from assay.contract.classification import personal, public
from assay.errors import GoldenError, SettingsError, WiringError
from assay.golden.case import read_case
from assay.golden.opened import opened_case
from assay.plan.planner import make_plan
from assay.plan.text import render
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.declare import export, table
from assay.tables.declared import declared
from assay.tables.graph import Graph
from assay.tables.nodes import Node
from assay.tables.run import Run
from assay.testing.tree import GoldenTree, with_graph
from assay.warehouse.warehouse import DuckDBWarehouse

TOKEN = "t0" + "k3n"
"""Never whole in this file, which is part of the code that the books have."""


class Settings(BaseSettings):
    rate: Decimal = pydantic.Field(Decimal("1.19"), description="The tax.", json_schema_extra=public)
    region: str = pydantic.Field("north", description="Whose prices.")
    token: pydantic.SecretStr | None = pydantic.Field(None, description="For the price server.")
    other: int = pydantic.Field(1, description="Of nobody's interest.")


class Prices(pa.DataFrameModel):
    rate: dt.Decimal(9, 2) = pa.Field(metadata=public)
    region: dt.String = pa.Field(metadata=personal)
    size: dt.Int64 = pa.Field(metadata=public)

    class Config:
        strict = True


@table(settings=("rate", "region", "token"), engine="python")
def prices(run: Run) -> Table[Prices]:
    """The settings as rows."""
    assert run.settings["token"].get_secret_value() not in repr(run)
    size = len(run.settings["token"].get_secret_value())
    rows = {"rate": [run.settings["rate"]], "region": [run.settings["region"]], "size": [size]}
    return ibis.memtable(rows, schema={"rate": "decimal(9,2)", "region": "string", "size": "int64"})


@export("note.txt", settings=("region",))
def note(prices: Table[Prices], run: Run) -> str:
    return f"for {run.settings['region']}"


@table()
def greedy(run: Run) -> Table[Prices]:
    return run.settings["rate"]


class Shop:
    """A project of these, with an environment that tests change."""

    def __init__(self, root: Path, *nodes: Node) -> None:
        self.root, self.environ = root, {"PIPELINE_TOKEN": TOKEN}
        project = Project(
            package="tests",
            stages=(),
            root=root,
            settings=lambda: Settings.read(self.environ, root=root),
            sources=lambda settings: Sources(settings.locations),
        )
        self.project = with_graph(project, Graph.of(nodes or [prices, note]))

    def run(self) -> Any:
        settings = self.project.settings()
        with DuckDBWarehouse.of(settings).session() as session, self.project.sources(settings) as sources:
            return building.build(self.project.graph, self.project.graph.nodes, session, Run.start(), sources)

    def plan(self) -> str:
        return render(make_plan(self.project, ()))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_changed_setting_is_a_reason_to_build_and_a_secret_is_none(shop: Shop) -> None:
    assert shop.run().ok
    assert (shop.root / "data" / "note.txt").read_text() == "for north"
    shop.environ |= {"PIPELINE_RATE": "1.07"}
    told = shop.plan()
    assert "why     code: the setting rate" in told
    assert "-rate = Decimal('1.19')" in told.replace("- rate", "-rate")
    assert "+rate = Decimal('1.07')" in told.replace("+ rate", "+rate")
    assert "1.19 -> 1.07" in told
    shop.environ = {"PIPELINE_TOKEN": "other", "PIPELINE_OTHER": "7"}
    assert "0 tables change" in shop.plan()


def test_a_setting_that_may_not_be_shown_is_told_without_its_value(shop: Shop) -> None:
    assert shop.run().ok
    shop.environ |= {"PIPELINE_REGION": "atlantis"}
    told = shop.plan()
    assert "the setting region" in told
    assert "atlantis" not in told
    assert TOKEN not in told
    with DuckDBWarehouse.of(shop.project.settings()).session() as session:
        books = str(
            [
                session.connection.execute(f"FROM ops.{name}").fetchall()
                for name in ("code", "code_sources", "publications")
            ]
        )
    assert TOKEN not in books


def test_what_is_not_declared_is_not_given(tmp_path: Path) -> None:
    (error,) = Shop(tmp_path, greedy).run().errors.values()
    assert "reads the setting 'rate', which it does not declare" in str(error)
    assert 'settings=("rate",)' in str(error)


def test_a_secret_that_is_not_set_is_named(shop: Shop) -> None:
    shop.environ.clear()
    error = shop.run().errors["prices"]
    assert str(error).startswith("PIPELINE_TOKEN: is not set")


@pytest.mark.parametrize(("name", "fix"), [("rat", "Did you mean rate?"), ("warehouse", "Declare it as a field")])
def test_a_name_that_is_no_setting_of_the_projects_own_ends_a_run_as_it_begins(tmp_path, name, fix):
    shop = Shop(tmp_path, replace(prices, settings=(name,)))
    with pytest.raises(SettingsError, match=f"'{name}' is no setting of the project's own. {fix}"):
        shop.run()


def test_settings_need_a_run_to_be_read_from():
    with pytest.raises(WiringError, match="and a parameter run: Run"):

        @table(settings=("rate",))
        def alone() -> Table[Prices]:
            raise AssertionError

    with pytest.raises(WiringError, match=r"settings='rate' cannot be read"):

        @table(settings="rate")
        def letters(run: Run) -> Table[Prices]:
            raise AssertionError


def test_nothing_of_them_is_printed():
    given = declared(prices, Settings(token=pydantic.SecretStr(TOKEN), region="atlantis"))
    assert repr(Run.start(id="1")).count("***") == 0
    assert repr(replace(Run.start(id="1"), settings=given)).count("***") == 3
    assert "atlantis" not in f"{given!r} {given} {replace(Run.start(), settings=given)!r}"
    assert dict(given) == {"rate": Decimal("1.19"), "region": "atlantis", "token": pydantic.SecretStr(TOKEN)}


class TestGolden:
    """A case has the defaults, what it gives, and for a secret its name."""

    CASE: ClassVar[dict[str, str | bytes]] = {
        "case.yml": "description: Prices\ntables: [prices]\nsettings: {region: south, rate: '1.50'}\n"
    }

    def test_it_gives_them_and_the_machines_own_do_not_reach_it(self, shop: Shop) -> None:
        shop.environ |= {"PIPELINE_REGION": "atlantis"}
        folder = GoldenTree(shop.project).accepted("taxed", self.CASE)
        (row,) = map(json.loads, (folder / "expected" / "prices.ndjson").read_text().splitlines())
        assert (row["rate"], row["size"]) == ("1.50", str(len("secret:token")))

    def test_a_changed_one_turns_it_red(self, shop: Shop) -> None:
        tree = GoldenTree(shop.project)
        tree.accepted("taxed", self.CASE)
        tree.write("taxed/case.yml", str(self.CASE["case.yml"]).replace("1.50", "1.60").replace("region", "token"))
        result = tree.run()
        assert result.exit_code == 1

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ("{regoin: x}", r"case.yml:3: 'regoin' is no setting of the project's own. Did you mean region\?"),
            ("{warehouse: x}", "'warehouse' is no setting of the project's own"),
            ("{rate: much}", "case.yml:3: 'rate': Input should be a valid decimal"),
            ("[rate]", "'settings' is no mapping"),
        ],
    )
    def test_what_cannot_be_given_is_told_with_its_line(self, shop: Shop, given: str, told: str) -> None:
        tree = GoldenTree(shop.project)
        folder = tree.case("wrong", {"case.yml": f"description: x\ntables: [prices]\nsettings: {given}\n"})
        with (
            pytest.raises(GoldenError, match=told),
            opened_case(tree.project.graph, read_case(folder), settings=tree.project.kind),
        ):
            pass
