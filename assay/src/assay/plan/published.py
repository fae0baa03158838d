"""What is published today, as the real warehouse's books and catalog have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.compare.model import SqlColumn
from assay.sql import quoted
from assay.tables.nodes import Asset, TableDef
from assay.warehouse.ops import Record, newest

if TYPE_CHECKING:
    import duckdb

    from assay.project import Project


@dataclass(frozen=True)
class Books:
    """Everything published: the newest by node name, and the columns of every table of a catalog by stage and name.

    Attributes:
        sources: a digest of `code` -> how that was written.
        code: code version -> what it was made of, a digest for each function, as far as it was written down.
    """

    published: Mapping[str, Record]
    tables: Mapping[tuple[str, str], tuple[SqlColumn, ...]]
    code: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def of(self, node: Asset) -> Record | None:
        """The newest publication of `node`; None where a table is not there any more, which files are not asked."""
        is_there = not isinstance(node, TableDef) or (node.stage, node.name) in self.tables
        return self.published.get(node.name) if is_there else None

    def data_version(self, name: str) -> str | None:
        """The data version of what is published as `name`."""
        found = self.published.get(name)
        return found.data_version if found else None


def read_books(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    standing: Mapping[tuple[str, str], Mapping[str, str]] | None = None,
) -> Books:
    """Read `catalog`'s books and the columns of its tables.

    Args:
        standing: the tables and their columns, where they are not in the catalog.
    """
    tables = _tables(connection, catalog)
    published = tables
    if standing is not None:
        published = {key: tuple(SqlColumn(*each) for each in columns.items()) for key, columns in standing.items()}
    if ("ops", "publications") not in tables:
        return Books({}, published)
    kept = connection.execute(f"FROM {quoted(catalog)}.ops.code").fetchall() if ("ops", "code") in tables else []
    found = newest(connection, catalog)
    written = dict(
        connection.execute(f"FROM {quoted(catalog)}.ops.code_sources").fetchall()
        if ("ops", "code_sources") in tables
        else []
    )
    return Books(found, published, {version: json.loads(parts) for version, parts in kept}, written)


def _tables(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[tuple[str, str], tuple[SqlColumn, ...]]:
    rows = connection.execute(
        """SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()
           WHERE database_name = ? ORDER BY schema_name, table_name, column_index""",
        [catalog],
    ).fetchall()
    found: dict[tuple[str, str], list[SqlColumn]] = {}
    for stage, table, column, type_ in rows:
        found.setdefault((stage, table), []).append(SqlColumn(column, type_))
    return {key: tuple(columns) for key, columns in found.items()}


def orphans(books: Books, project: Project) -> tuple[str, ...]:
    """Published tables of the project's stages that no code makes any more."""
    made = {(node.stage, node.name) for node in project.graph}
    return tuple(
        f"{stage}.{name}"
        for stage, name in sorted(books.tables)
        if stage in project.stages and (stage, name) not in made and not name.startswith("__")
    )
