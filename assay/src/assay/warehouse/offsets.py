"""How far a source was read, from a warehouse's file. Imports no engine but DuckDB: a monitor asks each minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.warehouse import ops
from assay.warehouse.connection import Options, connect

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
    with connect(settings.warehouse, Options(), lock_timeout=lock_timeout, read_only=True) as connection:
        place = "SELECT database_name FROM duckdb_tables() WHERE database_name = current_database() AND table_name = ?"
        found = connection.execute(place, [table if settings.engine == "duckdb" else "offsets"]).fetchone()
        return ops.offsets(connection, found[0], table) if found else {}
