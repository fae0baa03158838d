"""A sample project of its own for every test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_project_tests.framework.plan.sample import Sample, forget


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sample]:
    """The project, not built yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Sample(tmp_path, "plan_sample")
    forget("plan_sample")


@pytest.fixture
def built(sample: Sample) -> Sample:
    """The project, everything published."""
    assert sample.run().ok
    return sample
