"""How far a source was read, from a warehouse's file. Imports no engine but DuckDB: a monitor asks each minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.warehouse import ops
from assay.warehouse.connection import reading

if TYPE_CHECKING:
    from assay.settings import BaseSettings


def committed_offsets(settings: BaseSettings, table: str, lock_timeout: float) -> dict[int, int]:
    """The offsets of `table` in the books, which nobody has open here; none if the file or the table is gone.

    Tables of another engine than DuckDB are not looked for: a lake is not asked each minute.

    Raises:
        WarehouseLocked: another process has held the file for `lock_timeout` seconds.
    """
    if not settings.warehouse.exists():
        return {}
    with reading(settings.warehouse, lock_timeout=lock_timeout) as (connection, catalog):
        tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = ?"
        there = {name for (name,) in connection.execute(tables, [catalog]).fetchall()}
        if "offsets" not in there or (settings.engine == "duckdb" and table not in there):
            return {}
        return ops.offsets(connection, catalog, table)
