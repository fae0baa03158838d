"""What every test here may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import postgres as postgresql
from tests import standalone
from tests.golden.tree import Tree
from tests.shop.project import shop_project

if TYPE_CHECKING:
    from assay.spark.engine import SparkEngine
    from assay.spark.session import Cluster

# Processes that tests start import the tests' modules as the tests do.
FOUND = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, FOUND))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A project of its own."""
    tree = Tree(shop_project(tmp_path))
    tree.golden.mkdir()
    return tree


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of Debian's PostgreSQL on loopback."""
    with postgresql.server() as url:
        yield url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests that ask for a cluster are marked, so that they can be left out."""
    for item in items:
        if {"cluster", "engine", "spark"} & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("spark"):
            item.add_marker(pytest.mark.spark)
            # pyspark leaves the socket through which rows came to the garbage collector.
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[standalone.Standalone]:
    """A master and two workers."""
    alone = request.config.getoption("markexpr") == "spark"
    with standalone.started(tmp_path_factory.mktemp, alone=alone) as found:
        yield found


@pytest.fixture(scope="session")
def spark(cluster: standalone.Standalone) -> Iterator[Cluster]:
    """One session with the cluster, for all tests: a process has one at a time."""
    from assay.spark.session import opened

    with opened(cluster.address) as session:
        yield session


@pytest.fixture(scope="session")
def engine(spark: Cluster) -> SparkEngine:
    from assay.spark.engine import SparkEngine

    return SparkEngine(spark)
