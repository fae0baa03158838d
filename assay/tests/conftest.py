"""What every test here may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as postgresql
from tests.golden.tree import Tree
from tests.shop.project import shop_project

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
