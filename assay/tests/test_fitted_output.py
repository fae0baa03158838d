"""What the command line prints fits the terminal, says what goes on, and has no colours where nobody wants them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from assay.cli import COMMANDS as LAZY
from assay.cli import LazyGroup
from assay.terminal import cut, fit, wide
from tests import warm
from tests.golden.tree import Tree
from tests.screens import Screen, run
from tests.shop.project import ORDERS

RUN = """
import sys
import types
from pathlib import Path

import dagster as dg
import tests.shop.project as shop
from assay.cli import COMMANDS, command_line, run
from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.jobs import project_jobs

project = shop.shop_project(Path.cwd())
definitions = types.ModuleType("tests.shop.definitions")
definitions.defs = dg.Definitions(
    assets=build_assets(project), resources=build_resources(project), jobs=project_jobs(project),
    executor=dg.in_process_executor,
)
sys.modules["tests.shop.definitions"] = definitions
sys.modules["shop_project"] = types.SimpleNamespace(project=project)
run(command_line("shop_project:project", distribution="dagster-assay"))
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop as a project whose commands run as processes, with a golden case that differs."""
    from tests.shop.project import shop_project

    root = tmp_path_factory.mktemp("shop")
    case = Tree(shop_project(root)).accepted()
    orders = (case / "inputs" / "shop_files" / "orders.csv").read_text()
    changed = orders.replace("-1.00", "-2.00").replace("20.50", "30.50")
    (case / "inputs" / "shop_files" / "orders.csv").write_text(changed)
    (root / "run.py").write_text(RUN)
    (root / "dagster.yaml").write_text((Path(__file__).parents[2] / "dagster.yaml").read_text())
    return root


def pipeline(shop: Path, *arguments: str, columns: int = 80, **environment: str) -> Screen:
    return run(["run.py", *arguments], cwd=shop, columns=columns, environment=environment)


def test_a_long_line_is_broken_between_words_under_the_first_word_after_its_label() -> None:
    assert fit("orders  one two three four", 16).split("\n") == ["orders  one two", "        three", "        four"]
    assert fit("  no label here at all", 14).split("\n") == ["  no label", "  here at all"]


def test_a_path_stays_whole_and_any_other_long_word_does_not() -> None:
    path = "file:///a/very/long/way/to/the/dashboard.html"
    assert fit(f"see {path}", 20).split("\n") == ["see", f"    {path}"]
    assert fit("x" * 25, 20).split("\n") == ["x" * 20, "    xxxxx"]


def test_colours_take_no_place_and_wide_characters_take_two() -> None:
    assert wide("\x1b[31mred\x1b[0m") == 3
    assert wide("日本") == 4
    assert fit("\x1b[31mred\x1b[0m fine", 8) == "\x1b[31mred\x1b[0m fine"
    assert cut("日本語", 5) == "日本…"


@pytest.mark.slow
def test_a_run_says_what_goes_on_while_a_step_of_dagster_has_standard_output(shop: Path) -> None:
    (shop / "inputs" / "orders.csv").write_text(ORDERS)
    screen = pipeline(shop, "run")
    assert screen.code == 0, screen.raw
    assert any(line.startswith("starting Dagster") for line in screen.drawn)
    places = [line for line in screen.drawn if line.startswith(("1/4  ", "2/4  ", "3/4  ", "4/4  "))]
    assert {line[:3] for line in places} == {"1/4", "2/4", "3/4", "4/4"}
    assert "2/4  transform.orders" in screen.text
    assert screen.text.count("transform.orders") == 1, "the live line is taken away"
    assert screen.too_wide(80) == []


@pytest.mark.slow
def test_a_table_that_is_not_built_is_named_with_its_cause_and_nothing_is_proposed(shop: Path) -> None:
    (shop / "inputs" / "orders.csv").write_text(ORDERS.replace("10.00", "ten"))
    screen = pipeline(shop, "run")
    assert screen.code == 1
    assert "FAILED  extract.raw_orders" in screen.text
    assert "skipped  transform.orders: raw_orders failed" in screen.text
    assert "skipped  load.letter: raw_orders failed" in screen.text
    assert "0 published, 1 failed, 3 skipped in" in screen.text
    assert "Next:" not in screen.text
    assert screen.too_wide(80) == []


@pytest.mark.slow
def test_what_to_try_next_is_told_after_the_first_run_alone(shop: Path) -> None:
    (shop / "inputs" / "orders.csv").write_text(ORDERS)
    (shop / "data" / "warehouse.duckdb").unlink(missing_ok=True)
    assert "make open" in pipeline(shop, "run").text
    # Piped, a fact keeps its line, and there are no codes.
    again = warm.run(["run.py", "run"], cwd=shop, env=os.environ)
    assert "Next:" not in again.stdout
    assert f"letter     {(shop / 'data' / 'letter.txt').as_uri()}\n" in again.stdout
    assert "\n  orders  1 of 5 rows rejected, inside the budget: amount.ge_0 1\n" in again.stdout
    assert "\x1b" not in again.stdout
    assert again.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["golden"], ["plan", "--partition", "1999-01-01"], ["run", "no_such_table"]])
def test_no_color_is_heeded_by_every_command(shop: Path, arguments: list[str]) -> None:
    coloured, plain = pipeline(shop, *arguments), pipeline(shop, *arguments, NO_COLOR="1")
    assert coloured.too_wide(80) == []
    assert "\x1b[31m" in coloured.raw
    assert not re.search(r"\x1b\[[0-9;]*m", plain.raw)


COMMANDS = [
    ["tables"],
    ["settings"],
    ["quarantine", "list"],
    ["quarantine", "list", "--status", "all"],
    ["golden", "--every"],
    ["golden", "pending"],
    ["golden", "coverage", "--all"],
    ["plan"],
    ["plan", "orders", "--downstream"],
    *([*command, "--help"] for command in [[], *([name] for name in LAZY), ["golden", "run"], ["quarantine", "list"]]),
]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_of_any_command_is_wider_than_the_terminal(
    shop: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay import terminal
    from assay.commands import run_commands

    (shop / "inputs" / "orders.csv").write_text(ORDERS)
    if not (shop / "data" / "warehouse.duckdb").exists():
        assert pipeline(shop, "run").code == 0
    (shop / "inputs" / "orders.csv").write_text(ORDERS.replace("20.50", "30.50").replace("5,eva", "6,eva"))
    for module in (terminal, run_commands):
        monkeypatch.setattr(module, "columns", lambda stream: columns)
    monkeypatch.chdir(shop)
    found = {}
    for arguments in COMMANDS:
        done = CliRunner().invoke(_of_shop(shop), arguments, terminal_width=columns)
        assert done.output, arguments
        if wide_lines := Screen(done.output, done.exit_code).too_wide(columns):
            found[" ".join(arguments)] = wide_lines
    assert found == {}


def _of_shop(shop: Path) -> click.Group:
    from tests.shop.project import shop_project

    @click.group(cls=LazyGroup, lazy=LAZY)
    @click.pass_context
    def pipeline(context: click.Context) -> None:
        context.obj = shop_project(shop)

    return pipeline
