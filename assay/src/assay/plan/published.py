"""What is published today, as the real warehouse's books and catalog have it."""

from __future__ import annotations

import datetime as dtm
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.compare import SqlColumn

if TYPE_CHECKING:
    import duckdb

    from assay.project import Project


@dataclass(frozen=True)
class Published:
    """The newest successful publication of a table or file.

    Attributes:
        exists: whether the table is there; files are not looked at.
        columns: of the table as it stands.
    """

    name: str
    run_id: str
    data_version: str
    code_version: str
    upstream_versions: Mapping[str, str]
    source_version: str | None
    rows: int
    rejected: int
    checks: Mapping[str, bool]
    profile: tuple[Mapping[str, Any], ...]
    seconds: float = 0.0
    published_at: dtm.datetime | None = None
    exists: bool = False
    columns: tuple[SqlColumn, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class Books:
    """Everything published: by node name, and every table of a catalog by stage and name.

    Attributes:
        code: code version -> what it was made of, a digest for each function, as far as it was written down.
    """

    published: Mapping[str, Published]
    tables: Mapping[tuple[str, str], tuple[SqlColumn, ...]]
    code: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def data_version(self, name: str) -> str | None:
        """The data version of what is published as `name`."""
        found = self.published.get(name)
        return found.data_version if found else None


def read_books(connection: duckdb.DuckDBPyConnection, catalog: str) -> Books:
    """Read `catalog`'s books and the columns of its tables."""
    tables = _tables(connection, catalog)
    if ("ops", "publications") not in tables:
        return Books({}, tables)
    rows = connection.execute(
        f"""SELECT table_name, stage, run_id, data_version, code_version, upstream_versions,
                   source_version, row_count, rejected, checks, profile, seconds, published_at
            FROM "{catalog}".ops.publications WHERE action <> 'failed' ORDER BY id"""
    ).fetchall()
    found: dict[str, Published] = {}
    for name, stage, run_id, data, code, upstream, source, count, rejected, checks, profile, seconds, moment in rows:
        columns = tables.get((stage, name))
        found[name] = Published(
            name=name,
            run_id=run_id,
            data_version=data,
            code_version=code,
            upstream_versions=json.loads(upstream),
            source_version=source,
            rows=count,
            rejected=rejected,
            checks={check["name"]: bool(check["passed"]) for check in json.loads(checks)},
            profile=tuple(json.loads(profile)),
            seconds=seconds,
            published_at=moment,
            exists=columns is not None,
            columns=columns or (),
        )
    kept = connection.execute(f'FROM "{catalog}".ops.code').fetchall() if ("ops", "code") in tables else []
    return Books(found, tables, {version: json.loads(parts) for version, parts in kept})


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
