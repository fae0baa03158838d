"""A contract's columns, and what of them a table's schema does not meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import duckdb
import ibis
import ibis.expr.datatypes as dt
from ibis.backends.sql.datatypes import DuckDBType

from assay.contract.classification import CLASSIFICATIONS, mask
from assay.errors import ContractError

ProblemKind = Literal["missing", "extra", "type", "order"]


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    Attributes:
        dtype: the Ibis type, without nullability.
        sql_type: the same type as DuckDB writes it.
        unique: whether the column alone is a key.
        classification: public, internal, personal, secret; None counts as personal.
        constraints: short texts such as `not null` and `>= 0`.
    """

    name: str
    dtype: dt.DataType
    sql_type: str
    nullable: bool
    unique: bool
    description: str | None
    classification: str | None
    constraints: tuple[str, ...]


@dataclass(frozen=True)
class SchemaProblem:
    """One way in which a table's columns are not the contract's; its text is one line."""

    kind: ProblemKind
    column: str
    expected: str | None
    actual: str | None

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"column '{self.column}' is missing, expected {self.expected}"
        if self.kind == "extra":
            return f"column '{self.column}' ({self.actual}) is not in the contract"
        if self.kind == "type":
            return f"column '{self.column}' is {self.actual}, expected {self.expected}"
        return f"column '{self.column}' stands where the contract has {self.expected}"


_PLAIN = {
    dt.int8: "TINYINT",
    dt.int16: "SMALLINT",
    dt.int32: "INTEGER",
    dt.int64: "BIGINT",
    dt.boolean: "BOOLEAN",
    dt.float32: "FLOAT",
    dt.float64: "DOUBLE",
    dt.string: "VARCHAR",
    dt.date: "DATE",
    dt.Timestamp(scale=6): "TIMESTAMP",
    dt.Timestamp("UTC", scale=6): "TIMESTAMP WITH TIME ZONE",
}
"""What most columns are: to be told by Ibis takes SQLGlot's whole dialect, which code that only loads needs for nothing."""


@cache
def sql_type(dtype: dt.DataType) -> str:
    """The DuckDB type that `dtype` stands for, as DESCRIBE writes it."""
    plain = dtype.copy(nullable=True)
    if plain in _PLAIN:
        return _PLAIN[plain]
    if isinstance(plain, dt.Decimal) and plain.precision and plain.scale is not None and plain.precision <= 38:
        return f"DECIMAL({plain.precision},{plain.scale})"
    return str(duckdb.sqltype(DuckDBType.to_string(dtype)))


def ibis_type(declared: Any, where: str) -> dt.DataType:
    """The Ibis type inside a Pandera column's dtype; raises ContractError if there is no exact one."""
    native = getattr(declared, "type", None)
    if not isinstance(native, dt.DataType):
        raise ContractError(
            f"type {declared} is no Ibis type",
            where=where,
            fix="Annotate an Ibis type, such as dt.Int64, or one of assay.contract.types.",
        )
    found = ibis.dtype(native).copy(nullable=True)
    try:
        sql_type(found)
    except duckdb.Error as error:
        raise ContractError(f"DuckDB has no type {found}: {error}", where=where, fix="Give it another type.") from None
    return found


def classification_of(metadata: Mapping[str, Any] | None, where: str) -> str | None:
    """The classification in a field's metadata; raises ContractError if it is none we know."""
    found = (metadata or {}).get("classification")
    if found is not None and found not in CLASSIFICATIONS:
        raise ContractError(
            f"classification '{found}' is unknown", where=where, fix=f"Use one of {', '.join(CLASSIFICATIONS)}."
        )
    return found


def schema_problems(
    columns: Iterable[Column], actual: Mapping[str, dt.DataType], *, strict: bool, ordered: bool
) -> tuple[SchemaProblem, ...]:
    """Every difference between the contract's columns and `actual`; types are compared exactly, nullability is not."""
    expected = {column.name: column for column in columns}
    problems: list[SchemaProblem] = []
    for name, column in expected.items():
        if name not in actual:
            problems.append(SchemaProblem("missing", name, column.sql_type, None))
        elif not same_type(actual[name], column.dtype):
            problems.append(SchemaProblem("type", name, column.sql_type, _shown(actual[name])))
    extra = [name for name in actual if name not in expected]
    if strict:
        problems += [SchemaProblem("extra", name, None, _shown(actual[name])) for name in extra]
    if ordered:
        found = [name for name in actual if name in expected]
        wanted = [name for name in expected if name in actual]
        problems += [SchemaProblem("order", have, want, have) for have, want in zip(found, wanted) if have != want]
    return tuple(problems)


def same_type(left: dt.DataType, right: dt.DataType) -> bool:
    """Whether two types are the same in the database; nullability, at any depth, is not part of it."""
    return left.copy(nullable=True) == right.copy(nullable=True) or _shown(left) == _shown(right)


def _shown(dtype: dt.DataType) -> str:
    if dtype.is_unknown():
        return str(dtype)
    return sql_type(dtype)


def masked_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: Iterable[Column]
) -> tuple[Mapping[str, Any], ...]:
    """The rows of `sql`, values of `columns` masked; so are those of a column that the contract does not know."""
    classes = {column.name: column.classification for column in columns}
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return tuple(
        {name: mask(value, classes.get(name)) for name, value in zip(names, row, strict=True)}
        for row in cursor.fetchall()
    )
