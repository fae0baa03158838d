"""The types of a contract as Spark names them in a schema, and back; and what is written for DuckDB, for Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.spark.dialect import SparkType

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt


def spark_type(dtype: Any) -> str:
    """The type in which the lake holds values of a contract's type, as Spark names it in a schema."""
    if dtype.is_array():
        return f"array<{spark_type(dtype.value_type)}>"
    if dtype.is_map():
        return f"map<{spark_type(dtype.key_type)},{spark_type(dtype.value_type)}>"
    if dtype.is_struct():
        return f"struct<{','.join(f'{name}:{spark_type(kind)}' for name, kind in dtype.fields.items())}>"
    kind = SparkType.to_string(dtype).lower().replace(" ", "")
    return {"tinyint": "int", "smallint": "int", "timestamp_ltz": "timestamp"}.get(kind, kind)


def ibis_type(kind: str) -> dt.DataType:
    """The Ibis type of a type as Spark names it."""
    return SparkType.from_string(kind)
