"""Starting a case: the folder with everything a person then fills in."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from assay.contract.contract import Contract
from assay.errors import GoldenError, on_disk
from assay.golden.case import NAMED, UNSAID
from assay.golden.inputs import RETURNED, TABLES
from assay.golden.rows import NULL
from assay.golden.yaml_file import shown
from assay.project import Project
from assay.sources.delimited import Csv
from assay.sources.events import EventLog
from assay.sources.fetched import Rows
from assay.tables.nodes import TableDef

_CASE = """\
description: {description}
# The frozen run: its clock in UTC. Also known: owner, seed, partition, empty, expects_error, expects_checks.
now: 2100-01-01T00:00:00Z
tables: [{tables}]
"""


def scaffold_case(project: Project, name: str, tables: Sequence[str], *, returned: bool = False) -> list[Path]:
    """Write a case for `tables`: every table they read directly is given as a CSV file with its header.

    Returns the files written.

    Args:
        returned: give what the tables' functions would return, had they a mistake: at first a row without a value.

    Raises:
        GoldenError: the case exists, its name is no case's name, a table is unknown or an export, or what a table
            would return is to be given together with a table that it reads.
    """
    folder = check_new(project, name, tables)
    text = _CASE.format(description=UNSAID, tables=", ".join(tables))
    if returned:
        _check_apart(project, tables)
        text += "".join(_expectations(project, tables))
    files = {folder / "case.yml": text}
    files |= dict(_returned(project, folder, tables) if returned else _inputs(project, folder, tables))
    with on_disk(GoldenError, "cannot be written", where=shown(folder)):
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return list(files)


def check_new(project: Project, name: str, tables: Sequence[str]) -> Path:
    """The folder of a case to be made; raises GoldenError where it, or one of its tables, cannot be."""
    folder = project.golden / name
    if not NAMED.fullmatch(name):
        raise GoldenError(f"'{name}' is no name for a case", fix="Use lower case, digits, _ and -.")
    if folder.exists():
        raise GoldenError("the case exists", where=shown(folder), fix="Choose another name.")
    for table in tables:
        if project.graph.get(table).name not in project.graph.tables:
            raise GoldenError(f"'{table}' is an exported file; golden cases compare tables")
    return folder


def _inputs(project: Project, folder: Path, tables: Sequence[str]) -> Iterable[tuple[Path, str]]:
    """A header for every upstream table; for a table with a source, a note where its files go."""
    graph = project.graph
    for name in _upstream(project, tables):
        yield folder / "inputs" / TABLES / f"{name}.csv", _header(graph.tables[name])
    for table in tables:
        source = graph.tables[table].source
        if source is not None:
            rows = isinstance(source, EventLog | Rows)
            name = source.name if isinstance(source, Rows) else getattr(source, "topic", getattr(source, "path", ""))
            path = example_path(str(name).strip("/"))
            ending = ".ndjson" if rows else ".csv" if path.endswith(".parquet") else ""
            yield folder / "inputs" / source.location / f"{path}{ending}", _source_header(graph.tables[table], ending)


def example_path(pattern: str) -> str:
    """A path that the pattern matches, as a file is called."""
    path = re.sub(r"\[!.[^]]*\]", "_", pattern.replace("**/", ""))
    path = re.sub(r"\[(.)[^]]*\]", r"\1", path)
    return path.replace("*", "1").replace("?", "1")


def _upstream(project: Project, tables: Sequence[str]) -> list[str]:
    found = [name for table in tables for name in project.graph.upstream_of(table) if name not in tables]
    return list(dict.fromkeys(found))


def _check_apart(project: Project, tables: Sequence[str]) -> None:
    """Refuse a table that reads another one: of the one nothing is published, so the other is never built."""
    for name in tables:
        above = sorted(set(tables) & set(project.graph.closure([name])) - {name})
        if above:
            raise GoldenError(
                f"'{name}' reads '{above[0]}', of which such a case publishes nothing", fix="Start a case for each."
            )


def _returned(project: Project, folder: Path, tables: Sequence[str]) -> Iterable[tuple[Path, str]]:
    """Per table its header and a row without a value, which breaks every rule of a column that is never null."""
    for name in tables:
        header = _header(project.graph.tables[name])
        nulls = ",".join([NULL] * len(next(csv.reader([header]))))
        yield folder / "inputs" / RETURNED / f"{name}.csv", f"{header}{nulls}\n"


def _expectations(project: Project, tables: Sequence[str]) -> Iterable[str]:
    """Lines of `case.yml`: what is upstream is empty, and which checks such a row fails."""
    upstream = _upstream(project, tables)
    if upstream:
        yield f"empty: [{', '.join(upstream)}]\n"
    wrong = {name: _wrong(project.graph.tables[name]) for name in tables}
    if any(wrong.values()):
        yield "# The checks that fail, and no others. Nothing is published then; the rows set aside have a golden.\n"
        yield "expects_checks:\n"
        yield from (f"  {name}: [{', '.join(checks)}]\n" for name, checks in wrong.items() if checks)


def _wrong(table: TableDef) -> list[str]:
    """The checks that a row without a value fails, with nothing upstream."""
    never_null = any(not column.nullable for column in Contract.of(table.model).columns)
    return [*(["rows_valid"] if never_null else []), *(["reconciles"] if table.preserves else [])]


def _header(table: TableDef) -> str:
    return _line(column.name for column in Contract.of(table.model).columns)


def _source_header(table: TableDef, ending: str) -> str:
    """The header of a CSV file, as the source reads it; nothing for other files and where it has none."""
    source = table.source
    assert source is not None
    names = source.columns or Contract.of(table.model).duckdb_columns
    if ending == ".csv":
        return _line(names)
    return _line(names, source.delimiter) if isinstance(source, Csv) and source.header else ""


def _line(values: Iterable[str], delimiter: str = ",") -> str:
    """A line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", delimiter=delimiter).writerow(values)
    return text.getvalue()
