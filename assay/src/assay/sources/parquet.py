"""Parquet files, read in place: the rows are never copied before they are staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import SourceError
from assay.sources import files
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.casts import literal, normal_types, quoted
from assay.sources.columns import check_names, check_types

if TYPE_CHECKING:
    import httpx


WORTH_SPLITTING = 1_000_000
"""Rows from which a file with few row groups is read in stretches."""
ROW_GROUP = 122_880
"""Rows of a DuckDB row group: stretches end where one ends."""


@dataclass(frozen=True)
class Parquet(ReadWhole):
    """One or more Parquet files with the same columns, matched by name.

    Args:
        location: the name under which settings know the folder.
        path: the file under it, or a pattern such as `sales/*.parquet`.
        columns: name -> DuckDB type, where the files do not hold the contract's columns.
    """

    location: str
    path: str
    columns: Mapping[str, str] | None = field(default=None, hash=False)

    def fingerprint(self, base: str, transport: httpx.BaseTransport | None = None) -> str:
        return files.fingerprint(base, files.find(base, self.path))

    def land(self, landing: Landing) -> Landed:
        found = files.find(landing.base, self.path, table=landing.table)
        fingerprint = files.fingerprint(landing.base, found)
        expected = normal_types(landing.connection, landing.columns)
        for file in found:
            where = f"{landing.table}: {file}"
            columns = _describe(landing, file)
            check_names(list(columns), list(expected), where=where)
            check_types(columns, expected, where=where)
        names = ", ".join(quoted(name) for name in landing.columns)
        return Landed(
            sql=_in_stretches(landing, found, names) or _whole(found, names),
            fingerprint=fingerprint,
            bytes=sum(file.stat().st_size for file in found),
        )


def _whole(found: list[Path], names: str) -> str:
    paths = ", ".join(literal(files.plain(file)) for file in found)
    by_name = "true" if len(found) > 1 else "false"
    return f"SELECT {names} FROM read_parquet([{paths}], hive_partitioning = false, union_by_name = {by_name})"


def _in_stretches(landing: Landing, found: list[Path], names: str) -> str | None:
    """A long file with fewer row groups than threads, named once a thread, each scan keeping its stretch of rows.

    DuckDB scans a row group on one thread, and what that thread feeds (compressing strings, above all) waits for
    it. Skipping rows of the same file costs little: two threads wrote 21 million rows of one row group in half the
    time. None where the file offers enough row groups, or where its columns would hide the row number.
    """
    if len(found) != 1 or "file_row_number" in landing.columns:
        return None
    path = literal(files.plain(found[0]))
    row = landing.connection.execute(
        f"""SELECT num_rows, num_row_groups, current_setting('threads')::BIGINT FROM parquet_file_metadata({path})
            WHERE {path} NOT IN (SELECT file_name FROM parquet_schema({path}) WHERE name = 'file_row_number')"""
    ).fetchone()
    if row is None:
        return None
    rows, groups, threads = (int(number) for number in row)
    if rows < WORTH_SPLITTING or groups >= threads:
        return None
    stretch = -(-rows // threads // ROW_GROUP) * ROW_GROUP
    copies = ", ".join([path] * -(-rows // stretch))
    return (
        f"SELECT {names} FROM read_parquet([{copies}], hive_partitioning = false, file_row_number = true) "
        f"WHERE file_row_number // {stretch} = file_index"
    )


def _describe(landing: Landing, file: Path) -> dict[str, str]:
    import duckdb

    query = f"DESCRIBE SELECT * FROM read_parquet({literal(files.plain(file))}, hive_partitioning = false)"
    try:
        return {row[0]: row[1] for row in landing.connection.execute(query).fetchall()}
    except duckdb.Error as error:
        raise SourceError(
            f"is no readable Parquet file ({_first_line(error)})",
            where=f"{landing.table}: {file}",
            fix="Fetch it again, or fix the source's path.",
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
