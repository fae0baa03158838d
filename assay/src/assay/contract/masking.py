"""Rows for people: values of classified columns are masked before they leave the database layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from assay.contract.classification import internal, is_masked, mask, personal, public, secret

if TYPE_CHECKING:
    import duckdb

    from assay.contract.columns import Column

__all__ = ["internal", "is_masked", "mask", "masked_rows", "personal", "public", "secret"]


def masked_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: Iterable[Column]
) -> tuple[Mapping[str, Any], ...]:
    """The rows of `sql`, personal and secret values replaced by `***`.

    A column that the contract does not know is masked too: nothing says that it may be shown.
    """
    classes = {column.name: column.classification for column in columns}
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return tuple(
        {name: mask(value, classes.get(name)) for name, value in zip(names, row, strict=True)}
        for row in cursor.fetchall()
    )
