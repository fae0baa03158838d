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


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC, to a catalog of its own."""
    own = f"own_{next(NUMBERS)}"
    with database().cursor() as opened:
        opened.execute(f"SET TimeZone = 'UTC'; ATTACH ':memory:' AS {own}; USE {own}")
        try:
            yield opened
        finally:  # limits are the database's
            opened.execute(
                f"USE memory; DETACH {own}; RESET threads; RESET memory_limit; RESET max_temp_directory_size"
            )
