"""A project of two extract tables in which tests start others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.nodes import TableDef

HEAD = '''"""One row per {0}."""

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import (internal, personal, public, table)
from assay.sources import Csv

'''
ORDERS = (
    HEAD.format("order")
    + '''
class Orders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public, description="The order's number")
    customer_id: dt.Int64 = pa.Field(metadata=internal, description="Who ordered")
    amount: dt.Decimal(12, 2) = pa.Field(metadata=internal, description="Euros")

    class Config:
        unique = ["order_id"]


@table(source=Csv("shop_files", "orders.csv"))
def orders(source: ibis.Table) -> Table[Orders]:
    """Every order."""
    return source
'''
)
CUSTOMERS = (
    HEAD.format("customer")
    + '''
class Customers(pa.DataFrameModel):
    customer_id: dt.Int64 = pa.Field(metadata=internal, description="The customer's number")
    email: dt.String = pa.Field(metadata=personal, description="Where to write to")

    class Config:
        unique = ["customer_id"]


@table(source=Csv("shop_files", "customers.csv"))
def customers(source: ibis.Table) -> Table[Customers]:
    """Every customer."""
    return source
'''
)
SETTINGS = """class Settings:
    default_locations: ClassVar[Mapping[str, str]] = {
        "shop_files": "./data",
    }
"""

STAGES = ("extract", "transform", "checks")

numbers = itertools.count()
Loaded = Callable[[], Project]


class ShopSettings(BaseSettings):
    default_locations = {"shop_files": "./data"}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """A project of two extract tables; each call reads its files anew."""
    package = f"scaffolded_{next(numbers)}"
    for stage in STAGES:
        (tmp_path / package / stage).mkdir(parents=True)
        (tmp_path / package / stage / "__init__.py").touch()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "settings.py").write_text(SETTINGS)
    (tmp_path / package / "extract" / "orders.py").write_text(ORDERS)
    (tmp_path / package / "extract" / "customers.py").write_text(CUSTOMERS)
    (tmp_path / "golden").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda: Project(
        package, STAGES, tmp_path, lambda: ShopSettings.read({}, root=tmp_path), lambda _: Sources({})
    )


def call(project: Project, command: object, *arguments: str) -> Result:
    """Run a command; errors of the project come back as the result's exception."""
    return CliRunner().invoke(command, arguments, obj=project)  # type: ignore[arg-type]


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def table(project: Project, name: str) -> TableDef:
    return project.graph.tables[name]
