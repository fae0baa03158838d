"""What the warehouse, where there is one, shows of a table that does not exist yet. It is only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import duckdb
import ibis

from assay.errors import PipelineError
from assay.scaffold.columns import evaluated
from assay.warehouse.connection import Options, reading

if TYPE_CHECKING:
    from assay.project import Project
    from assay.tables.nodes import TableDef


def missing_values(project: Project, code: str, upstream: Sequence[TableDef]) -> tuple[dict[str, bool], int] | None:
    """For each column of the expression over the published rows whether one is null, and how many rows it gives.

    None where nothing was published, as it is now, or another process holds the warehouse: nobody waits for a draft.
    """
    settings = project.settings()
    if not settings.warehouse.exists():
        return None
    options = Options(threads=settings.threads)
    try:
        with reading(settings.warehouse, options, lock_timeout=0) as (connection, catalog):
            backend = ibis.duckdb.from_connection(connection)
            tables = {table.name: backend.table(table.name, database=(catalog, table.stage)) for table in upstream}
            table = evaluated(code, tables)
            asked = {f"n{number}": table[name].isnull().any() for number, name in enumerate(table.columns)}
            query = ibis.to_sql(table.aggregate(rows=table.count(), **asked), dialect="duckdb")
            rows, *found = connection.execute(str(query)).fetchall()[0]
    except (duckdb.Error, PipelineError, ibis.common.exceptions.IbisError):
        return None
    return ({name: bool(null) for name, null in zip(table.columns, found, strict=True)}, int(rows)) if rows else None
