"""The files of a case that are named after tables: upstream tables given directly, and rows in a function's place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import GoldenError, did_you_mean
from assay.golden.case import Case
from assay.golden.yaml_file import shown

if TYPE_CHECKING:
    from assay.tables.graph import Graph

TABLES = "tables"
RETURNED = "returned"


def given_files(case: Case, folder: Path, graph: Graph) -> dict[str, Path]:
    """Upstream tables: name -> file."""
    found: dict[str, Path] = {}
    for name, file in _table_files(folder, graph):
        if name in found or name in case.empty:
            raise GoldenError(f"'{name}' is given twice", where=shown(file), fix="Delete one of them.")
        if name in case.subjects:
            raise GoldenError(f"'{name}' is under test and given as input", where=shown(file))
        found[name] = file
    return found


def returned_files(case: Case, folder: Path, graph: Graph) -> dict[str, Path]:
    """Tables under test whose function is not called: name -> file."""
    found: dict[str, Path] = {}
    for name, file in _table_files(folder, graph):
        if name in found:
            raise GoldenError(f"'{name}' is given twice", where=shown(file), fix="Delete one of them.")
        if name not in case.subjects:
            raise GoldenError(f"'{name}' is not under test", where=shown(file), fix=f"Move it to inputs/{TABLES}/.")
        found[name] = file
    return found


def _table_files(folder: Path, graph: Graph) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.iterdir()):
        name = file.name.partition(".")[0]
        if file.suffix not in (".csv", ".ndjson") or not file.is_file():
            raise GoldenError("is neither .csv nor .ndjson", where=shown(file))
        if name not in graph.tables:
            hint = did_you_mean(name, graph.tables, "`pipeline tables` lists them.")
            raise GoldenError(f"no table named '{name}'", where=shown(file), fix=hint)
        yield name, file
