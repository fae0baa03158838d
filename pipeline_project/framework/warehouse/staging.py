"""Stage and split: rows with a bit mask of broken rules, then good rows here and rejected rows in the quarantine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_project.framework.errors import SourceError, WarehouseError
from pipeline_project.framework.partitions import PartitionRange
from pipeline_project.framework.warehouse import quarantine
from pipeline_project.framework.warehouse.session import Session, qualified

if TYPE_CHECKING:
    import ibis

    from pipeline_project.framework.contract import Contract
    from pipeline_project.framework.run import Run
    from pipeline_project.framework.sources.base import Landed
    from pipeline_project.framework.tables import KeepFirst, TableDef

SOURCE_COLUMNS = ("_source_file", "_source_line")
"""Columns a connector may add: kept for rejected rows, never published."""


@dataclass
class Staged:
    """Rows on their way: counted, split, not yet visible to anybody.

    Attributes:
        relation: the quoted SQL name of the staging table.
        staged: rows that arrived, malformed ones included.
        reasons: rejected rows per reason code; a row that broke two rules counts under both.
        rejected: rows set aside.
        published: rows left.
    """

    relation: str
    staged: int
    rejected: int
    published: int
    reasons: dict[str, int] = field(default_factory=dict)


def narrow(expression: ibis.Table, table: TableDef, partition: PartitionRange | None) -> ibis.Table:
    """The rows of `partition`, and those without a partition value, which the contract must judge."""
    if partition is None or table.partitions is None:
        return expression
    column = expression[table.partitions.column]
    return expression.filter(column.between(partition.start, partition.end) | column.isnull())


def stage(
    session: Session, table: TableDef, contract: Contract, expression: ibis.Table, landed: Landed | None
) -> tuple[str, int]:
    """Write the labelled rows into a staging table beside the target; returns its name and the rows that arrived."""
    session.connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{session.catalog}"."{table.stage}"')
    relation = qualified(session.catalog, table.stage, f"__staging_{table.name}")
    execute_staging(session, table, f"CREATE OR REPLACE TABLE {relation} AS {session.sql(contract.label(expression))}")
    count = _one(session, f"SELECT count(*) FROM {relation}")
    if landed is not None and landed.malformed is not None:
        count += _one(session, f"SELECT count(*) FROM ({landed.malformed})")
    return relation, count


def execute_staging(session: Session, table: TableDef, sql: str) -> None:
    """Run the statement that reads the source; what a file or a value breaks becomes one clear line."""
    import duckdb

    try:
        session.connection.execute(sql)
    except duckdb.OutOfMemoryException as error:
        raise WarehouseError(
            f"out of memory or disk: {_first_line(error)}",
            where=f"{table.stage}.{table.name}",
            fix="Raise PIPELINE_MEMORY_LIMIT or PIPELINE_SCRATCH_LIMIT, or free the disk. Nothing was published.",
        ) from None
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
        raise SourceError(
            f"a value cannot be computed: {_first_line(error)}",
            where=f"{table.stage}.{table.name} ({table.file})",
            fix="Use try_cast where a value may not convert. Nothing was published.",
        ) from None
    except duckdb.IOException as error:
        raise WarehouseError(
            f"reading or writing failed: {_first_line(error)}",
            where=f"{table.stage}.{table.name}",
            fix="Check the source file and the free disk space. Nothing was published.",
        ) from None


def split(
    session: Session,
    table: TableDef,
    contract: Contract,
    run: Run,
    relation: str,
    staged: int,
    landed: Landed | None,
) -> Staged:
    """Move rejected rows into the quarantine; leaves the staging table with the good rows and the contract's columns."""
    result = Staged(relation, staged, 0, 0)
    columns = {row[0] for row in session.connection.execute(f"DESCRIBE {relation}").fetchall()}
    extras = [column for column in SOURCE_COLUMNS if column in columns]
    file_column, line_column = (column if column in columns else "NULL" for column in SOURCE_COLUMNS)
    lines = f"{file_column}::VARCHAR AS source_file, {line_column}::BIGINT AS source_line"
    if landed is not None and landed.malformed is not None:
        _set_malformed_aside(session, table, run, landed.malformed, result)
    broken = contract.broken(session.connection, relation)
    if broken.rejected:
        _add(result.reasons, broken.counts)
        result.rejected += broken.rejected
        over_budget = not table.max_rejects.tolerates(result.rejected, staged)
        quarantine.store(
            session,
            f"SELECT {contract.reason_codes_sql()} AS reason_codes, {contract.payload_sql()} AS payload, {lines} "
            f"FROM {relation} WHERE {contract.broken_sql()}",
            table=table.name,
            run=run,
            limit=quarantine.KEPT_WHEN_FAILED if over_budget else None,
        )
        session.connection.execute(f"DELETE FROM {relation} WHERE {contract.broken_sql()}")
    if table.keep is not None:
        _set_repeats_aside(session, table, contract, table.keep, run, relation, lines, result)
    for column in (*contract.mask_columns, *extras):
        session.connection.execute(f'ALTER TABLE {relation} DROP COLUMN "{column}"')
    result.published = _one(session, f"SELECT count(*) FROM {relation}")
    return result


def _set_malformed_aside(session: Session, table: TableDef, run: Run, malformed: str, result: Staged) -> None:
    counts = session.connection.execute(f"SELECT reason_code, count(*) FROM ({malformed}) GROUP BY ALL").fetchall()
    _add(result.reasons, dict(counts))
    result.rejected += quarantine.store(
        session,
        f"SELECT [reason_code] AS reason_codes, payload, source_file, source_line FROM ({malformed})",
        table=table.name,
        run=run,
    )


def _set_repeats_aside(
    session: Session,
    table: TableDef,
    contract: Contract,
    keep: KeepFirst,
    run: Run,
    relation: str,
    lines: str,
    result: Staged,
) -> None:
    """Of rows with the same key keep the first; the others are rejected as `unique_key.repeat`.

    Only the repeated keys are sorted: finding them is one aggregate over the key columns, and what repeats is
    usually little. Ties in the declared order are broken by all columns, so that the choice never depends on
    the order in which rows arrived.
    """
    key = ", ".join(f'"{column}"' for column in contract.key)
    names = dict.fromkeys([*keep.order_by, *(column.name for column in contract.columns)])
    order = ", ".join(f'"{name}" NULLS LAST' for name in names)
    session.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE __repeated AS SELECT {key} FROM {relation} GROUP BY ALL HAVING count(*) > 1"
    )
    if _one(session, "SELECT count(*) FROM __repeated"):
        session.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE __losers AS
                SELECT row_id FROM (
                    SELECT rowid AS row_id, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS place
                    FROM {relation} AS staged SEMI JOIN __repeated USING ({key}))
                WHERE place > 1"""
        )
        losers = "rowid IN (SELECT row_id FROM __losers)"
        count = quarantine.store(
            session,
            f"SELECT ['unique_key.repeat'] AS reason_codes, {contract.payload_sql()} AS payload, {lines} "
            f"FROM {relation} WHERE {losers}",
            table=table.name,
            run=run,
        )
        session.connection.execute(f"DELETE FROM {relation} WHERE {losers}")
        session.connection.execute("DROP TABLE __losers")
        result.rejected += count
        _add(result.reasons, {"unique_key.repeat": count})
    session.connection.execute("DROP TABLE __repeated")


def _add(reasons: dict[str, int], counts: Mapping[str, int]) -> None:
    for code, count in counts.items():
        reasons[code] = reasons.get(code, 0) + count


def _one(session: Session, sql: str) -> int:
    row = session.connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error).strip().splitlines()[0])
