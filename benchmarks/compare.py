"""The comparer behind golden tests and plans: two tables of a million rows and ten columns."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.measure import HEAD, Measured, Series, child, table
from benchmarks.options import Options

ROWS = 1_000_000
CHANGED = 1_000
"""One in so many rows has another amount on the changed side."""


def measure(options: Options) -> str:
    """Markdown: equal and different tables, with a key and without."""
    forms = {
        "plain `EXCEPT ALL` both ways, equal": {"changed": False, "keyed": False, "plain": True},
        "comparer, equal, by key": {"changed": False, "keyed": True, "plain": False},
        "comparer, one row in 1,000 changed, by key": {"changed": True, "keyed": True, "plain": False},
        "comparer, equal, no key": {"changed": False, "keyed": False, "plain": False},
        "comparer, one row in 1,000 changed, no key": {"changed": True, "keyed": False, "plain": False},
    }
    found: dict[str, list[Measured]] = {name: [] for name in forms}
    for _ in range(options.repeat):
        for name, form in forms.items():
            found[name].append(child(compare, **form))
    series = {name: Series(tuple(runs)) for name, runs in found.items()}
    base = next(iter(series.values()))
    rows = [[name, *runs.cells(base)] for name, runs in series.items()]
    parts = ["## Comparing tables", f"Two tables of {ROWS:,} rows and 10 columns of mixed types, in memory."]
    return "\n\n".join([*parts, table(["", *HEAD], rows)])


def compare(changed: bool, keyed: bool, plain: bool) -> dict[str, Any]:
    """Compare in one way; `differences` counts the rows that differ."""
    import duckdb

    from pipeline_project.framework.compare import compare as compare_rows

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"""CREATE TABLE expected AS SELECT range AS id, range % 7 AS small, hash(range)::VARCHAR AS text,
                (range * 1.25)::DECIMAL(14, 2) AS amount, range / 3 AS ratio, range % 2 = 0 AS flag,
                DATE '2017-01-01' + (range % 365)::INTEGER AS day, if(range % 5 = 0, NULL, range) AS gaps,
                chr((65 + range % 26)::INTEGER) AS code, TIMESTAMPTZ '2017-01-01 00:00:00+00' + to_seconds(range) AS at
            FROM range({ROWS})"""
    )
    amount = f"if(id % {CHANGED} = 0, amount + 1, amount)::DECIMAL(14, 2)" if changed else "amount"
    connection.execute(f"CREATE TABLE actual AS SELECT * REPLACE ({amount} AS amount) FROM expected")
    started = time.perf_counter()
    if plain:
        row = connection.execute(
            """SELECT (SELECT count(*) FROM (FROM expected EXCEPT ALL FROM actual)),
                      (SELECT count(*) FROM (FROM actual EXCEPT ALL FROM expected))"""
        ).fetchone()
        assert row is not None
        differing = row[0] + row[1]
    else:
        key = ("id",) if keyed else None
        found = compare_rows(connection, "SELECT * FROM expected", "SELECT * FROM actual", key=key)
        differing = not found.equal
    return {"seconds": time.perf_counter() - started, "differing": int(differing)}
