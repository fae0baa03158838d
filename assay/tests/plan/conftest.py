"""A sample project of its own for every test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plan.sample import Sample, forget


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sample]:
    """The project, not built yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Sample(tmp_path, "plan_sample")
    forget("plan_sample")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the project after its first run, to be copied."""
    root = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        patch.setattr(sys, "dont_write_bytecode", True)
        sample = Sample(root, "plan_sample")
        assert sample.run().ok
    forget("plan_sample")
    return root / "data"


@pytest.fixture
def built(published: Path, sample: Sample) -> Sample:
    """The project, everything published."""
    shutil.copytree(published, sample.root / "data")
    return sample
