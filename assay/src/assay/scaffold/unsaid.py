"""What a project's files must say beside their code: `problems` lists what is missing, one line each.

Nothing here runs a table. A project's `test_wiring.py` asks for an empty list; a new table's list
says what its author has still to write.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assay.contract.classification import CLASSIFICATIONS
from assay.contract.contract import Contract
from assay.golden.case import is_unsaid
from assay.tables.nodes import Asset, InvariantDef, MetricDef, Node, TableDef

if TYPE_CHECKING:
    from assay.project import Project
    from assay.tables.graph import Graph

EDIT = "EDIT:"
"""Marks a line that scaffolding wrote and a person must decide on."""


def problems(project: Project) -> list[str]:
    """Everything missing in the project's stages, as `file: what`, in the order of the stages."""
    folders = [project.root / project.package / stage for stage in project.stages]
    found = list(unregistered(project.graph, folders))
    for node in [*project.graph, *project.graph.invariants.values(), *project.graph.metrics.values()]:
        found += said_about(node)
    for folder in folders:
        found += marked(folder)
    found += without_golden(project.graph, project.golden)
    found += undescribed(project.golden)
    return found


def unregistered(graph: Graph, folders: list[Path]) -> Iterator[str]:
    """Modules of the stage folders that define no node and that nothing else in the package imports or names."""
    files = [file for folder in folders for file in sorted(folder.glob("*.py")) if file.name != "__init__.py"]
    beside = [file for folder in folders[:1] for file in sorted(folder.parent.glob("*.py"))]
    nested = [file for folder in folders for file in sorted(folder.glob("*/**/*.py"))]
    defined = {node.file.resolve() for node in [*graph, *graph.invariants.values(), *graph.metrics.values()]}
    imported = {name for file in [*files, *beside, *nested] for name in _named_modules(file)}
    for file in files:
        module = f"{file.parent.name}.{file.stem}"
        if file.resolve() not in defined and not any(name.endswith(module) for name in imported):
            yield f"{_place(file)}: defines no table, export, invariant or metric, and nothing imports it"


def said_about(node: Node) -> Iterator[str]:
    """What the file of `node` leaves unsaid: its grain, its description, its columns' meaning and class."""
    place = _place(node.file)
    if not re.match(r"One \w+", node.grain) and not isinstance(node, InvariantDef | MetricDef):
        yield f"{place}: the first line does not state the grain, as in 'One row per order.'"
    if not node.description:
        yield f"{place}: {node.name}() has no docstring; it is the table's description in the UI"
    if isinstance(node, Asset) and node.file.stem != node.name:
        yield f"{place}: holds '{node.name}'; a file is named after its table"
    if isinstance(node, TableDef):
        yield from _columns(node, place)


def marked(folder: Path) -> Iterator[str]:
    """Lines that scaffolding marked and nobody has edited."""
    for file in sorted(folder.glob("*.py")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if EDIT in line:
                yield f"{_place(file)}:{number}: still to be edited: {line.partition(EDIT)[2].strip()}"


def without_golden(graph: Graph, golden: Path) -> Iterator[str]:
    """Tables whose rows no golden case expects."""
    expected = {file.stem for file in golden.glob("*/expected/*.ndjson")}
    for table in graph.tables.values():
        if table.name not in expected and "golden_exempt" not in table.tags:
            yield (
                f"{_place(table.file)}: no golden case expects '{table.name}'; "
                f"`pipeline golden new` starts one, the tag golden_exempt says why there is none"
            )


def undescribed(golden: Path) -> Iterator[str]:
    """Cases whose description is still the one that a started case gets."""
    for file in sorted(golden.glob("*/case.yml")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if line.startswith("description:") and is_unsaid(line.removeprefix("description:")):
                place = f"golden/{file.parent.name}/case.yml:{number}"
                yield f"{place}: still to be edited: say in the description what this case teaches"


def _columns(table: TableDef, place: str) -> Iterator[str]:
    asked = set(re.findall(rf"{EDIT}.*\n +(\w+):", table.file.read_text(encoding="utf-8")))  # by a mark already
    for column in Contract.of(table.model).columns:
        if not column.description and column.name not in asked:
            yield f"{place}: {table.model.__name__}.{column.name} has no description"
        if column.classification not in CLASSIFICATIONS:
            yield (
                f"{place}: {table.model.__name__}.{column.name} has no classification; "
                f"use metadata={', '.join(CLASSIFICATIONS[:-1])} or {CLASSIFICATIONS[-1]}"
            )


def _named_modules(file: Path) -> Iterator[str]:
    """Modules that a file imports, or names in a string such as the command line's "package.load.why:why"."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.ImportFrom):
            package = f"{file.parent.name}." * (node.level == 1) + (node.module or "")
            yield package
            yield from (f"{package.rstrip('.')}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            yield node.value.partition(":")[0]


def _place(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
