"""Make this template a team's own: `make fork NAME=my_team_pipeline [EXAMPLE=no] [FRAMEWORK=yes] [TO=folder]`.

A fork holds what is its own: stages, cases, the files that run and check them, and the framework as a wheel in
`vendor/`. EXAMPLE=no leaves one small table that runs instead of the example; FRAMEWORK=yes brings `assay/` along as
source, for a team that wants to own it. With TO the fork is made there and this checkout stays as it is; without, it
happens in place.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import keyword
import re
import secrets
import shutil
import sys
import tomllib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from checkout import ROOT, Refused, changed_files, dashed, files_of, package_of, rename_file, tidy, told
from lock import pins_of, without
from marks import kept_of
from wheel import build, guides, vendored, with_wheel

STAGES = ("extract", "transform", "load", "checks")
SHARED = (
    ".editorconfig",
    ".gitattributes",
    ".github/workflows/check.yml",
    ".gitignore",
    ".pre-commit-config.yaml",
    "LICENSE",
    "Makefile",
    "dagster.yaml",
    "dg.toml",
    "pyproject.toml",
    "requirements.lock",
    "scripts/install.sh",
    "workspace.yaml",
    *(f"{{package}}/{name}.py" for name in ("__init__", "__main__", "cli", "definitions", "project", "settings")),
    *(f"{{package}}/{stage}/__init__.py" for stage in STAGES),
    *(f"{{package}}_tests/{name}.py" for name in ("__init__", "test_golden", "test_wiring")),
)
EXAMPLE = (
    "{package}",
    "golden",
    *(f"{{package}}_tests/{name}" for name in ("bench.py", "example", "repository.py", *STAGES)),
)
MARKED = (".gitattributes", "Makefile", "pyproject.toml")
"""Files of which a fork keeps some lines, as of the guides: marks.py says which."""
EVERY, SMALL = Path("scripts/fork/every"), Path("scripts/fork/small")
"""What a fork has instead of the template's: each of them, and one without the example."""
DROP_SAMPLE = """\
drop-sample: $(READY) ## Remove the sample, once your own first table is there
\t@"$(PYTHON)" scripts/drop_sample.py

"""
FOLDERS = {"benchmarks", "build", "data", "dist", "docs", "golden", "sample", "scripts", "tests", "vendor"}


def check_name(name: str, root: Path) -> None:
    """Raises Refused unless `name` can be this project's package."""
    taken = {"assay", "dagster-assay", *pins_of((root / "requirements.lock").read_text(encoding="utf-8"))}
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name) or keyword.iskeyword(name) or "__" in name:
        raise Refused(f"'{name}' is no package name. Use lower case letters, digits and _, as in my_team_pipeline.")
    if name == package_of(root):
        raise Refused(f"the package is called {name} already.")
    if (root / name).exists() or name in FOLDERS or name.endswith("_tests"):
        raise Refused(f"'{name}' is the name of another folder here. Choose another.")
    if name in sys.stdlib_module_names or dashed(name) in {dashed(other) for other in taken} or find_spec(name):
        raise Refused(f"'{name}' is the name of a package that this project uses. Choose another.")


