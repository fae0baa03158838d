"""Parquet files, read in place: the rows are never copied before they are staged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assay.errors import SourceError
from assay.sources import files
from assay.sources.base import Landed, Landing
from assay.sources.casts import normal_types
from assay.sources.columns import Beyond, check_names, check_types
from assay.sources.rows import text_of
from assay.sql import literal, quoted

WORTH_SPLITTING = 1_000_000
"""Rows from which a file with few row groups is read in stretches."""
ROW_GROUP = 122_880
"""Rows of a DuckDB row group: stretches end where one ends."""


@dataclass(frozen=True)
class Parquet(files.Files):
    """One or more Parquet files with the same columns, matched by name. DuckDB does not verify checksums of pages.

    Args:
        location: the name under which settings know the folder.
        path: the file under it, or a pattern such as `sales/*.parquet`.
        columns: name -> DuckDB type, where the files do not hold the contract's columns.
        manifest: a file that announces the files with their rows or bytes; see `Files`.
        new_only: whether a build reads only the files that were not read yet; see `Files`.
        extra: what becomes of columns that nobody expects; see `Files`.
    """

    def read(self, landing: Landing) -> Landed:
        delivered = self.delivered(landing)
        expected = normal_types(landing.connection, landing.columns)
        beyond = None if self.extra == "stop" else Beyond(self.extra, landing.columns, landing.table)
        found, types = [each.file for each in delivered], dict[str, str]()
        for each in delivered:
            columns = _describe(landing.connection, each)
            check_names(list(columns), list(expected), where=each.where, beyond=beyond)
            check_types(columns, expected, where=each.where)
            types |= columns
        if beyond is not None:
            beyond.tell()
        added = beyond.added if beyond is not None else []
        texts = [f"{text_of(name, types[name])} AS {quoted(name)}" for name in added]
        names = ", ".join([*map(quoted, landing.columns), *texts])
        return Landed(
            sql=_in_stretches(landing, found, names) or _whole(found, names),
            fingerprint="",
            bytes=sum(file.stat().st_size for file in found),
            added=tuple(added),
            recheck=_recheck(delivered),
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
    if len(found) != 1:
        return None
    path = literal(files.plain(found[0]))
    row = landing.connection.execute(
        f"""SELECT num_rows, num_row_groups, current_setting('threads')::BIGINT FROM parquet_file_metadata({path})
            WHERE {path} NOT IN (SELECT file_name FROM parquet_schema({path}) WHERE lower(name) IN ('file_row_number', 'file_index'))"""
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


def _describe(connection: Any, each: files.Delivered) -> dict[str, str]:
    """The file's columns and types; raises SourceError if it has none, or some that DuckDB would change."""
    path = literal(files.plain(each.file))
    described = _ask(connection, f"DESCRIBE SELECT * FROM read_parquet({path}, hive_partitioning = false)", each)
    own = _ask(connection, f"SELECT name, precision FROM parquet_schema({path})", each)
    if wide := next(((name, precision) for name, precision in own if (precision or 0) > 38), None):
        raise SourceError(
            f"column '{wide[0]}' is a decimal of {wide[1]} digits, which DuckDB reads as a DOUBLE, with loss",
            where=each.where,
            fix="Ask the source's owner for at most 38 digits, or for text.",
        )
    if renamed := [row[0] for row in described if row[0] not in {name for name, _ in own}]:
        raise SourceError(
            f"has columns of one name, or that differ in case alone, which DuckDB renames to {', '.join(renamed)}",
            where=each.where,
            fix="Ask the source's owner for names that differ.",
        )
    (count,) = _ask(connection, f"SELECT sum(num_rows) FROM parquet_file_metadata({path})", each)[0]
    each.check(int(count))
    return {row[0]: row[1] for row in described}


def _ask(connection: Any, query: str, each: files.Delivered) -> list[tuple[Any, ...]]:
    try:
        found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        return found
    except duckdb.Error as error:
        raise SourceError(
            f"is no readable Parquet file ({str(error).splitlines()[0].rstrip('.')})",
            where=each.where,
            fix="Fetch it again, or fix the source's path.",
        ) from None


def _recheck(delivered: Sequence[files.Delivered]) -> Callable[[], None]:
    """Reads every value of every file in a database of its own."""

    def check() -> None:
        with duckdb.connect(config={"threads": 1}) as connection:
            for each in delivered:
                path = literal(files.plain(each.file))
                _ask(connection, f"SELECT bit_xor(hash(COLUMNS(*))) FROM read_parquet({path})", each)

    return check
