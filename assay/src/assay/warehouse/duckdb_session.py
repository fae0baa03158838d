"""DuckDB's session: tables stand in the file of the books, or in front of it in a dry run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb

from assay.compare.sides import Sides
from assay.contract.contract import Contract
from assay.sql import quoted
from assay.warehouse import expressions
from assay.warehouse.duckdb_staging import DuckDBAdded, staged
from assay.warehouse.failures import never_published, other_columns
from assay.warehouse.session import Engine, Session, qualified

if TYPE_CHECKING:
    import ibis

    from assay.tables.nodes import TableDef
    from assay.warehouse.builds import Build
    from assay.warehouse.parts import Parts
    from assay.warehouse.protocol import Staging


class DuckDBSession(Session):
    """A session whose tables are DuckDB's.

    Args:
        engine: computes expressions and contracts; None for DuckDB itself.
    """

    name = "duckdb"

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, *, engine: Engine | None = None, **arguments: Any
    ) -> None:
        super().__init__(connection, **arguments)
        self.engine = engine

    @property
    def _catalogs(self) -> tuple[str, ...]:
        return (self.catalog,) if self.real is None else (self.catalog, self.real)

    def catalog_of(self, table: TableDef) -> str | None:
        """The catalog in which `table` stands: this session's own first, else the real one; None if neither."""
        for catalog in self._catalogs:
            # Asking for no row is quicker than duckdb_tables(), which describes every table there is.
            with suppress(duckdb.CatalogException):
                self.connection.execute(f"FROM {qualified(catalog, table.stage, table.name)} LIMIT 0")
                return catalog
        return None

    def exists(self, table: TableDef) -> bool:
        """Whether `table` was published, here or (dry runs) in the real warehouse."""
        return self.catalog_of(table) is not None

    def relation(self, table: TableDef) -> str:
        """The quoted SQL name of `table`; raises WarehouseError if it was never published."""
        return qualified(self._published_in(table), table.stage, table.name)

    def scan(self, table: TableDef, *, among: str | None = None) -> str:
        """The same: nothing is brought anywhere."""
        return self.relation(table)

    def sides(self, table: TableDef, key: Sequence[str]) -> Sides:
        """Both tables, whole."""
        real = qualified(self.real or self.catalog, table.stage, table.name)
        return Sides(f"SELECT * FROM {real}", f"SELECT * FROM {self.relation(table)}", tuple(key))

    def columns(self, table: TableDef) -> dict[str, str]:
        """The columns of `table`, published, and their types."""
        described = self.connection.execute(f"DESCRIBE {self.relation(table)}").fetchall()
        return {row[0]: row[1] for row in described}

    def read(self, table: TableDef) -> ibis.Table:
        """The published rows of `table`; raises WarehouseError if there are none yet, or with other columns.

        Columns that it took beyond its contract are for people: a table that reads it gets what the contract says.
        """
        contract = Contract.of(table.model)
        for catalog in self._catalogs:
            with suppress(duckdb.CatalogException):
                rows = expressions.of_table(self.backend, (catalog, table.stage, table.name))
                problems = contract.schema_problems(rows.schema())
                if wrong := [each.column for each in problems if each.kind in ("missing", "type")]:
                    raise other_columns(table, wrong)
                return rows.select(*contract.duckdb_columns) if table.takes_more else rows
        raise never_published(table)

    def _published_in(self, table: TableDef) -> str:
        catalog = self.catalog_of(table)
        if catalog is None:
            raise never_published(table)
        return catalog

    def count(self, table: TableDef) -> int:
        """The number of published rows of `table`."""
        return self.number(f"SELECT count(*) FROM {self.relation(table)}")

    @contextmanager
    def registered(self, rows: Any, name: str) -> Iterator[ibis.Table]:
        """An Arrow table or data frame as an Ibis table, for the time of the block."""
        self.connection.register(name, rows)
        try:
            yield self.backend.table(name)
        finally:
            self.connection.unregister(name)

    def sql(self, expression: ibis.Table) -> str:
        """SQL, for DuckDB, of the rows of an Ibis expression, which the session's engine computes."""
        return self.duckdb_sql(expression) if self.engine is None else self.engine.rows(self, expression)

    def query(self, relation: str, where: str = "true") -> ibis.Table:
        """The rows of what stands in a FROM for which `where` holds."""
        return expressions.of_query(self.backend, f"SELECT * FROM {relation} WHERE {where}")

    def landed(self, sql: str) -> ibis.Table:
        """The rows of a SELECT as an expression."""
        return expressions.of_query(self.backend, sql)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        return self.connection.execute(sql).fetchall()

    @contextmanager
    def view(self, name: str, sql: str) -> Iterator[ibis.Table]:
        """Rows under a name, for the time of the block."""
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS SELECT * FROM {sql}")
        try:
            yield expressions.of_query(self.backend, f"SELECT * FROM {quoted(name)}")
        finally:
            self.connection.execute(f"DROP VIEW {quoted(name)}")

    def staging(self, build: Build) -> AbstractContextManager[Staging]:
        """The rows of a build in a table that nobody reads, which is dropped where the block fails."""
        return staged(self, build)

    def widen(self, table: TableDef, names: Sequence[str]) -> None:
        """Give `table`, published, columns of text more, empty."""
        with self.transaction():
            target = self._own(table)
            for name in names:
                self.connection.execute(f"ALTER TABLE {target} ADD COLUMN {quoted(name)} VARCHAR")

    def add(self, table: TableDef, contract: Contract, rows: str, parts: Parts | None) -> DuckDBAdded:
        """Add the rows of a SELECT to `table`, published."""
        self.connection.execute(f"INSERT INTO {self._own(table)} BY NAME {rows}")
        return DuckDBAdded(self, table, contract, parts)

    def _own(self, table: TableDef) -> str:
        """The quoted SQL name of `table`, published, to be written: a dry run has a copy of its own, and only reads the real one."""
        target, existing = qualified(self.catalog, table.stage, table.name), self.relation(table)
        if existing != target:
            self.make_schema(table.stage)
            self.connection.execute(f"CREATE TABLE {target} AS FROM {existing}")
        return target