def check_folder(target: Path, source: Path) -> None:
    """Raises Refused if `target` is in use or inside of `source`."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target} exists and is not empty. Choose a new folder.")
    if target.is_relative_to(source):
        raise Refused(f"{target} is inside this checkout. Choose a folder beside it, as in TO=../{target.name}.")


def write_fork(root: Path, name: str, kept: set[str], source: Path = ROOT) -> bool:
    """Write the whole fork into the empty folder `root`; False where Ruff, which tidies it, is not installed."""
    wheel = None if "framework" in kept else build(source)
    package = package_of(source)
    chosen = [
        *SHARED,
        *(EXAMPLE if "example" in kept else ()),
        *(("assay", *guides(source)) if "framework" in kept else ()),
    ]
    copy(source, root, [path.format(package=package) for path in chosen])
    for overlay in (EVERY, *(() if "example" in kept else (SMALL,))):
        shutil.copytree(source / overlay, root, dirs_exist_ok=True)
    mask_goldens(root / "golden")
    edit_files(root, kept, source)
    lock = root / "requirements.lock"
    if wheel is None:
        (root / f"{package}_tests" / "test_vendor.py").unlink()
    else:
        lock.write_text(with_wheel(lock.read_text(encoding="utf-8"), wheel, dashed(package)), encoding="utf-8")
        (root / "vendor").mkdir()
        for file, content in vendored(wheel, source).items():
            (root / "vendor" / file).write_bytes(content)
    rename_project(root, package, name)
    return tidy(root)


def copy(source: Path, target: Path, chosen: Iterable[str]) -> None:
    """Copy those files that are named in `chosen`, or stand in a folder that is."""
    names = {Path(path) for path in chosen}
    for file in files_of(source):
        if names & {file, *file.parents}:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / file, target / file)


def mask_goldens(folder: Path) -> None:
    """Give the fork a key of its own, and put every masked value of its goldens under it.

    A sample's goldens have it as `masked:VALUE`; the example's have a digest under the template's key, which is known
    to everybody, of a value that stands in some case's inputs. As `assay.golden.mask` does, which cannot be imported
    here: forks are made before anything is installed. No `content_hash` stays beside them, for it would be another one
    under every key.
    """
    file, key = folder / ".mask_key", secrets.token_hex(32)
    old = file.read_text(encoding="ascii").strip() if file.exists() else None
    file.write_text(f"{key}\n", encoding="ascii")

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def under(key: str, value: str) -> str:
        return digest(digest(key) + digest(digest(key) + value))[:12]

    def again(found: re.Match[str]) -> str:
        value = known.get(found[1]) if known else found[1]
        if value is None:
            raise Refused(
                f"{golden}: {found[0]} is of no value in the cases' inputs, so no key but the template's fits."
            )
        return f"masked:{under(key, value)}"

    inputs = [path.read_text(encoding="utf-8") for path in folder.glob("*/inputs/**/*.csv")] if old else []
    values = {value for text in inputs for line in csv.reader(text.splitlines()) for value in line}
    known = {under(old, value): value for value in values} if old else {}
    for golden in folder.rglob("*.ndjson"):
        text = golden.read_text(encoding="utf-8")
        masked = re.sub(r"masked:([^\"]+)", again, text)
        schema = golden.with_suffix(".schema.yml")
        if masked != text:
            golden.write_text(masked, encoding="utf-8")
            said = schema.read_text(encoding="utf-8")
            schema.write_text(re.sub(r"(?m)^content_hash:.*\n", "", said), encoding="utf-8")


def edit_files(root: Path, kept: set[str], source: Path) -> None:
    """Leave of shared files what a fork needs: targets, settings of tools, requirements, steps of the workflow."""
    for file in [root / name for name in (*MARKED, *guides(source)) if (root / name).exists()]:
        file.write_text(kept_of(file.read_text(encoding="utf-8"), kept), encoding="utf-8")
    readme = root / "README.md"
    parts = {*kept, *(() if "example" in kept else ("sample",)), *(() if "framework" in kept else ("vendor",))}
    readme.write_text(filled(readme.read_text(encoding="utf-8"), parts), encoding="utf-8")
    edit_makefile(root / "Makefile", kept)
    lock = root / "requirements.lock"
    dropped = requirements(source) - requirements(root)
    lock.write_text(without(lock.read_text(encoding="utf-8"), dropped), encoding="utf-8")
    editor = root / ".editorconfig"
    editor.write_text(re.sub(r"\{golden,.*?\}", "golden", editor.read_text(encoding="utf-8")), encoding="utf-8")
    workflow = root / ".github" / "workflows" / "check.yml"
    steps, _, _ = workflow.read_text(encoding="utf-8").partition("bash .ci/run")
    workflow.write_text(f"{steps}make check\n", encoding="utf-8")
    metadata = root / "pyproject.toml"
    line = f'description = "{package_of(root)}: tables, contracts and golden cases"'
    text = metadata.read_text(encoding="utf-8")
    metadata.write_text(re.sub(r"^description = .*$", line, text, count=1, flags=re.M), encoding="utf-8")


def filled(readme: str, kept: set[str]) -> str:
    """A fork's README, of its marked parts those of `kept`."""
    part = re.compile(r"^<!-- (\w+) -->\n(.*?)^<!-- end -->\n", re.M | re.S)
    return part.sub(lambda found: found[2] if found[1] in kept else "", readme)


