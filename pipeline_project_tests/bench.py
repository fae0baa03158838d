"""A bench for the tables of this project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.testing.bench import Bench
from pipeline_project.project import project


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(project, tmp_path)
    yield found
    found.sql.close()
