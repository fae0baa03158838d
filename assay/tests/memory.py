"""Connections to one database in memory: to open another takes fifty times as long."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

NUMBERS = itertools.count()


@functools.cache
def database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@functools.cache
def memory_limit() -> str:
    """DuckDB's own, as long as no test has set one."""
    return str(database().execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC, to a catalog of its own."""
    own, limit = f"own_{next(NUMBERS)}", memory_limit()
    with database().cursor() as opened:
        opened.execute(f"SET TimeZone = 'UTC'; ATTACH ':memory:' AS {own}; USE {own}")
        try:
            yield opened
        finally:  # limits are the database's; RESET would not tell the one of memory to whoever allocates it
            opened.execute(f"USE memory; DETACH {own}; RESET threads; SET memory_limit = '{limit}'")
