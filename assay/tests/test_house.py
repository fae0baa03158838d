"""How the code is arranged: no import goes in a circle, no file is long, and what must be light stays light."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import assay

SOURCE = Path(assay.__file__).parents[1]
ROOT = Path(__file__).resolve().parents[2]
PROJECTS = [file.parent for file in ROOT.glob("*/definitions.py")] if (ROOT / "assay" / "tests").is_dir() else []
LINES = 350


def modules(folder: Path) -> dict[str, Path]:
    """Every module of a package, by its dotted name."""
    found = {}
    for file in sorted(folder.rglob("*.py")):
        parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@functools.lru_cache(maxsize=1024)
def parsed(text: str) -> ast.Module:
    """Three tests read all of the code."""
    return ast.parse(text)


def imports(module: str, file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The known modules that a file imports: at the top, late, or for types only."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(parsed(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                outer = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{outer}.{base}".rstrip(".")
            whole = {f"{base}.{alias.name}" for alias in node.names}
            yield from whole & set(known)
            if whole - set(known) and base in known:
                yield base


def circles(reads: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of modules that reach one another (strongly connected components of more than one)."""
    reached: dict[str, set[str]] = {}
    for start in reads:
        seen: set[str] = set()
        waiting = list(reads[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += reads[name]
        reached[start] = seen
    found = {frozenset(other for other in reached[name] if name in reached[other]) for name in reads}
    return [set(circle) for circle in found if circle]


def circles_of(*folders: Path) -> list[set[str]]:
    known = {name: file for folder in folders for name, file in modules(folder).items()}
    return circles({name: set(imports(name, file, known)) - {name} for name, file in known.items()})


def test_no_import_goes_in_a_circle() -> None:
    found = [sorted(circle) for circle in circles_of(SOURCE / "assay", *PROJECTS)]
    assert not found, f"modules that import one another, at the top, late or for types: {found}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from shop.b import x", "from shop.a import y"),
        ("from shop import b", "def late():\n    from .a import y"),
        ("import shop.b", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import a"),
    ],
)
def test_a_circle_is_seen(tmp_path: Path, first: str, second: str) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in {"__init__": "", "a": first, "b": second, "c": "from shop import a"}.items():
        (folder / f"{name}.py").write_text(text)
    assert circles_of(folder) == [{"shop.a", "shop.b"}]
    (folder / "b.py").write_text("import shop.d")
    assert circles_of(folder) == []


def test_no_file_is_long() -> None:
    lines = {
        str(file.relative_to(SOURCE)): len(file.read_text(encoding="utf-8").splitlines())
        for file in (SOURCE / "assay").rglob("*.py")
    }
    long = {name for name, count in lines.items() if count > LINES}
    assert not long, f"longer than {LINES} lines, so it hides two ideas: {sorted(long)}"


LATE = {"apprise", "difflib", "httpx", "stamina", "selectolax", "confluent_kafka", "obstore", "openpyxl"}
LATE |= {"playwright", "pyarrow", "pyspark", "rich", "sqlalchemy"}
"""What few need, or nobody while code loads, and is slow to load: imported where it is used."""
DOORS = ("cli.py", "project.py", "commands/", "orchestration/", "testing/")
"""What is entered for a word of help, or to load the code, as well as for a run: what lies behind is imported when it is gone
through."""


def late_imports(file: Path) -> list[str]:
    """The modules that functions of a file import."""
    tree = parsed(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    found = [part for function in functions for part in ast.walk(function)]
    names = [alias.name for part in found if isinstance(part, ast.Import) for alias in part.names]
    return names + [part.module or "." for part in found if isinstance(part, ast.ImportFrom)]


def test_imports_stand_at_the_top() -> None:
    late = {
        f"{file.relative_to(SOURCE)}: {name}"
        for file in (SOURCE / "assay").rglob("*.py")
        if not str(file.relative_to(SOURCE / "assay")).startswith(DOORS)
        for name in late_imports(file)
        if name.partition(".")[0] not in LATE
    }
    assert not late, f"imported late, and nobody waits for it: {sorted(late)}"


def test_a_late_import_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import os\ndef f():\n    def g():\n        from . import x\n    import json, ast\n")
    assert sorted(set(late_imports(file))) == [".", "ast", "json"]


HEAVY = ("dagster", "duckdb", "ibis", "pandas", "pandera", "pyarrow")


@pytest.mark.parametrize("command", ["--help", "settings"])
def test_what_needs_no_table_imports_nothing_heavy(tmp_path: Path, command: str) -> None:
    script = f"""
import sys
from pathlib import Path
from assay.cli import command_line
from tests.shop.project import shop_project
project = shop_project(Path({str(tmp_path)!r}))
pipeline = command_line("__main__:project", distribution="dagster-assay")
try:
    pipeline([{command!r}], standalone_mode=False)
except SystemExit:
    pass
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "assay", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.slow
def test_a_project_s_definitions_enter_by_one_door_and_tables_do_not_pay_for_it() -> None:
    """`from assay import table` loads no Dagster; `assay.definitions` has all that a `definitions.py` is made of."""
    code = f"""
import sys
import assay
from assay import daily, public, Run
assert not (heavy := {{*{HEAVY!r}}} & set(sys.modules)), heavy
import assay.definitions as door
assert all(callable(getattr(door, name)) for name in door.__all__)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    for file in (project / "definitions.py" for project in PROJECTS):
        used = {name for name in imports("definitions", file, modules(SOURCE / "assay")) if name.startswith("assay")}
        assert used == {"assay.definitions"}


def test_the_modules_of_commands_import_nothing_heavy() -> None:
    """What a command is and takes is asked for by `pipeline COMMAND --help` and by the shell's completion."""
    code = f"""
import sys
from assay.cli import COMMANDS, imported
for where, _ in COMMANDS.values():
    imported(where)
assert not (heavy := {{*{HEAVY!r}, "httpx", "jinja2"}} & set(sys.modules)), heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_counted_with_what_is_null_over_no_rows() -> None:
    """DuckDB's count_if is the sum of no numbers there; `count(*) FILTER` is 0."""
    counting = [
        str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.py") if "count_if(" in file.read_text("utf-8")
    ]
    assert counting == []
