"""Rows in numbers, in Spark's SQL: partitions' keys, a hash of their content, the profile of a table."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assay.contract.classification import is_masked
from assay.contract.profile import ENOUGH, SAMPLED, Profile, column_profile, digest, is_ordered
from assay.spark.lake import text, tick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.contract.columns import Column
    from assay.contract.contract import Contract
    from assay.tables.nodes import TableDef
    from assay.tables.partitions import Partitions
    from assay.warehouse.session import Session


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
    """SQL of what is hashed of a value: nested ones as text, for Spark hashes [] as [NULL], [[1], [2]] as [[1, 2]], and no map."""
    name, dtype = tick(column.name), column.dtype
    return f"to_json({f'map_entries({name})' if dtype.is_map() else name})" if dtype.is_nested() else name


def contents(session: Session, contract: Contract, partitions: Partitions, rows: str) -> dict[str, tuple[int, str]]:
    """Rows and content hash of each partition of `rows`, which stands in a FROM."""
    described = ", ".join(f"{name} {kind}" for name, kind in contract.duckdb_columns.items())
    parts = [f"CAST({part} AS DECIMAL(38, 0))" for part in _sums("__hash")]
    total = " + ".join(f"{part} * {1 << shift}" for part, shift in zip(parts, SHIFTS, strict=True))
    found = session.ask(
        f"SELECT {key_of(partitions)}, count(*), md5(concat_ws(';', {text(described)}, count(*), {total})) "
        f"FROM (SELECT {tick(partitions.column)}, {row_hash(contract)} AS __hash FROM {rows}) GROUP BY 1"
    )
    return {key: (count, data) for key, count, data in found}


def profiled(session: Session, contract: Contract, whole: str, *, rows: int | None = None) -> Profile:
    """The profile of the rows of `whole`; see `assay.contract.profile`.

    What Spark compiles whole, sketches of distinct values, and the rest are asked apart: one text's minimum among them, or one
    sketch, has the whole aggregate interpreted, which takes three times as long. Of many values one of `SAMPLED` hashes goes into
    a sketch of 4 KB: Spark's own approx_count_distinct is two hundred columns for each.

    Args:
        rows: how many there are, where that is known: few rows are asked at once, and every distinct value is counted.
    """
    columns = contract.columns
    compiled, rest = _asked(columns)
    exact = {f"distinct{place}": _exact(column) for place, column in enumerate(columns)}
    hashed = f"(SELECT *, {row_hash(contract)} AS __hash FROM {whole})"
    if (session.ask(f"SELECT count(*) FROM {whole}")[0][0] if rows is None else rows) < SAMPLED * ENOUGH:
        found = _answered(session, compiled | rest | exact, hashed)
    else:
        # A null's hash is 42, which is no sampled one.
        sketches = {
            f"distinct{place}": f"hll_sketch_estimate(hll_sketch_agg(__{place}, 12) FILTER (WHERE __{place} & {SAMPLED - 1} = 0))"
            for place in range(len(columns))
        }
        hashes = ", ".join(f"xxhash64({_hashed(column)}) AS __{place}" for place, column in enumerate(columns))
        sampled = _answered(session, sketches, f"(SELECT {hashes} FROM {whole})")
        rest |= {name: counted for name, counted in exact.items() if sampled[name] < ENOUGH}
        found = {name: count * SAMPLED for name, count in sampled.items()} | _answered(session, compiled, hashed)
        found |= _answered(session, rest, whole) if rest else {}
    ends = {name: columns[int(name.strip("lowhig"))].sql_type for name in found if name.startswith(("low", "high"))}
    if ends:  # DuckDB writes a value as text
        listed = ", ".join(f"CAST(CAST(? AS {kind}) AS VARCHAR)" for kind in ends.values())
        texts = session.connection.execute(f"SELECT {listed}", [found[name] for name in ends]).fetchall()[0]
        found |= dict(zip(ends, texts, strict=True))
    total = _summed(found, "total") or 0
    profiles = []
    for place, column in enumerate(columns):
        present, mean = found[f"present{place}"], found.get(f"mean{place}")
        whole_sum = _summed(found, f"mean{place}")
        if isinstance(mean, Decimal):
            whole_sum = int(mean.scaleb(_scale(column)))
        if whole_sum is not None:  # exact, as DuckDB's: a whole number, divided once
            mean = float(whole_sum) / (present * 10 ** _scale(column))
        values = (present, None, found.get(f"low{place}"), found.get(f"high{place}"), mean)
        profiles.append(column_profile(column, found["rows"], found[f"distinct{place}"], values))
    return Profile(found["rows"], tuple(profiles), digest(columns, found["rows"], total), total)


def _asked(columns: Sequence[Column]) -> tuple[dict[str, str], dict[str, str]]:
    """The aggregates over rows with their `__hash`: those that Spark compiles, and those of texts."""
    compiled, rest = {"rows": "count(*)"} | _named("total", "__hash"), dict[str, str]()
    for place, column in enumerate(columns):
        name, shown = tick(column.name), not is_masked(column.classification)
        compiled[f"present{place}"] = f"count({name})"
        if shown and is_ordered(column):
            ends = {f"low{place}": f"min({name})", f"high{place}": f"max({name})"}
            (rest if column.dtype.is_string() else compiled).update(ends)
        if shown and column.dtype.is_signed_integer():
            compiled |= _named(f"mean{place}", f"CAST({name} AS BIGINT)")
        elif shown and column.dtype.is_numeric():
            compiled[f"mean{place}"] = _mean(column)
    return compiled, rest


def _answered(session: Session, asked: Mapping[str, str], among: str) -> dict[str, Any]:
    """The one row of aggregates, by name."""
    return dict(zip(asked, session.ask(f"SELECT {', '.join(asked.values())} FROM {among}")[0], strict=True))


SHIFTS = (44, 22, 0)


def _sums(value: str) -> list[str]:
    """SQL of the sums of a BIGINT's three parts, at `SHIFTS`: none overflows below a trillion rows, nor is a decimal, which is slow."""
    mask = (1 << 22) - 1
    return [f"sum(shiftright({value}, 44))", f"sum(shiftright({value}, 22) & {mask})", f"sum({value} & {mask})"]


def _named(name: str, value: str) -> dict[str, str]:
    return {f"{name}_{shift}": part for shift, part in zip(SHIFTS, _sums(value), strict=True)}


def _summed(found: Mapping[str, Any], name: str) -> int | None:
    """The exact sum whose parts were asked under `name`; None where there is none."""
    if found.get(f"{name}_{SHIFTS[0]}") is None:
        return None
    return sum(int(found[f"{name}_{shift}"]) << shift for shift in SHIFTS)


def _mean(column: Column) -> str:
    """SQL of the mean of floats, in which NaN and infinities have none, or of the exact sum of decimals."""
    name = tick(column.name)
    if column.dtype.is_floating():
        return f"avg(CAST({name} AS DOUBLE)) FILTER (WHERE NOT isnan({name}) AND abs({name}) < double('infinity'))"
    return f"sum(CAST({name} AS DECIMAL(38, {_scale(column)})))"


def _scale(column: Column) -> int:
    kind: Any = column.dtype
    return int(kind.scale) if kind.is_decimal() else 0


def _exact(column: Column) -> str:
    """SQL that counts the distinct values of a column of few."""
    return f"size(collect_set(xxhash64({_hashed(column)})) FILTER (WHERE {tick(column.name)} IS NOT NULL))"
