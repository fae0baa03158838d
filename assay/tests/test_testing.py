"""What a project's tests are helped with."""

from __future__ import annotations

import os
from pathlib import Path

from tests import warm

BROKEN = """
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef
from assay.errors import WiringError
import pathlib, functools

class Broken(Project):
    @functools.cached_property
    def graph(self):
        raise WiringError("its partition column 'day' is no column of Sales", where="load/sales.py")

project = Broken("p", ("load",), pathlib.Path(__file__).parent, BaseSettings, lambda _: Sources({}))
"""
TESTS = """
import pytest
from assay.testing.bench import Bench
from assay.testing.goldens import golden_difference
from assay.testing.wiring import fits
from broken import project

@pytest.mark.parametrize("number", range(3))
def test_wiring(number):
    fits(project)

def test_golden():
    assert not golden_difference(project, "case", "table")

def test_table(tmp_path):
    Bench(project, tmp_path)
"""


def test_what_is_wrong_with_the_tables_is_told_by_one_test_and_the_others_say_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "test_it.py").write_text(TESTS)
    command = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_it.py"]
    done = warm.run(command, cwd=tmp_path, env=os.environ)
    assert "1 failed, 4 skipped" in done.stdout
    assert "another test says it: load/sales.py: its partition column 'day' is no column of Sales" in done.stdout
    assert "WiringError: load/sales.py: its partition column" in done.stdout.replace("assay.errors.", "")
