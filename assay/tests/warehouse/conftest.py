"""A warehouse of its own for every test that asks for one; of each engine for those that are marked `engines`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.house import House


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is decided for every engine is tried with each."""
    if metafunc.definition.get_closest_marker("engines") is not None:
        spark = pytest.param("spark", marks=pytest.mark.spark)
        metafunc.parametrize("house", ["duckdb", spark], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test's variants Spark, which takes seconds for each, has the first."""
    seen = set()
    for item in list(items):
        call = getattr(item, "callspec", None)
        if call is not None and call.params.get("house") == "spark":
            test = item.nodeid.partition("[")[0]
            if test in seen:
                items.remove(item)
            seen.add(test)


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if getattr(request, "param", "duckdb") == "duckdb":
        house = House(tmp_path)
    else:
        house = House(tmp_path, kind=lakes(tmp_path / "lake", request.getfixturevalue("spark")))
    yield house
    house.drop()


def lakes(folder: Path, cluster: Any) -> Any:
    """What makes a warehouse on Spark, with its tables in a folder."""
    kind = import_module("assay.spark.warehouse").SparkWarehouse

    def made(file: Path, **arguments: Any) -> Any:
        return kind(file, cluster.address, str(folder), cluster=cluster, **arguments)

    return made
