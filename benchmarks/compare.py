"""The comparer behind golden tests and plans: two tables of a million rows and ten columns."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import duckdb

from assay.compare.engine import compare as compare_rows
from assay.warehouse.connection import Options as SessionOptions
from benchmarks.measure import HEAD, Measured, Series, child, table
from benchmarks.options import Options

ROWS = 1_000_000
CHANGED = 1_000
"""One in so many rows differs."""
_ACTUAL = {
    "none": "FROM expected",
    "amount": f"SELECT * REPLACE (if(id % {CHANGED} = 0, amount + 1, amount)::DECIMAL(14, 2) AS amount) FROM expected",
    "missing": f"FROM expected WHERE id % {CHANGED} <> 0",
    "all": f"""FROM expected WHERE id % {CHANGED} <> 0
        UNION ALL SELECT id, small + 1, text || '.', (amount + 1)::DECIMAL(14, 2), ratio + 1, NOT flag, "day" + 1,
            coalesce(gaps, 0) + 1, lower(code), "at" + INTERVAL 1 HOUR FROM expected WHERE id % {CHANGED} = 0""",
}
"""The other table, by what differs."""


def measure(options: Options) -> str:
    """Markdown: equal and different tables, with a key and without."""
    forms: dict[str, dict[str, Any]] = {
        "reading both: the largest value of every column": {"how": "read", "change": "none"},
        "plain `EXCEPT ALL` both ways, equal": {"how": "except", "change": "none"},
        "comparer, equal, by key": {"how": "key", "change": "none"},
        "comparer, one row in 1,000 changed, by key": {"how": "key", "change": "amount"},
        "comparer, one row in 1,000 missing, by key": {"how": "key", "change": "missing"},
        "comparer, all columns of one row in 1,000 changed, by key": {"how": "key", "change": "all"},
        "comparer, equal, no key": {"how": "multiset", "change": "none"},
        "comparer, one row in 1,000 changed, no key": {"how": "multiset", "change": "amount"},
    }
    found: dict[str, list[Measured]] = {name: [] for name in forms}
    for _ in range(5 * options.repeat):  # tenths of a second vary more than what takes longer
        for name, form in forms.items():
            found[name].append(child(compare, **form))
    series = {name: Series(tuple(runs)) for name, runs in found.items()}
    base = next(iter(series.values()))
    rows = [[name, *runs.cells(base, by_round=True)] for name, runs in series.items()]
    parts = [
        "## Comparing tables",
        f"Two tables of {ROWS:,} rows and 10 columns of mixed types, in a database file. The bar: at most 3x reading both.",
        f"The ratio is the median of {5 * options.repeat} rounds, in which all forms run within seconds of each other.",
    ]
    return "\n\n".join([*parts, table(["", *HEAD], rows)])


def compare(how: str, change: str) -> dict[str, Any]:
    """Compare in one way; `differing` says whether, or in how many rows, the tables differ."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tables.duckdb"
        with duckdb.connect(path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            _make(connection, change)
        # With the options of every session of the pipeline, for the reading as well.
        with duckdb.connect(path, read_only=True, config=SessionOptions().config()) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            started = time.perf_counter()
            differing = _differing(connection, how)
            return {"seconds": time.perf_counter() - started, "differing": differing}


def _make(connection: duckdb.DuckDBPyConnection, change: str) -> None:
    connection.execute(
        f"""CREATE TABLE expected AS SELECT range AS id, range % 7 AS small, hash(range)::VARCHAR AS text,
                (range * 1.25)::DECIMAL(14, 2) AS amount, range / 3 AS ratio, range % 2 = 0 AS flag,
                DATE '2017-01-01' + (range % 365)::INTEGER AS day, if(range % 5 = 0, NULL, range) AS gaps,
                chr((65 + range % 26)::INTEGER) AS code, TIMESTAMPTZ '2017-01-01 00:00:00+00' + to_seconds(range) AS at
            FROM range({ROWS})"""
    )
    connection.execute(f"CREATE TABLE actual AS {_ACTUAL[change]}")


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
