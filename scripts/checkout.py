"""What the scripts know of a checkout: its package, its name in texts, its changes. Standard library only."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The template."""
SKIPPED = {".git", ".venv", ".dagster", "data", "build", "dist", "__pycache__"}


class Refused(Exception):
    """Nothing was changed; the text says why and what to do."""


def package_of(root: Path) -> str:
    """The import name of the project at `root`."""
    try:
        name = tomllib.loads((root / "dg.toml").read_text(encoding="utf-8"))["project"]["root_module"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        name = ""
    if not isinstance(name, str) or not (root / name / "definitions.py").is_file():
        raise Refused(f"{root} is no project made from the template: its dg.toml names no package with definitions.py.")
    return name


def files_of(root: Path) -> list[Path]:
    """What git tracks or would add, from `root`; without git, what is no cache and no output."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        names = sorted(Path(name) for name in listed.stdout.split("\0") if name)
    else:
        names = sorted(path.relative_to(root) for path in root.rglob("*"))
    return [name for name in names if (root / name).is_file() and not SKIPPED.intersection(name.parts)]


def changed_files(root: Path, *paths: str) -> list[str]:
    """Files under `paths` that git would lose; none where there is no git."""
    done = subprocess.run(
        ["git", "status", "--porcelain", "--", *paths], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


def dashed(name: str) -> str:
    """The distribution's name of a package."""
    return name.replace("_", "-")


def rename(text: str, old: str, new: str) -> str:
    """`text` with the package's name, and the distribution's name made from it, replaced."""
    text = re.sub(rf"(?<![A-Za-z0-9]){old}(?=_tests\b|(?![A-Za-z0-9_]))", new, text)
    return re.sub(rf"(?<![A-Za-z0-9-]){dashed(old)}(?![A-Za-z0-9-])", dashed(new), text)


def rename_file(path: Path, old: str, new: str) -> None:
    """Replace the name in a text file; leave a binary one as it is, and the template's notice in a licence."""
    if path.name == "LICENSE":
        return
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return
    changed = rename(text, old, new)
    if changed != text:
        path.write_bytes(changed.encode("utf-8"))


def tidy(root: Path) -> bool:
    """Sort imports and break lines as the new name's length asks for; False where Ruff is not installed."""
    ruff = [sys.executable, "-m", "ruff"]
    if subprocess.run([*ruff, "--version"], capture_output=True, check=False).returncode:
        return False
    subprocess.run([*ruff, "check", "--quiet", "--no-cache", "--select", "I", "--fix", "."], cwd=root, check=True)
    subprocess.run([*ruff, "format", "--quiet", "--no-cache", "."], cwd=root, check=True)
    return True


def told(program: str, work: Callable[[], str]) -> int:
    """Print what the work tells and return 0; where it is refused, say why in one line on standard error and return 2."""
    try:
        print(work())
    except Refused as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    return 0
