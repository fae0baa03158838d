"""The files of this repository, for tests about the files themselves."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

SKIPPED = {".hypothesis", ".git", ".venv", "data", "build", "dist", ".dagster", "__pycache__", "node_modules"}


def files() -> list[Path]:
    """Every file that git tracks or would add; without git, every file outside of caches and output."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not SKIPPED.intersection(path.relative_to(ROOT).parts)]
    return sorted(path for path in found if path.is_file())


def text(path: Path) -> str | None:
    """A file's text; None if it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def pyproject(folder: Path = ROOT) -> dict[str, Any]:
    """The metadata and configuration of the distribution in `folder`."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
