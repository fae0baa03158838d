"""Labelling small frames in an in-memory database, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from assay.contract.contract import Contract
from assay.sql import quoted


def load(
    connection: duckdb.DuckDBPyConnection, contract: Contract, rows: Sequence[Sequence[Any]], table: str = "rows"
) -> None:
    """A table with the contract's columns, and `_row` numbering the rows from 0."""
    columns = ", ".join(f"{quoted(name)} {sql_type}" for name, sql_type in contract.duckdb_columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE {table} ({columns}, _row BIGINT)")
    places = ", ".join("?" * (len(contract.columns) + 1))
    if rows:
        connection.executemany(
            f"INSERT INTO {table} VALUES ({places})", [[*row, number] for number, row in enumerate(rows)]
        )


def label(connection: duckdb.DuckDBPyConnection, contract: Contract, table: str = "rows") -> None:
    """`labelled`: the table as the warehouse judges it."""
    connection.execute(f"CREATE OR REPLACE TABLE labelled AS {contract.labelled_sql(f'FROM {table}')}")


def verdicts(
    connection: duckdb.DuckDBPyConnection, contract: Contract, rows: Sequence[Sequence[Any]]
) -> list[tuple[str, ...]]:
    """The codes each row breaks, in the order of `rows`."""
    load(connection, contract, rows)
    label(connection, contract)
    masks = ", ".join(contract.mask_columns)
    found = connection.execute(f"SELECT {masks} FROM labelled ORDER BY _row").fetchall()
    codes = [contract.codes(row) for row in found]
    broken = connection.execute(f"SELECT {contract.broken_rows_sql} FROM rows ORDER BY _row").fetchall()
    assert broken == [(bool(each),) for each in codes]  # asked at once it is the same
    return codes
