"""Without Spark its tests are skipped with a reason, and fail where CI asks for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ci", "told"), [("", "SKIPPED"), ("true", "in CI `make spark` skips nothing: there is no Java")]
)
def test_there_is_no_java(tmp_path: Path, ci: str, told: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "JAVA_HOME")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "spark"]
    done = subprocess.run(
        [*command, str(Path(__file__).parent / "test_golden.py"), "-k", "golden_does_not_have"],
        env={**environment, "CI": ci, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told in done.stdout
    assert "there is no Java" in done.stdout
