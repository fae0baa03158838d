"""Parquet files, read in place: the rows are never copied before they are staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.framework.errors import SourceError
from pipeline_project.framework.sources import files
from pipeline_project.framework.sources.base import Landed, Landing, ReadWhole
from pipeline_project.framework.sources.casts import literal, normal_types, quoted
from pipeline_project.framework.sources.columns import check_names, check_types

if TYPE_CHECKING:
    import httpx


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
        return files.fingerprint(base, files.find(base, self.path, table=self.path))

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
        paths = ", ".join(literal(files.plain(file)) for file in found)
        by_name = "true" if len(found) > 1 else "false"
        return Landed(
            sql=f"SELECT {names} FROM read_parquet([{paths}], hive_partitioning = false, union_by_name = {by_name})",
            fingerprint=fingerprint,
            bytes=sum(file.stat().st_size for file in found),
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
