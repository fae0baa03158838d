"""Writing a captured case, and running it once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.contract.classification import is_masked
from assay.contract.contract import Contract
from assay.errors import GoldenError, on_disk
from assay.golden.case import UNSAID
from assay.golden.inputs import TABLES
from assay.golden.rows import NULL
from assay.golden.scaffold import check_new
from assay.golden.yaml_file import shown
from assay.lab.capture.cut import Cut
from assay.lab.capture.pseudonyms import Pseudonyms, salted
from assay.project import Project
from assay.sources.fetched import Rows
from assay.sources.objects import is_nested
from assay.sql import quoted as quote
from assay.tables.nodes import TableDef
from assay.warehouse import ops
from assay.warehouse.connection import Options, reading

MAX_BYTES = 256 * 1024
_CASE = """\
description: {description}
# Captured from real rows; classified columns hold pseudonyms.
tables: [{table}]
"""


@dataclass(frozen=True)
class Captured:
    """What was written.

    Attributes:
        chosen: rows of the table itself that were chosen; they are not written, the case computes them.
        masked: classified columns, as table.column.
    """

    folder: Path
    chosen: int
    rows: dict[str, int]
    masked: tuple[str, ...]
    notes: tuple[str, ...]


def capture(project: Project, name: str, table_name: str, where: str, limit: int, *, max_rows: int = 200) -> Captured:
    """Cut a case out of the real warehouse: chosen rows of a table, and the upstream rows they come from.

    Of a table whose source is a function the chosen rows are themselves what it would yield (`inputs/<location>/`).

    Args:
        where: an SQL condition over the table's columns. It is written nowhere: it may name a person.
        limit: how many rows to choose, by the table's key.
        max_rows: how many rows of each upstream table are taken at most.

    Raises:
        GoldenError: the case exists, the table reads no other table, nothing is chosen, or too much belongs to it; or
            another engine than DuckDB keeps the tables.
        WarehouseError: the warehouse cannot be opened, or a table was never published.
    """
    table = _checked(project, name, table_name)
    settings = project.settings()
    if settings.engine != "duckdb":
        raise GoldenError(
            f"cases are cut out of tables that DuckDB keeps; these are {settings.engine}'s",
            where="PIPELINE_ENGINE",
            fix="Build the table with PIPELINE_ENGINE=duckdb, PIPELINE_WAREHOUSE elsewhere, from a part of the source.",
        )
    if not settings.warehouse.exists():
        raise GoldenError("there is no warehouse to capture from", fix="Run the pipeline first: pipeline run.")
    options = Options(settings.memory_limit, settings.threads)
    with reading(settings.warehouse, options, lock_timeout=settings.lock_timeout) as (connection, catalog):
        # The condition is a person's text: it reads the warehouse and nothing else.
        connection.execute("SET enable_external_access = false")
        _check_published(connection, catalog, project, table)
        cut = Cut(connection, catalog, project.graph, max_rows)
        chosen = cut.choose(table, where, limit)
        if not chosen:
            raise GoldenError("no row is chosen", where=table.name, fix="Widen --where.")
        cut.follow(table)
        pseudonyms = Pseudonyms(
            salted([ops.last_version(connection, catalog, each) or "" for each in sorted(cut.taken)])
        )
        upstream = (table.name,) if table.source else project.graph.upstream_of(table.name)
        files = {each: _file(project.graph.tables[each], cut, pseudonyms) for each in upstream}
    folder = project.golden / name
    _write(folder, table.name, [(place, text) for place, text, _ in files.values()])
    masked = tuple(f"{each}.{column}" for each in upstream for column in _masked(project.graph.tables[each]))
    return Captured(folder, chosen, {each: count for each, (_, _, count) in files.items()}, masked, tuple(cut.notes))


def _checked(project: Project, name: str, table_name: str) -> TableDef:
    check_new(project, name, [table_name])
    table = project.graph.tables[table_name]
    if table.source is not None and not (isinstance(table.source, Rows) and table.source.columns is None):
        below = project.graph.downstream([table.name])[1:2]
        hint = f"Capture from what reads it: --from {below[0]}." if below else "Write its files by hand."
        raise GoldenError(f"'{table.name}' is made from a source's files, which are not kept", fix=hint)
    return table


def _check_published(connection: Any, catalog: str, project: Project, table: TableDef) -> None:
    found = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?", [catalog]
    ).fetchall()
    for each in (table.name, *project.graph.upstream_of(table.name)):
        if (project.graph.tables[each].stage, each) not in found:
            raise GoldenError(f"'{each}' was never published", fix=f"Build it first: pipeline run {each}.")


def _masked(table: TableDef) -> list[str]:
    return [column.name for column in Contract.of(table.model).columns if is_masked(column.classification)]


def _file(table: TableDef, cut: Cut, pseudonyms: Pseudonyms) -> tuple[Path, str, int]:
    """The place under `inputs/`, text and number of rows of a table's input file."""
    contract = Contract.of(table.model)
    types, hidden = contract.duckdb_columns, set(_masked(table))
    order = ", ".join(quote(column) for column in contract.key or tuple(types))
    yielded = table.source if isinstance(table.source, Rows) else None
    deep = {column for column, type_ in types.items() if yielded and is_nested(type_)}
    texts = ", ".join(f"{f'to_json({quote(c)})' if c in deep else quote(c)}::VARCHAR" for c in types)
    cut.connection.execute("SET TimeZone = 'UTC'")
    found = cut.connection.execute(f"SELECT {texts} FROM {cut.place(table.name)} ORDER BY {order}").fetchall()
    rows = [
        [pseudonyms.of(value, type_) if column in hidden else value
         for value, (column, type_) in zip(row, types.items(), strict=True)]
        for row in found
    ]  # fmt: skip
    if hidden & set(contract.key or types):
        # Sorted by their real values, pseudonyms would tell the order of those.
        rows.sort(key=lambda row: [(value is None, value) for value in row])
    place = Path(TABLES) / f"{table.name}.ndjson"
    if yielded is not None:
        place = Path(yielded.location) / f"{yielded.name}.ndjson"
        rows = [[json.loads(v) if v and c in deep else v for c, v in zip(types, row, strict=True)] for row in rows]
    # CSV cannot tell such a text from null, nor Python's writer a carriage return from the end of a row.
    if yielded or any(value == NULL or (value is not None and "\r" in value) for row in rows for value in row):
        lines = (json.dumps(dict(zip(types, row, strict=True)), ensure_ascii=False) for row in rows)
        return place, "".join(f"{line}\n" for line in lines), len(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(types)
    writer.writerows([[NULL if value is None else value for value in row] for row in rows])
    return place.with_suffix(".csv"), text.getvalue(), len(rows)


def _write(folder: Path, table: str, files: Sequence[tuple[Path, str]]) -> None:
    size = sum(len(text.encode()) for _, text in files)
    if size > MAX_BYTES:
        raise GoldenError(
            f"{size // 1024:,} KB of input belong to the chosen rows; a case has at most {MAX_BYTES // 1024} KB",
            fix="Choose fewer rows: narrow --where, lower --limit or --max-rows.",
        )
    with on_disk(GoldenError, "cannot be written", where=shown(folder)):
        for place, text in files:
            file = folder / "inputs" / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (folder / "case.yml").write_text(_CASE.format(description=UNSAID, table=table), encoding="utf-8")
