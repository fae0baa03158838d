"""What the command line says of a red check: which rule, some of the rows, and how to find all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay import internal, personal, public
from assay.build import Progress
from assay.commands.run_commands import SHOWN, ProgressPrinter, summary_lines
from assay.errors import WarehouseError
from assay.orchestration.execute import RunSummary
from assay.settings import BaseSettings
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef
from assay.terminal import live
from tests.warehouse.house import Given, House, given, publication, values


class Delivery(pa.DataFrameModel):
    number: dt.Int64 = pa.Field(metadata=internal)
    farmer: dt.String = pa.Field(metadata=personal)
    fruit: dt.String = pa.Field(isin=["apple", "pear"], metadata=public)

    class Config:
        unique = ["number"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.leave()


def printed(capsys: pytest.CaptureFixture[str], progress: Progress) -> str:
    with live() as screen:
        ProgressPrinter(screen, [progress.node])(progress)
    return capsys.readouterr().out


def said(house: House, capsys: pytest.CaptureFixture[str], *rows: str) -> str:
    node: TableDef = given("a", Delivery, Given(values("number BIGINT, farmer VARCHAR, fruit VARCHAR", *rows)))
    result = house.build(node)
    return printed(capsys, Progress("failed", node, publication(result, "a"), result.errors["a"]))


def test_the_values_that_broke_a_rule_are_shown_and_personal_ones_are_not(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(house, capsys, "1, 'ann', 'mango'", "2, 'bob', 'pear'")
    assert "rows_valid: 1 of 2 rows rejected, above the budget of 0 rows: fruit.isin 1" in text
    assert "such as reasons=fruit.isin, number=1, farmer=***, fruit=mango\n" in text
    assert "ann" not in text
    assert "rows_valid finds its rows with: SELECT" in text


@pytest.mark.parametrize(
    ("partition", "told"),
    [
        (None, " s\n"),
        ("2026-03-01..2026-03-03", " s  only 2026-03-01..2026-03-03\n"),
        ("2026-03-01,2026-03-03,2026-03-05", " s  only 2026-03-01 and 2 more\n"),
    ],
)
def test_a_line_says_which_partitions_were_built(
    house: House, partition: str | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node: TableDef = given("a", Delivery, Given(values("number BIGINT, farmer VARCHAR, fruit VARCHAR")))
    built = dataclasses.replace(publication(house.build(node), "a"), partition=partition)
    assert printed(capsys, Progress("done", node, built)).endswith(told)


def test_only_some_rows_are_shown(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(house, capsys, *(f"{number}, 'ann', 'pear'" for number in range(9) for _ in range(2)))
    assert text.count("such as number=") == SHOWN
    assert "unique_key finds its rows with: SELECT" in text


def test_what_ends_every_table_for_one_reason_is_said_once(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """As a warehouse of another version, which nine raw tables would refuse one by one."""
    nodes = [given(name, Delivery, Given("")) for name in "abc"]
    error = WarehouseError("was written by another version of this framework", where="w.ops.code", fix="Move it away.")
    other = WarehouseError("is full", where="a disk")
    with live() as screen:
        printer = ProgressPrinter(screen, nodes)
        for node, why in zip(nodes, (error, error, other), strict=True):
            printer(Progress("failed", node, None, why))
    text = capsys.readouterr().out
    assert text.count("another version") == 1
    assert text.count("FAILED") == 2
    project = SimpleNamespace(graph=Graph.of(nodes), settings=lambda: BaseSettings(env="dry_run"))
    summary = RunSummary("1", errors={"a": error, "b": error, "c": other})
    lines = list(summary_lines(project, summary))  # type: ignore[arg-type]
    assert [line for line in lines if line.startswith("failed")] == ["failed   warehouse.b: as warehouse.a"]
