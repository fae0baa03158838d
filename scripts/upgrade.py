"""Take the framework of a newer checkout of the template: `make upgrade FROM=../template`.

The project's Makefile runs this file of the *newer* checkout, so that a project need not carry it. It builds the wheel,
puts it with its documents into `vendor/`, mends the pin in pyproject.toml and the lock, and prints what the versions in
between changed and ask. A project that has `assay/` as source gets the newer source instead; one that 0.1.0 made, with
the framework as a folder of its package, is taken over (takeover.py): `python ../template/scripts/upgrade.py .`
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tomllib
from pathlib import Path

from checkout import ROOT, Refused, changed_files, dashed, files_of, package_of, rename, rename_file, tidy, told
from lock import pins_of
from marks import kept_of
from takeover import take_over
from wheel import build, guides, pinned, vendored, version_of, with_pin, with_wheel


def upgrade(target: Path, source: Path = ROOT) -> str:
    """Bring the framework of `source` into the project at `target`; returns what to tell the user.

    Raises:
        Refused: one of them is not what it should be, `source` is older, or work that is not committed would be lost.
    """
    if source == target:
        raise Refused("FROM is this project itself. Name a checkout of the template: make upgrade FROM=../template.")
    package, after = package_of(target), version_of(source)
    metadata = (target / "pyproject.toml").read_text(encoding="utf-8")
    if (target / package / "framework" / "__init__.py").is_file():
        refuse_changes(target, ".")
        told_before, before = take_over(target, package, source), "0.1.0"
    else:
        before = pinned(metadata) or ""
        if not before:
            raise Refused(
                f"{target / 'pyproject.toml'} asks for no dagster-assay==VERSION, so there is nothing to mend."
            )
        if parts(before) > parts(after):
            raise Refused(f"{source} has dagster-assay {after}, older than the {before} of this project.")
        replace = replace_source if (target / "assay").is_dir() else replace_wheel
        told_before = replace(target, package, source, metadata)
    tell = [f"dagster-assay {before} -> {after}", *told_before, *requirements_told(source, target)]
    changes = between((source / "assay" / "CHANGELOG.md").read_text(encoding="utf-8"), before, after)
    return "\n".join([*tell, *([f"\n{changes}\n"] if changes else []), "next: make check"])


def refuse_changes(target: Path, *paths: str) -> None:
    """Raises Refused while git could not show what the upgrade changes."""
    if changes := changed_files(target, *paths):
        raise Refused(
            f"{len(changes)} files that it replaces have changes that are not committed ({changes[0][3:]}). "
            "Commit or stash them first, so that git can show what the upgrade changes."
        )


def replace_wheel(target: Path, package: str, source: Path, metadata: str) -> list[str]:
    """Put the newer wheel in the place of the older one, and into the pin and the lock."""
    refuse_changes(target, "vendor", "pyproject.toml", "requirements.lock")
    wheel = build(source)
    vendor, lock = target / "vendor", target / "requirements.lock"
    files = {vendor / name: content for name, content in vendored(wheel, source).items()}
    for file, content in files.items():
        if file.suffix == ".md":
            files[file] = rename(content.decode(), package_of(source), package).encode()
    files[target / "pyproject.toml"] = with_pin(metadata, wheel.version).encode()
    files[lock] = with_wheel(lock.read_text(encoding="utf-8"), wheel, project_name(metadata)).encode()
    write(files)
    for old in [*vendor.glob("dagster_assay-*.whl"), *vendor.glob("*.md")]:
        if old not in files:
            old.unlink()
    return [f"  vendor/{wheel.name}, pyproject.toml, requirements.lock"]


def replace_source(target: Path, package: str, source: Path, metadata: str) -> list[str]:
    """Put the newer `assay/` in the place of the older one, which is whole until then."""
    refuse_changes(target, "assay", *guides(source), "pyproject.toml")
    fresh, kept = target / ".assay.new", {"example"} if (target / package / "example").is_dir() else set()
    shutil.rmtree(fresh, ignore_errors=True)
    for file in files_of(source):
        if file.parts[0] == "assay":
            (fresh / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / file, fresh / file)
            rename_file(fresh / file, package_of(source), package)
    shutil.rmtree(target / "assay")
    (fresh / "assay").rename(target / "assay")
    fresh.rmdir()
    tidy(target / "assay")
    texts = {name: kept_of((source / name).read_text(encoding="utf-8"), kept) for name in guides(source)}
    write(
        {target / name: rename(text, package_of(source), package).encode() for name, text in texts.items()}
        | {target / "pyproject.toml": with_pin(metadata, version_of(source)).encode()}
    )
    return ["  assay/, docs/, pyproject.toml; look at `git diff` for what of yours it undoes"]


def write(files: dict[Path, bytes]) -> None:
    """Write all beside their places first, then move them there."""
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name(f".{file.name}.new").write_bytes(content)
    for file in files:
        file.with_name(f".{file.name}.new").replace(file)


def project_name(metadata: str) -> str:
    name: str = tomllib.loads(metadata)["project"]["name"]
    return name


def parts(version: str) -> tuple[int, ...]:
    """A version as numbers, which compare as versions do."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def between(changelog: str, before: str, after: str) -> str:
    """The entries of the versions after `before`, up to `after`."""
    entries = re.split(r"^(?=## \[)", changelog, flags=re.M)[1:]
    wanted = [each for each in entries if parts(before) < parts(each[4 : each.index("]")]) <= parts(after)]
    return "".join(wanted).strip()


def requirements_told(source: Path, target: Path) -> list[str]:
    """What the framework needs and this project's lock lacks, and what the template asks for in another version."""
    from packaging.requirements import Requirement  # Hatchling, which builds the wheel, brings it

    needs = tomllib.loads((source / "assay" / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    pins = pins_of((target / "requirements.lock").read_text(encoding="utf-8"))
    lacking = [
        line
        for line in needs
        if (need := Requirement(line)).name.lower() not in pins or not need.specifier.contains(pins[need.name.lower()])
    ]
    tell = [f"  requirements.lock has not what the framework needs, {line}: run `make lock`" for line in lacking]
    ours, theirs = ({dashed(_name(line)): line for line in _asked(root)} for root in (target, source))
    differing = [line for name, line in theirs.items() if name in ours and ours[name] != line]
    return [*tell, *(f"  pyproject.toml: the template asks for {line}" for line in differing)]


def _asked(root: Path) -> list[str]:
    metadata = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return [*metadata["project"]["dependencies"], *metadata.get("dependency-groups", {}).get("dev", [])]


def _name(line: str) -> str:
    return re.split(r"[^\w.-]", line, maxsplit=1)[0].lower()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make upgrade", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the folder of the project that takes it")
    arguments = parser.parse_args()
    return told("upgrade", lambda: upgrade(arguments.project.resolve()))


if __name__ == "__main__":
    sys.exit(main())
