"""The rooms themselves: no two files import each other, over however many others, not even for a type."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import assay

ROOT = Path(assay.__file__).parent
HELD = ("golden", "lab", "plan", "report")


def _modules() -> dict[str, Path]:
    files = {path.relative_to(ROOT.parent).with_suffix(""): path for path in ROOT.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in files.items()}


def _imported(path: Path, known: dict[str, Path]) -> set[str]:
    """What a file imports, within functions and for types as well."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {node.module} if any(f"{node.module}.{alias.name}" not in known for alias in node.names) else set()
    return names & known.keys()


@pytest.mark.parametrize("room", HELD)
def test_no_files_of_a_room_import_each_other(room: str) -> None:
    known = _modules()
    inside = {name: path for name, path in known.items() if name.startswith(f"assay.{room}.")}
    arrows = {name: (_imported(path, known) & inside.keys()) - {name} for name, path in inside.items()}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("room", HELD)
def test_no_file_of_a_room_is_longer_than_a_person_reads_at_once(room: str) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / room).rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


def test_help_and_what_a_command_takes_need_no_engine() -> None:
    code = """
import sys
from click.testing import CliRunner
from assay.cli import COMMANDS, command_line, imported
pipeline = command_line("nobody.imports:this", distribution="dagster-assay")
assert CliRunner().invoke(pipeline, ["--help"]).exit_code == 0
for where, _ in COMMANDS.values():
    imported(where)
heavy = {"dagster", "duckdb", "httpx", "ibis", "jinja2", "pandas", "pandera", "pyarrow"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
