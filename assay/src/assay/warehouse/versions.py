"""Versions per partition: what each partition of a table holds and what it was made from.

A build of one day says nothing about the others: a late row of an older day changes its input's version, and only
the versions that this day was built from tell that it is missing here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assay.sql import quoted
from assay.tables.code_version import code_parts, code_sources
from assay.tables.declared import NOTHING, Declared
from assay.warehouse import ops
from assay.warehouse.parts import Parts

if TYPE_CHECKING:
    from assay.contract.contract import Contract
    from assay.tables.nodes import Asset, InvariantDef, TableDef
    from assay.warehouse.builds import Build
    from assay.warehouse.session import Session

SAME = "same:"
"""Begins the version of an input of which a partition reads the same partition; else it is the whole input's."""


def book(session: Session, parts: Parts, origin: Build, found: Mapping[str, tuple[int, str]], *, stay: bool) -> None:
    """Record the partitions that were just published, those without rows as well.

    Args:
        found: rows and content hash of those that have rows.
        stay: whether other partitions are published: none is after a whole build, or the first one of a table that was
            dropped or moved to another stage.
    """
    name, keys = origin.table.name, parts.keys
    seen = {
        each: versions(session, origin.upstream[each], parts, keys, each in origin.aligned)
        for each in origin.table.inputs
    }
    upstream = [ops.as_json(dict(zip(seen, row, strict=True))) for row in zip(*seen.values(), strict=True)]
    books = f"{quoted(session.catalog)}.ops.partitions"
    among = "AND list_contains($keys, partition)" if stay else ""
    session.connection.execute(
        f"DELETE FROM {books} WHERE table_name = $table {among}", {"table": name} | ({"keys": keys} if among else {})
    )
    session.connection.execute(
        f"INSERT INTO {books} SELECT $table, unnest($keys), unnest($rows::BIGINT[]), unnest($data::VARCHAR[]), $code, "
        "unnest($upstream::VARCHAR[]), $source",
        {
            "table": name,
            "keys": keys,
            "rows": [found.get(key, (0, ""))[0] for key in keys],
            "data": [found.get(key, (0, ""))[1] for key in keys],
            "code": origin.code_version,
            "upstream": upstream or ["{}"] * len(keys),
            "source": origin.source_version,
        },
    )


def refresh(session: Session, table: TableDef, found: Mapping[str, tuple[int, str]]) -> None:
    """Record what the partitions hold after rows were added to them; what they were made from stays.

    Args:
        found: rows and content hash of those that have rows.
    """
    session.connection.execute(
        f"""UPDATE {quoted(session.catalog)}.ops.partitions AS kept SET row_count = rows, data_version = data
            FROM (SELECT unnest($keys) AS key, unnest($rows::BIGINT[]) AS rows, unnest($data::VARCHAR[]) AS data)
            WHERE kept.table_name = $table AND kept.partition = key""",
        {
            "table": table.name,
            "keys": list(found),
            "rows": [rows for rows, _ in found.values()],
            "data": [data for _, data in found.values()],
        },
    )


def versions(session: Session, upstream: TableDef, parts: Parts, keys: Sequence[str], aligned: bool) -> list[str]:
    """The version of an input for each partition in `keys` of a table.

    Args:
        parts: of the table that reads it.
        aligned: whether a partition reads nothing of the input but the same time, or the same static key.
    """
    if not aligned or upstream.partitions is None:
        return [session.data_version(upstream.name) or ""] * len(keys)
    there = {key: record.data_version for key, record in session.partitions(upstream.name).items()}
    mine, other = parts.partitions, upstream.partitions
    if (mine.unit, mine.timezone) == (other.unit, other.timezone) and mine.unit != "week":
        return [SAME + there.get(key, "") for key in keys]
    found = []
    for key in keys:
        touched = other.clip(mine.between(key, key), parts.now)
        inside = [there.get(each, "") for each in (other.keys(touched) if touched is not None else ())]
        found.append(SAME + hashlib.md5(",".join(inside).encode(), usedforsecurity=False).hexdigest())
    return found


def contents(session: Session, table: TableDef, contract: Contract, parts: Parts) -> dict[str, tuple[int, str]]:
    """Rows and content hash of each partition that has rows, by DuckDB: one scan, however many there are."""
    described = ", ".join(f"{name} {sql_type}" for name, sql_type in contract.duckdb_columns.items())
    rows = f"{session.relation(table)} WHERE {parts.rows}"
    summed = parts.summed(rows, __n="count(*)", __hash=f"sum({contract.row_hash_sql})")
    found = session.connection.execute(
        f"SELECT __part, __n, md5(concat_ws(';', ?, __n, __hash)) FROM ({summed})", [described]
    ).fetchall()
    return {key: (int(rows), data) for key, rows, data in found}


def keep_code(
    session: Session, code_version: str, node: Asset, *rules: InvariantDef, settings: Declared = NOTHING
) -> None:
    """Write down what the code version of `node` is made of, unless that is known: so that a plan can say what changed."""
    if not ops.knows_code(session.connection, session.catalog, code_version):
        parts, sources = (each(node, *rules, settings=settings) for each in (code_parts, code_sources))
        ops.keep_code(session.connection, session.catalog, code_version, parts, sources)
