"""The framework as a project gets it: a wheel in `vendor/`, pinned with its hash, beside what to read of it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from checkout import ROOT, Refused
from lock import with_block

DISTRIBUTION = "dagster-assay"
PIN = re.compile(rf'^(\s*"{DISTRIBUTION}(?:\[[^]]*\])?==)([\w.]+)"', re.M)
OWN = ("docs/decisions.md",)
"""Beside what stands in `docs/template/`, the page in `docs/` that is about the template and not the framework."""
GUIDE = re.compile(r"\[[^]]*\]\(\.\./docs/(\w+)\.md(?:#[^)]*)?\)")
"""A link to one of the guides, which the wheel holds."""
EPOCH = "1580601600"
"""The date of every file in the wheel, so that the same code is the same bytes: Hatchling's own default."""


@dataclass(frozen=True)
class Wheel:
    """A built wheel, by name and content."""

    name: str
    content: bytes

    @property
    def version(self) -> str:
        return self.name.split("-")[1]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def build(source: Path = ROOT) -> Wheel:
    """Build the framework of a checkout, without a network; raises Refused if the backend is not there or fails."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, cwd=source / "assay", env=environment, capture_output=True, text=True, check=False
        )
        if "No module named hatchling" in done.stderr:
            raise Refused(f"{sys.executable} has no hatchling to build the wheel with. Use .venv/bin/python.")
        if done.returncode:
            raise Refused(f"{source / 'assay'} cannot be built: {done.stderr.strip().splitlines()[-1]}")
        (path,) = Path(folder).glob("*.whl")
        return Wheel(path.name, path.read_bytes())


def version_of(source: Path) -> str:
    """The version of the framework as source in a checkout of the template, or in a fork that has it."""
    file = source / "assay" / "src" / "assay" / "__init__.py"
    found = re.search(r'^__version__ = "([\d.]+)"', file.read_text(encoding="utf-8"), re.M) if file.is_file() else None
    if found is None:
        raise Refused(f"{source} is no checkout of the template: it has no assay/src/assay with a version.")
    return found[1]


def guides(source: Path = ROOT) -> tuple[str, ...]:
    """The pages about the framework, which a project's people read."""
    return tuple(name for file in sorted(source.glob("docs/*.md")) if (name := f"docs/{file.name}") not in OWN)


def vendored(wheel: Wheel, source: Path = ROOT) -> dict[str, bytes]:
    """What stands in `vendor/`: the wheel, and what to read before it is installed, of the same version."""
    paths = [source / "assay" / name for name in ("README.md", "CHANGELOG.md")]
    texts = {path.name: GUIDE.sub(r"`pipeline guide \1`", path.read_text(encoding="utf-8")) for path in paths}
    return {wheel.name: wheel.content, **{name: text.encode() for name, text in texts.items()}}


def pinned(metadata: str) -> str | None:
    """The version of the framework that the text of a pyproject.toml asks for."""
    found = PIN.search(metadata)
    return found[2] if found else None


def with_pin(metadata: str, version: str) -> str:
    """The text of a pyproject.toml that asks for this version."""
    return PIN.sub(rf'\g<1>{version}"', metadata)


def with_wheel(lock: str, wheel: Wheel, project: str) -> str:
    """A lock that names this wheel, and no other, with its hash."""
    block = (
        f"{DISTRIBUTION}[kafka]=={wheel.version} \\\n"
        f"    --hash=sha256:{wheel.digest}\n"
        f"    # via {project} (pyproject.toml)\n"
    )
    return with_block(lock, DISTRIBUTION, block)
