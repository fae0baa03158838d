"""How far a source was read, from a warehouse's file. Imports no engine but DuckDB: a monitor asks each minute."""

from __future__ import annotations

from pathlib import Path

from assay.warehouse import ops
from assay.warehouse.connection import Options, connect


def committed_offsets(warehouse: Path, table: str, lock_timeout: float) -> dict[int, int]:
    """The offsets of `table` in a warehouse's file that nobody has open here; none if the file or the table is gone.

    Raises:
        WarehouseLocked: another process has held the file for `lock_timeout` seconds.
    """
    if not warehouse.exists():
        return {}
    with connect(warehouse, Options(), lock_timeout=lock_timeout, read_only=True) as connection:
        place = "SELECT database_name FROM duckdb_tables() WHERE database_name = current_database() AND table_name = ?"
        found = connection.execute(place, [table]).fetchone()
        return ops.offsets(connection, found[0], table) if found else {}
