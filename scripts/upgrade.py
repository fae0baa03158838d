"""Take the framework of a newer checkout of the template: `make upgrade FROM=../template`.

Replaces `framework/` and its tests by those of the other checkout, with this project's package name written
into them. Nothing else is touched; what else a version asks for stands in UPGRADING.md. Standard library only.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Refused(Exception):
    """Nothing was changed; the text says why and what to do."""


def package_of(root: Path) -> str:
    """The import name of the project whose checkout is at `root`."""
    found = [path.parent.parent.name for path in root.glob("*/framework/__init__.py")]
    found = [name for name in found if not name.endswith("_tests")]
    if len(found) != 1:
        raise Refused(f"{root} is no checkout of the template: it has no package with a framework/ folder.")
    return found[0]


def rename(text: str, old: str, new: str) -> str:
    """`text` with the package's name, and the distribution's name made from it, replaced."""
    text = re.sub(rf"(?<![A-Za-z0-9]){old}(?=_tests\b|(?![A-Za-z0-9_]))", new, text)
    return re.sub(rf"(?<![A-Za-z0-9-]){dashed(old)}(?![A-Za-z0-9-])", dashed(new), text)


def dashed(name: str) -> str:
    """The distribution's name of a package."""
    return name.replace("_", "-")


def rename_file(path: Path, old: str, new: str) -> None:
    """Replace the name in a text file; leave a binary one as it is."""
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


def version_of(root: Path) -> str:
    """The version of the framework in a checkout."""
    text = (root / package_of(root) / "framework" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([\d.]+)"', text, re.M)
    if found is None:
        raise Refused(f"{root}: the framework does not say its version.")
    return found[1]


def changed_files(root: Path, *paths: str) -> list[str]:
    """Files under `paths` that git would lose; none where there is no git."""
    done = subprocess.run(
        ["git", "status", "--porcelain", "--", *paths], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


def upgrade(source: Path, target: Path = ROOT) -> str:
    """Replace the framework of `target` by that of `source`; returns what to tell the user.

    Raises:
        Refused: one of them is no checkout, or the framework here has changes that are not committed.
    """
    if source.resolve() == target.resolve():
        raise Refused("FROM is this project itself. Name a checkout of the template: make upgrade FROM=../template.")
    old, new = package_of(source), package_of(target)
    before, after = version_of(target), version_of(source)
    folders = [("framework", old, new), ("framework", f"{old}_tests", f"{new}_tests")]
    if changes := changed_files(target, *(f"{package}/{folder}" for folder, _, package in folders)):
        raise Refused(
            f"{len(changes)} files of the framework here have changes that are not committed. "
            "Commit or stash them first, so that git can show what the upgrade changes."
        )
    for folder, theirs, ours in folders:
        replace(target / ours / folder, source / theirs / folder, old, new)
    notes = source / "UPGRADING.md"
    if notes.exists():
        shutil.copyfile(notes, target / "UPGRADING.md")
    tell = [f"framework {before} -> {after} in {new}/framework and {new}_tests/framework"]
    tell += [f"  pyproject.toml: the template asks for {line}" for line in other_requirements(source, target)]
    tidied = [tidy(target / ours / folder) for folder, _, ours in folders]
    if not all(tidied):
        tell.append("  Ruff is not installed here: run `make format` once")
    tell.append("next: read UPGRADING.md from your old version on, then make check")
    return "\n".join(tell)


def replace(folder: Path, by: Path, old: str, new: str) -> None:
    """Replace `folder` by a renamed copy of `by`, which is whole before the old one goes."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(by, fresh, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for path in fresh.rglob("*"):
        if path.is_file():
            rename_file(path, old, new)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def other_requirements(source: Path, target: Path) -> list[str]:
    """Requirements of the template on packages both use, where this project asks for another version."""
    ours, theirs = (_requirements(root) for root in (target, source))
    return [line for name, line in theirs.items() if name in ours and ours[name] != line]


def _requirements(root: Path) -> dict[str, str]:
    metadata = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    lines = [*metadata["project"]["dependencies"], *metadata.get("dependency-groups", {}).get("dev", [])]
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower(): line for line in lines}


def told(program: str, work: Callable[[], str]) -> int:
    """Print what the work tells and return 0; where it is refused, say why in one line on standard error and return 2."""
    try:
        print(work())
    except Refused as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make upgrade", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path, metavar="FROM", help="a checkout of the template")
    arguments = parser.parse_args()
    return told("upgrade", lambda: upgrade(arguments.source.resolve()))


if __name__ == "__main__":
    sys.exit(main())