def edit_makefile(file: Path, kept: set[str]) -> None:
    """Take what is gone off the list of targets, and what is said of it; add the one that drops the sample."""
    text = file.read_text(encoding="utf-8")
    workers = (
        f"# As many as there are cores with `auto`, which pays with many tests.\nWORKERS ?= {'auto' if kept else 0}\n"
    )
    text = text.replace("TESTS ?=\n", f"{workers}TESTS ?=\n", 1)
    text = text.replace("$(or $(TESTS),$(MARKED))", "$(TESTS)").replace(" but those marked `browser` or `slow`", "", 1)
    if "example" not in kept:
        text = text.replace(" on the real example data", "", 1)
        text = re.sub(r"^(?=upgrade:)", lambda _: DROP_SAMPLE, text, flags=re.M)
    targets = re.findall(r"^([a-z-]+):.*## ", text, re.M)
    file.write_text(re.sub(r"^\.PHONY:.*", f".PHONY: {' '.join(targets)}", text, flags=re.M), encoding="utf-8")


def requirements(root: Path) -> set[str]:
    """The names of what a project asks for, to run and to be worked on."""
    metadata = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    lines = [*metadata["project"]["dependencies"], *metadata["dependency-groups"]["dev"]]
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}


def rename_project(root: Path, old: str, name: str) -> None:
    """Write the new name into every text file and folder; the licence keeps the template's notice."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            rename_file(path, old, name)
    (root / old).rename(root / name)
    (root / f"{old}_tests").rename(root / f"{name}_tests")


def fork(name: str, *, kept: set[str], to: Path | None, source: Path = ROOT) -> str:
    """Make the fork; returns what to tell the user.

    Raises:
        Refused: the name cannot be used, the folder is in use, or work that is not committed would be mixed in.
    """
    check_name(name, source)
    if to is not None:
        check_folder(to, source)
    elif changes := changed_files(source, "."):
        raise Refused(
            f"{len(changes)} files have changes that are not committed. Commit or stash them first, so that "
            "`git checkout .` is the way back; or make the fork elsewhere with TO=../" + name + "."
        )
    with TemporaryDirectory() as folder:
        made = Path(folder) / name
        made.mkdir()
        tidied = write_fork(made, name, kept, source)
        if to is None:
            for file in files_of(source):
                (source / file).unlink()
        root = to or source
        shutil.copytree(made, root, dirs_exist_ok=True)
    remove_empty(root)
    tell = [f"{name} is made in {root}: {len(files_of(root))} files"]
    if not tidied:
        tell.append("  Ruff is not installed here: run `make format` once")
    tell.append("next: " + (f"cd {to} && git init && git add . && " if to else "") + "make check && make run")
    return "\n".join(tell)


def remove_empty(root: Path) -> None:
    """Remove folders in which nothing is left but caches."""
    for path in sorted(root.rglob("__pycache__"), reverse=True):
        if ".venv" not in path.parts and not any(each.suffix == ".py" for each in path.parent.iterdir()):
            shutil.rmtree(path)
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not {".git", ".venv"} & set(path.parts) and not any(path.iterdir()):
            path.rmdir()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fork", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--example", choices=("yes", "no"), default="yes")
    parser.add_argument("--framework", choices=("yes", "no"), default="no")
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    kept = {part for part in ("example", "framework") if getattr(arguments, part) == "yes"}
    to = arguments.to.resolve() if arguments.to else None
    return told("fork", lambda: fork(arguments.name, kept=kept, to=to))


if __name__ == "__main__":
    sys.exit(main())
