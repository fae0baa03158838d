"""The framework that is installed is the one in `vendor/`, which the lock names with its hash."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_lock_names_the_wheel_that_is_installed() -> None:
    (wheel,) = (ROOT / "vendor").glob("*.whl")
    assert wheel.name.split("-")[1] == version("dagster-assay")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" in lock
