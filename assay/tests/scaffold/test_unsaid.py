"""Each thing a table's file must say is asked for when it is missing, and not when it is there."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.golden.case import UNSAID
from assay.project import Project
from assay.scaffold.unsaid import problems
from assay.settings import BaseSettings
from assay.sources.base import Sources

ORDERS = '''"""One row per order."""

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table


class Orders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public, description="The order's number")

    class Config:
        strict = True
        unique = ["order_id"]


@table()
def orders() -> Table[Orders]:
    """Every order."""
    raise NotImplementedError
'''

numbers = itertools.count()
Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A project with one stage, made of the given files, and a golden case that expects `orders`."""

    def make(golden: str = "orders", **files: str) -> Project:
        package = f"wired_{next(numbers)}"
        stage = tmp_path / package / "transform"
        stage.mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        (stage / "__init__.py").touch()
        for name, text in files.items():
            (stage / f"{name}.py").write_text(text)
        expected = tmp_path / "golden" / "ordinary" / "expected"
        expected.mkdir(parents=True)
        (expected / f"{golden}.ndjson").touch()
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop(package, None)
        return Project(package, ("transform",), tmp_path, BaseSettings, lambda _: Sources({}))

    return make


def test_a_complete_table_leaves_nothing_to_say(make: Make) -> None:
    assert problems(make(orders=ORDERS)) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "One row per order.",
            "Orders of the shop.",
            "transform/orders.py: the first line does not state the grain, as in 'One row per order.'",
        ),
        (
            ', description="The order\'s number"',
            "",
            "transform/orders.py: Orders.order_id has no description",
        ),
        (
            "metadata=public, ",
            "",
            (
                "transform/orders.py: Orders.order_id has no classification; "
                "use metadata=public, internal, personal or secret"
            ),
        ),
        (
            '    """Every order."""\n',
            "",
            "transform/orders.py: orders() has no docstring; it is the table's description in the UI",
        ),
        (
            "    raise NotImplementedError",
            "    raise NotImplementedError  # EDIT: write the query",
            "transform/orders.py:21: still to be edited: write the query",
        ),
    ],
)
def test_what_is_missing_is_named(make: Make, old: str, new: str, problem: str) -> None:
    assert old in ORDERS
    assert problems(make(orders=ORDERS.replace(old, new))) == [problem]


def test_a_column_under_a_mark_is_named_once(make: Make) -> None:
    field = '    order_id: dt.Int64 = pa.Field(metadata=public, description="The order\'s number")'
    assert field in ORDERS
    bare = field.replace("The order's number", "")
    marked = ORDERS.replace(field, f"    # EDIT: say what order_id means\n{bare}")
    assert problems(make(orders=marked)) == ["transform/orders.py:11: still to be edited: say what order_id means"]


def test_a_file_named_otherwise_than_its_table(make: Make) -> None:
    assert problems(make(sales=ORDERS)) == ["transform/sales.py: holds 'orders'; a file is named after its table"]


def test_a_table_without_a_golden_case(make: Make) -> None:
    (problem,) = problems(make(golden="customers", orders=ORDERS))
    assert problem.startswith("transform/orders.py: no golden case expects 'orders'")


@pytest.mark.parametrize("text", [UNSAID, '"TODO"', "TODO: later"])
def test_a_case_that_does_not_say_what_it_teaches(make: Make, tmp_path: Path, text: str) -> None:
    project = make(orders=ORDERS)
    case = tmp_path / "golden" / "ordinary" / "case.yml"
    case.write_text(f"# Orders\ndescription: {text}\ntables: [orders]\n")
    told = "golden/ordinary/case.yml:2: still to be edited: say in the description what this case teaches"
    assert problems(project) == [told]
    case.write_text("description: No TODO is left\ntables: [orders]\n")
    assert problems(project) == []


def test_an_exemption_is_a_reason_on_the_table(make: Make) -> None:
    exempt = ORDERS.replace("@table()", '@table(tags={"golden_exempt": "copied as it is"})')
    assert problems(make(golden="customers", orders=exempt)) == []


def test_a_module_that_nobody_uses(make: Make) -> None:
    project = make(orders=ORDERS.replace("@table()\n", ""), helpers="X = 1\n")
    unused = "defines no table, export, invariant or metric, and nothing imports it"
    assert problems(project) == [f"transform/helpers.py: {unused}", f"transform/orders.py: {unused}"]


@pytest.mark.parametrize("line", ["from . import helpers", "from .helpers import X", "import {}.transform.helpers"])
def test_a_module_of_helpers_that_a_table_imports(make: Make, line: str) -> None:
    package = f"wired_{next(numbers) + 1}"
    assert problems(make(orders=f"{ORDERS}\n\n{line.format(package)}  # noqa\n", helpers="X = 1\n")) == []


def test_a_module_that_only_the_command_line_names(make: Make, tmp_path: Path) -> None:
    project = make(orders=ORDERS, why="X = 1\n")
    assert len(problems(project)) == 1
    (tmp_path / project.package / "cli.py").write_text(f'COMMANDS = {{"why": "{project.package}.transform.why:why"}}\n')
    assert problems(project) == []
