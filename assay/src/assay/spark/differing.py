"""How two versions of a lake's table differ: Spark counts, and rows that differ are brought here, up to a bound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.compare.sides import Counts, Sides
from assay.spark.lake import SIGNS, tick

if TYPE_CHECKING:
    from assay.spark.lake import Lake
    from assay.spark.lake_tables import LakeTables
    from assay.tables.nodes import TableDef

PULLED = 10_000
"""Up to so many differing rows of a version are brought here, and compared cell by cell."""
SHOWN = 10
"""Of more than that, so many added, removed and changed ones each."""
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def sides(session: LakeTables, table: TableDef, real: Lake, key: Sequence[str]) -> Sides:
    """The rows in which the version in `real` and the one that `session` sees differ.

    Rows are the same where 64 bits of their values are. A column of two types counts as changed where its text does, unless both are exact numbers.
    """
    lakes = (real, session.published_in(table))
    kinds = [lake.columns(table.stage, table.name) for lake in lakes]
    names = [name for name in kinds[0] if name in kinds[1]]
    values = [{name: _value(name, kinds[side][name], kinds[1 - side][name]) for name in names} for side in (0, 1)]
    hashes = [f"xxhash64(0{''.join(f', isnull({tick(name)}), {each[name]}' for name in names)})" for each in values]
    relations = [lake.table(table.stage, table.name) for lake in lakes]
    both = " UNION ALL ".join(
        f"SELECT {hashed} AS __hash, {sign} AS __n FROM {relation}"
        for hashed, sign, relation in zip(hashes, (1, -1), relations, strict=True)
    )
    uneven = f"SELECT __hash, {SIGNS} FROM ({both}) GROUP BY __hash HAVING __before <> __after"
    with session.kept(uneven, "__hash BIGINT, __before BIGINT, __after BIGINT") as (differing, _):
        *rows, added, removed = (
            int(count or 0)
            for count in session.ask(
                "SELECT sum(__before), sum(__after), sum(greatest(__after - __before, 0)), "
                f"sum(greatest(__before - __after, 0)) FROM {differing}"
            )[0]
        )
        counts, chosen, limit = None, f"SELECT __hash FROM {differing}", ""
        if max(rows) > PULLED:
            suspects = " UNION ALL ".join(
                f"SELECT *, {sign} AS __n FROM (SELECT {', '.join(f'{value} AS {tick(name)}' for name, value in each.items())}, "
                f"{hashed} AS __hash FROM {relation}) LEFT SEMI JOIN {differing} USING (__hash)"
                for each, hashed, sign, relation in zip(values, hashes, (1, -1), relations, strict=True)
            )
            known = key if all(kinds[0][name] == kinds[1][name] for name in key) else ()
            found = _by_key(session, suspects, known, names) if known else None
            if found is None:  # a row is known by its values alone
                key, counts, limit = (), Counts(added, removed, 0, {}), f" LIMIT {PULLED}"
                place = "row_number() OVER (PARTITION BY __before < __after ORDER BY __hash)"
                chosen = f"SELECT __hash FROM (SELECT *, {place} AS __place FROM {differing}) WHERE __place <= {SHOWN}"
            else:
                counts, chosen = found
        with session.kept(chosen, "__hash BIGINT") as (picked, _):
            brought = [
                session.brought(
                    f"SELECT {', '.join(map(tick, kinds[side]))} FROM (SELECT *, {hashes[side]} AS __hash FROM {relations[side]}) "
                    f"LEFT SEMI JOIN {picked} USING (__hash){limit}",
                    session.schema(lakes[side], table),
                )
                for side in (0, 1)
            ]
    before, after = brought
    totals = (real.count(table.stage, table.name), session.count(table))
    return Sides(f"SELECT * FROM ({before})", f"SELECT * FROM ({after})", tuple(key), totals, counts)


def _by_key(session: LakeTables, suspects: str, key: Sequence[str], names: Sequence[str]) -> tuple[Counts, str] | None:
    """Counts of the rows matched by key, and SQL of the hashes of the first of each kind; None where the key does not tell rows apart."""
    listed = ", ".join(map(tick, key))
    others = [name for name in names if name not in key]
    cells = [
        f"(NOT any_value({tick(name)}) FILTER (WHERE __n > 0) <=> any_value({tick(name)}) FILTER (WHERE __n < 0)) AS __cell{place}"
        for place, name in enumerate(others)
    ]
    hashes = [f"any_value(__hash) FILTER (WHERE __n {sign} 0) AS __hash{place}" for place, sign in enumerate("><")]
    keyed = f"SELECT {', '.join([listed, SIGNS, *cells, *hashes])} FROM ({suspects}) GROUP BY {listed}"
    null = " OR ".join(f"{tick(name)} IS NULL" for name in key)
    changed = "__before > 0 AND __after > 0"
    counted = [
        f"count(*) FILTER (WHERE {condition})"
        for condition in ("__before = 0", "__after = 0", changed, f"__before > 1 OR __after > 1 OR {null}")
    ]
    counted += [f"count(*) FILTER (WHERE {changed} AND __cell{place})" for place in range(len(others))]
    added, removed, both, untold, *cells_of = session.ask(f"SELECT {', '.join(counted)} FROM ({keyed})")[0]
    if untold:
        return None
    place = f"row_number() OVER (PARTITION BY __before, __after ORDER BY {listed}) AS __place"
    chosen = (
        f"SELECT explode(array_compact(array(__hash0, __hash1))) AS __hash FROM (SELECT *, {place} FROM ({keyed})) "
        f"WHERE __place <= {SHOWN}"
    )
    return Counts(added, removed, both, dict(zip(others, cells_of, strict=True))), chosen


def _value(name: str, kind: str, other: str) -> str:
    """SQL of a column's value, such that equal ones of both versions are one."""
    column = tick(name)
    if kind.startswith("map"):
        return f"to_json(map_entries({column}))"
    if kind.startswith(("array", "struct")):
        return f"to_json({column}, map('ignoreNullFields', 'false'))"
    if kind == other:
        return column
    scales = [_scale(each) for each in (kind, other)]
    if None not in scales:
        return f"try_cast({column} AS DECIMAL(38, {max(scale or 0 for scale in scales)}))"
    return f"CAST({column} AS STRING)"


def _scale(kind: str) -> int | None:
    """Decimal places of an exact number; None for other types."""
    found = _DECIMAL.fullmatch(kind)
    return int(found[2]) if found else 0 if kind in ("tinyint", "smallint", "int", "bigint") else None
