"""The comparer behind golden tests and plans: two tables of a million rows and ten columns."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import duckdb

from benchmarks.measure import HEAD, Measured, Series, child, table
from benchmarks.options import Options
from pipeline_project.framework.compare import compare as compare_rows
from pipeline_project.framework.warehouse.connection import Options as SessionOptions

ROWS = 1_000_000
CHANGED = 1_000
"""One in so many rows has another amount on the changed side."""


def measure(options: Options) -> str:
    """Markdown: equal and different tables, with a key and without."""
    forms = {
        "reading both: the largest value of every column": {"how": "read", "changed": False},
        "plain `EXCEPT ALL` both ways, equal": {"how": "except", "changed": False},
        "comparer, equal, by key": {"how": "key", "changed": False},
        "comparer, one row in 1,000 changed, by key": {"how": "key", "changed": True},
        "comparer, equal, no key": {"how": "multiset", "changed": False},
        "comparer, one row in 1,000 changed, no key": {"how": "multiset", "changed": True},
    }
    found: dict[str, list[Measured]] = {name: [] for name in forms}
    for _ in range(3 * options.repeat):  # tenths of a second vary more than what takes longer
        for name, form in forms.items():
            found[name].append(child(compare, **form))
    series = {name: Series(tuple(runs)) for name, runs in found.items()}
    base = next(iter(series.values()))
    rows = [[name, *runs.cells(base)] for name, runs in series.items()]
    parts = [
        "## Comparing tables",
        f"Two tables of {ROWS:,} rows and 10 columns of mixed types, in a database file. The bar: at most 3x reading both.",
    ]
    return "\n\n".join([*parts, table(["", *HEAD], rows)])


def compare(how: str, changed: bool) -> dict[str, Any]:
    """Compare in one way; `differing` says whether, or in how many rows, the tables differ."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tables.duckdb"
        with duckdb.connect(path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            _make(connection, changed)
        # With the options of every session of the pipeline, for the reading as well.
        with duckdb.connect(path, read_only=True, config=SessionOptions().config()) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            started = time.perf_counter()
            differing = _differing(connection, how)
            return {"seconds": time.perf_counter() - started, "differing": differing}


def _make(connection: duckdb.DuckDBPyConnection, changed: bool) -> None:
    connection.execute(
        f"""CREATE TABLE expected AS SELECT range AS id, range % 7 AS small, hash(range)::VARCHAR AS text,
                (range * 1.25)::DECIMAL(14, 2) AS amount, range / 3 AS ratio, range % 2 = 0 AS flag,
                DATE '2017-01-01' + (range % 365)::INTEGER AS day, if(range % 5 = 0, NULL, range) AS gaps,
                chr((65 + range % 26)::INTEGER) AS code, TIMESTAMPTZ '2017-01-01 00:00:00+00' + to_seconds(range) AS at
            FROM range({ROWS})"""
    )
    amount = f"if(id % {CHANGED} = 0, amount + 1, amount)::DECIMAL(14, 2)" if changed else "amount"
    connection.execute(f"CREATE TABLE actual AS SELECT * REPLACE ({amount} AS amount) FROM expected")


def _differing(connection: duckdb.DuckDBPyConnection, how: str) -> int:
    if how == "read":
        for table_name in ("expected", "actual"):
            connection.execute(f"SELECT max(COLUMNS(*)) FROM {table_name}").fetchall()
        return 0
    if how == "except":
        row = connection.execute(
            """SELECT (SELECT count(*) FROM (FROM expected EXCEPT ALL FROM actual)),
                      (SELECT count(*) FROM (FROM actual EXCEPT ALL FROM expected))"""
        ).fetchone()
        assert row is not None
        return int(row[0] + row[1])
    key = ("id",) if how == "key" else None
    return int(not compare_rows(connection, "SELECT * FROM expected", "SELECT * FROM actual", key=key).equal)
