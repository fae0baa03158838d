"""A DuckDB connection that cannot write outside its own database, for dry runs.

Every text is split and classified by DuckDB's own parser; what is not known to be harmless is refused. The
engine stands behind it: the real database is attached READ_ONLY, and what would undo that (DETACH, ATTACH,
a changed setting) never reaches the engine. Methods of connections and relations are allowed by name, so
that a method a later DuckDB adds is refused until somebody has thought about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from assay.sql import literal
from assay.warehouse.dry.statements import check_name, check_sql, refused

_RESULTS = """arrow close description df fetch_arrow_reader fetch_arrow_table fetch_df fetch_df_chunk
    fetch_record_batch fetchall fetchdf fetchmany fetchnumpy fetchone pl rowcount tf to_arrow_reader to_arrow_table
    to_df torch"""
_OF_CONNECTIONS = """array_type begin commit create_function decimal_type dtype enum_type extract_statements
    filesystem_is_registered from_arrow from_csv_auto from_df from_parquet get_table_names interrupt
    list_filesystems list_type map_type query_progress read_csv read_json read_parquet register remove_function
    rollback row_type sqltype string_type struct_type table type union_type unregister values view"""
_OF_RELATIONS = """aggregate alias any_value apply arg_max arg_min avg bit_and bit_or bit_xor bitstring_agg
    bool_and bool_or columns count cross cume_dist dense_rank describe distinct dtypes except_ execute explain favg
    filter first first_value fsum geomean histogram intersect join lag last last_value lead limit list map max mean
    median min mode n_tile nth_value order percent_rank product project quantile quantile_cont quantile_disc rank
    rank_dense row_number select select_dtypes select_types set_alias shape show sort sql_query std stddev
    stddev_pop stddev_samp string_agg sum type types union unique value_counts var var_pop var_samp variance"""
_NAMED = frozenset({"create", "to_table", "insert_into", "create_view", "to_view"})


def guarded(
    connection: duckdb.DuckDBPyConnection, *, readonly_catalogs: Iterable[str] = ("real",)
) -> GuardedConnection:
    """`connection`, guarded; `readonly_catalogs` are the names under which read-only databases are attached."""
    return GuardedConnection(connection, readonly_catalogs)


class _Guarded:
    """Hands allowed attributes through, and guards what they return."""

    def __init__(self, inner: Any, catalogs: Iterable[str], allowed: str) -> None:
        self._inner = inner
        self._catalogs = frozenset(name.lower() for name in catalogs)
        self._allowed = frozenset(allowed.split())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._allowed:
            if not hasattr(self._inner, name):
                raise AttributeError(f"{type(self._inner).__name__} has no attribute '{name}'")
            raise refused(f".{name}()")
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            plain = [_unwrap(argument) for argument in arguments]
            return self._wrap(found(*plain, **{key: _unwrap(value) for key, value in options.items()}))

        return call

    def _wrap(self, value: Any) -> Any:
        if value is self._inner:
            return self
        if isinstance(value, duckdb.DuckDBPyConnection):
            return GuardedConnection(value, self._catalogs)
        if isinstance(value, duckdb.DuckDBPyRelation):
            return GuardedRelation(value, self._catalogs)
        return value

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()


class GuardedConnection(_Guarded):
    """A DuckDB connection that refuses every statement and method that could write outside its own database.

    Raises:
        WarehouseError: at the refused call, before the engine sees it; the message names the statement.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, readonly_catalogs: Iterable[str]) -> None:
        super().__init__(connection, readonly_catalogs, f"{_RESULTS} {_OF_CONNECTIONS}")

    def lock(self, folders: Iterable[Path] | None = None) -> None:
        """Freeze every DuckDB setting for good; call it when the set-up is done.

        Args:
            folders: the only folders whose files the engine may still open, beside databases attached before;
                None: no limit. Links in the way are allowed as they are written and as they resolve.
        """
        if folders is not None:
            names = sorted({name for folder in folders for name in (str(folder.absolute()), str(folder.resolve()))})
            texts = ", ".join(map(literal, names))
            self._inner.execute(f"SET allowed_directories = [{texts}]")
            self._inner.execute("SET enable_external_access = false")
        self._inner.execute("SET lock_configuration = true")

    def execute(self, query: Any, parameters: Any = None) -> GuardedConnection:
        """As DuckDB's, checked."""
        self._inner.execute(check_sql(query, self._catalogs), parameters)
        return self

    def executemany(self, query: Any, parameters: Any = None) -> GuardedConnection:
        """As DuckDB's, checked."""
        self._inner.executemany(check_sql(query, self._catalogs), parameters)
        return self

    def sql(self, query: Any, **options: Any) -> Any:
        """As DuckDB's, checked."""
        return self._wrap(self._inner.sql(check_sql(query, self._catalogs), **options))

    query = from_query = sql

    def append(self, table_name: str, df: Any, **options: Any) -> GuardedConnection:
        """As DuckDB's, checked."""
        check_name(table_name, self._catalogs)
        self._inner.append(table_name, df, **options)
        return self

    def cursor(self) -> GuardedConnection:
        """A second connection to the same database, guarded too."""
        return GuardedConnection(self._inner.cursor(), self._catalogs)

    duplicate = cursor


class GuardedRelation(_Guarded):
    """A relation of a guarded connection: it reads, and writes tables of the connection's own database only."""

    def __init__(self, relation: duckdb.DuckDBPyRelation, readonly_catalogs: Iterable[str]) -> None:
        super().__init__(relation, readonly_catalogs, f"{_RESULTS} {_OF_RELATIONS}")

    def query(self, virtual_table_name: str, sql_query: str) -> Any:
        """As DuckDB's, checked."""
        return self._wrap(self._inner.query(virtual_table_name, check_sql(sql_query, self._catalogs)))

    def __getattr__(self, name: str) -> Any:
        if name not in _NAMED:
            return super().__getattr__(name)
        method = getattr(self._inner, name)

        def call(table_name: str, *arguments: Any, **options: Any) -> Any:
            check_name(table_name, self._catalogs)
            return self._wrap(method(table_name, *arguments, **options))

        return call

    def __getitem__(self, name: str) -> Any:
        return self._wrap(self._inner[name])

    def __len__(self) -> int:
        return len(self._inner)

    def __repr__(self) -> str:
        return repr(self._inner)


def _unwrap(value: Any) -> Any:
    return value._inner if isinstance(value, _Guarded) else value
