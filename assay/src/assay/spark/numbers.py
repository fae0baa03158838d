"""Rows in numbers, in Spark's SQL: partitions' keys, a hash of their content, the profile of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis.expr.datatypes as dt

from assay.contract.classification import is_masked
from assay.contract.profile import ENOUGH, SAMPLED, Profile, column_profile, digest, is_ordered
from assay.spark.lake import text, tick

if TYPE_CHECKING:
    from assay.contract.columns import Column
    from assay.contract.contract import Contract
    from assay.spark.lake_session import LakeSession
    from assay.tables.nodes import TableDef
    from assay.tables.partitions import Partitions


def key_of(partitions: Partitions) -> str:
    """SQL of a row's key as text; see `Partitions.key_sql`."""
    column = tick(partitions.column)
    if partitions.unit == "static":
        return f"CAST({column} AS STRING)"
    if partitions.unit == "hour":
        return f"date_format({column}, 'yyyy-MM-dd-HH:00')"
    if partitions.unit == "week":
        first = f"DATE '{partitions.start.date()}'"
        column = f"date_add({first}, CAST(7 * floor(datediff({column}, {first}) / 7) AS INT))"
    elif partitions.unit == "month":
        column = f"date_trunc('month', {column})"
    return f"date_format({column}, 'yyyy-MM-dd')"


def day_of(partitions: Partitions) -> str:
    """SQL of the day with which a row's partition begins."""
    return f"to_date(left({key_of(partitions)}, 10))"


def iceberg_partition(table: TableDef) -> str | None:
    """SQL of Iceberg's partitions such that each of the table's own is a whole number of them."""
    if table.partitions is None:
        return None
    column = tick(table.partitions.column)
    return {"hour": f"hours({column})", "month": f"months({column})"}.get(table.partitions.unit, column)


def row_hash(contract: Contract) -> str:
    """SQL of a hash of the row's values; a null is told apart from its neighbour's, which Spark's own does not."""
    values = [_hashed(column) for column in contract.columns]
    return f"xxhash64({', '.join(f'isnull({tick(column.name)}), {value}' for column, value in zip(contract.columns, values, strict=True))})"


def _hashed(column: Column) -> str:
    name = tick(column.name)
    return f"to_json(map_entries({name}))" if column.dtype.is_map() else name


def contents(session: LakeSession, contract: Contract, partitions: Partitions, rows: str) -> dict[str, tuple[int, str]]:
    """Rows and content hash of each partition of `rows`, which stands in a FROM."""
    described = ", ".join(f"{name} {kind}" for name, kind in contract.duckdb_columns.items())
    total = f"sum(CAST({row_hash(contract)} AS DECIMAL(38, 0)))"
    found = session.ask(
        f"SELECT {key_of(partitions)}, count(*), md5(concat_ws(';', {text(described)}, count(*), {total})) FROM {rows} GROUP BY 1"
    )
    return {key: (count, data) for key, count, data in found}


def profiled(session: LakeSession, contract: Contract, whole: str) -> Profile:
    """The profile of the rows of `whole`; see `assay.contract.profile`.

    One wide aggregate, and a second one of the columns that turn out to have few distinct values.
    """
    columns = contract.columns
    asked, schema = ["count(*) AS __rows"], dict[str, Any]({"__rows": dt.int64})
    asked.append(f"CAST(sum(CAST({row_hash(contract)} AS DECIMAL(38, 0))) AS DECIMAL(38, 0)) AS __total")
    schema["__total"] = dt.Decimal(38, 0)
    for place, column in enumerate(columns):
        name, shown = tick(column.name), not is_masked(column.classification)
        asked += [f"count({name}) AS __n{place}", f"approx_count_distinct({_hashed(column)}, 0.03) AS __d{place}"]
        schema |= {f"__n{place}": dt.int64, f"__d{place}": dt.int64}
        if shown and is_ordered(column):
            asked += [f"min({name}) AS __low{place}", f"max({name}) AS __high{place}"]
            schema |= {f"__low{place}": column.dtype, f"__high{place}": column.dtype}
        if shown and column.dtype.is_numeric():
            # NaN and infinities have no mean.
            finite = f" FILTER (WHERE NOT isnan({name}) AND abs({name}) < double('infinity'))"
            asked.append(f"avg(CAST({name} AS DOUBLE)){finite if column.dtype.is_floating() else ''} AS __mean{place}")
            schema[f"__mean{place}"] = dt.float64
    brought = session.brought(f"SELECT {', '.join(asked)} FROM {whole}", schema)
    texts = ", ".join(
        f"CAST({name} AS VARCHAR) AS {name}" if name.startswith(("__low", "__high")) else name for name in schema
    )
    row = dict(zip(schema, session.connection.execute(f"SELECT {texts} FROM ({brought})").fetchall()[0], strict=True))
    few = [place for place in range(len(columns)) if row[f"__d{place}"] < SAMPLED * ENOUGH]
    sets = ", ".join(f"size(collect_set(xxhash64({_hashed(columns[place])})))" for place in few)
    where = " OR ".join(f"{tick(columns[place].name)} IS NOT NULL" for place in few)
    exact = dict(zip(few, session.ask(f"SELECT {sets} FROM {whole} WHERE {where}")[0], strict=True)) if few else {}
    return Profile(
        row["__rows"],
        tuple(
            column_profile(
                column,
                row["__rows"],
                exact.get(place, row[f"__d{place}"]),
                (row[f"__n{place}"], None, *(row.get(f"__{each}{place}") for each in ("low", "high", "mean"))),
            )
            for place, column in enumerate(columns)
        ),
        digest(columns, row["__rows"], int(row["__total"] or 0)),
        int(row["__total"] or 0),
    )
