"""The tables of a lake as a session reads them: Spark computes, rows go there and come back as files."""

from __future__ import annotations

import datetime as dtm
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow.parquet as pq
from ibis.expr.schema import Schema

from assay.contract.columns import sql_type
from assay.contract.contract import Contract
from assay.errors import EngineError, WarehouseError
from assay.spark.dialect import declared, to_sql
from assay.spark.engine import brought, casts, hand_over, held
from assay.spark.failures import MEANWHILE, missing_is_fine
from assay.spark.known import Refused
from assay.spark.lake import OFFSETS, RECORD, Lake, spark_sql, tick
from assay.spark.session import SparkFailure
from assay.spark.types import ibis_type, spark_type
from assay.sql import quoted
from assay.warehouse import ops as books
from assay.warehouse.failures import STAYS, never_published, other_columns
from assay.warehouse.session import Session

if TYPE_CHECKING:
    from assay.spark.session import Cluster
    from assay.tables.nodes import TableDef


class LakeTables(Session):
    """A session whose tables are in a lake: what is published there, asked by Spark.

    Args:
        lake: opens where this session writes, with Spark; called at most once.
        token: names whose staging tables are this warehouse's.
        behind: of a dry run the real lake, which is read where this session has written nothing.
    """

    name = "spark"
    quoted = staticmethod(tick)

    def __init__(
        self,
        connection: Any,
        lake: Callable[[], Lake],
        *,
        token: str = "",
        behind: Lake | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(connection, **arguments)
        self._open, self.token, self.behind = lake, token, behind
        self.group = f"assay_{uuid.uuid4().hex}"
        self._given: list[str] = []
        self._queries: dict[str, str] = {}

    @cached_property
    def lake(self) -> Lake:
        """Where this session writes."""
        return self._open()

    @property
    def cluster(self) -> Cluster:
        """Spark."""
        return self.lake.cluster

    def beside(self) -> LakeTables:
        """A session with the same lake for another thread, whose jobs can be ended apart."""
        self.lake  # noqa: B018 - opened once for all
        other = super().beside()
        other.group, other._given, other._queries = f"assay_{uuid.uuid4().hex}", [], {}
        return other

    def lake_of(self, table: TableDef) -> Lake | None:
        """The lake in which `table` stands: this session's own first, else the real one; None if neither."""
        lakes = (self.lake,) if self.behind is None else (self.lake, self.behind)
        return next((each for each in lakes if each.exists(table.stage, table.name)), None)

    def exists(self, table: TableDef) -> bool:
        """Whether `table` was published, here or (dry runs) in the real lake."""
        return self.lake_of(table) is not None

    def published_in(self, table: TableDef) -> Lake:
        """The lake in which `table` stands; raises WarehouseError if it was never published."""
        lake = self.lake_of(table)
        if lake is None:
            raise never_published(table)
        return lake

    def relation(self, table: TableDef) -> str:
        """The name of `table` in Spark's SQL; raises WarehouseError if it was never published."""
        return self.published_in(table).table(table.stage, table.name)

    def columns(self, table: TableDef) -> dict[str, str]:
        """The published columns and their types as DuckDB names them; a type that Spark holds as another is the contract's."""
        return {name: sql_type(dtype) for name, dtype in self.schema(self.published_in(table), table).items()}

    def schema(self, lake: Lake, table: TableDef) -> dict[str, dt.DataType]:
        """The columns of `table` as it stands in `lake`, and their types."""
        wanted = Contract.of(table.model).schema
        actual = lake.columns(table.stage, table.name)
        return {
            name: wanted[name] if name in wanted and spark_type(wanted[name]) == kind else ibis_type(kind)
            for name, kind in actual.items()
        }

    def standing(self) -> dict[tuple[str, str], dict[str, str]]:
        """The tables of the real lake by stage and name, with their columns."""
        lake = self.behind or self.lake
        found = {}
        for stage, name in lake.published():
            with lake.told(), missing_is_fine():
                kinds = self.cluster.types(f"SELECT * FROM {lake.table(stage, name)}")
                found[stage, name] = {column: sql_type(ibis_type(kind)) for column, kind in kinds.items()}
        return found

    def count(self, table: TableDef) -> int:
        """The number of published rows of `table`."""
        return self.published_in(table).count(table.stage, table.name)

    def read(self, table: TableDef) -> ibis.Table:
        """The published rows of `table`; raises WarehouseError if there are none yet, or with other columns."""
        contract, lake = Contract.of(table.model), self.published_in(table)
        there = self.columns(table)
        wrong = [name for name, kind in contract.duckdb_columns.items() if there.get(name) != kind]
        if wrong:
            raise other_columns(table, wrong)
        return self._leaf(table.name, contract.schema, ops.Namespace(lake.name, table.stage))

    def scan(self, table: TableDef, *, among: str | None = None) -> str:
        """SQL for DuckDB, to stand in a FROM: the published rows, or those that are asked for, brought here."""
        lake = self.published_in(table)
        rows = f"SELECT * FROM {lake.table(table.stage, table.name)}"
        if among is not None:
            wanted = self.backend.sql(f"SELECT DISTINCT * FROM ({among})")
            rows += f" LEFT SEMI JOIN ({self.sql(wanted)}) USING ({', '.join(map(tick, wanted.columns))})"
        return f"({self.brought(rows, self.schema(lake, table))})"

    def landed(self, sql: str) -> ibis.Table:
        """What a connector landed, handed over to Spark once."""
        return self._handed(self.backend.sql(sql))

    @contextmanager
    def registered(self, rows: Any, name: str) -> Iterator[ibis.Table]:
        """An Arrow table or data frame as rows of Spark's."""
        self.connection.register(name, rows)
        try:
            yield self._handed(self.backend.table(name))
        finally:
            self.connection.unregister(name)

    def sql(self, expression: ibis.Table) -> str:
        """The rows of an expression in Spark's SQL, with the types that Ibis tells of it, in some of which Spark does not compute."""

        def step(node: Any, changed: Mapping[Any, Any] | None) -> Any:
            node = node.__recreate__(changed) if changed else node
            if not isinstance(node, ops.PhysicalTable | ops.SQLQueryResult) or isinstance(
                getattr(node, "source", None), Reader
            ):
                return node
            return self._handed(node.to_expr()).op()

        with self.told():
            return self.declared(to_sql(expression.op().replace(step).to_expr()), dict(expression.schema().items()))

    def declared(self, sql: str, schema: Mapping[str, dt.DataType]) -> str:
        """A statement's rows with the types of `schema`."""
        with self.told():
            actual = self.cluster.types(sql)
            if actual == {name: spark_type(dtype) for name, dtype in schema.items()}:
                return sql
            return f"SELECT {declared(schema, actual)} FROM ({sql})"

    def query(self, relation: str, where: str = "true") -> ibis.Table:
        """The rows of what stands in a FROM for which `where` holds, as a view until `forget`."""
        name, rows = f"query_{uuid.uuid4().hex}", f"SELECT * FROM {relation} WHERE {spark_sql(where)}"
        self._queries[name] = rows
        return self._view(name, f"({rows})")

    def spelled(self, sql: str) -> str:
        """The SQL of an expression with its queries in the place of the views that are called so."""
        for name, rows in self._queries.items():
            sql = sql.replace(tick(name), f"({rows})")
        return sql

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The few rows of a SELECT."""
        return self.lake.all(sql)

    @contextmanager
    def view(self, name: str, sql: str) -> Iterator[ibis.Table]:
        """Rows under a name, for the time of the block."""
        try:
            yield self._view(name, sql)
        finally:
            self.cluster.drop_view(name)

    def _view(self, name: str, sql: str) -> ibis.Table:
        self.lake.execute(f"CREATE OR REPLACE TEMP VIEW {tick(name)} AS SELECT * FROM {sql}")
        with self.told():
            types = self.cluster.types(f"SELECT * FROM {tick(name)}")
        return self._leaf(name, Schema({each: ibis_type(kind) for each, kind in types.items()}))

    def widen(self, table: TableDef, names: Sequence[str]) -> None:
        """Not with Spark: such a table is refused before."""
        raise EngineError("Spark takes no columns beyond the contract", where=f"{table.stage}.{table.name}")

    def brought(self, sql: str, schema: Mapping[str, dt.DataType]) -> str:
        """SQL for DuckDB of a statement's rows, computed now."""
        with self.told():
            return brought(self.cluster, sql, schema)

    @contextmanager
    def kept(self, sql: str, columns: str) -> Iterator[tuple[str, int]]:
        """A view of a statement's rows, computed once for the block, and how many they are; Spark knows their size."""
        name = f"kept_{uuid.uuid4().hex}"
        folder = self.cluster.folder / name
        with self.told():
            self.cluster.write(sql, folder)
            self.cluster.create_view(name, folder, columns)
        try:
            yield name, sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))
        finally:
            self.cluster.drop_view(name)
            shutil.rmtree(folder, ignore_errors=True)

    def settle(self) -> None:
        """Commit what the books have of the transaction so far: the quarantine is there before the rows are published."""
        self.connection.execute("COMMIT; BEGIN TRANSACTION")

    def knows(self, name: str, record: Mapping[str, Any]) -> bool:
        """Whether the books have what a commit says of a table."""
        at = dtm.datetime.fromisoformat(record["published_at"])
        asked = f"FROM {quoted(self.catalog)}.ops.publications WHERE table_name = ? AND run_id = ? AND published_at = ?"
        return bool(self.connection.execute(asked, [name, record["run_id"], at]).fetchall())

    def unmoved(self, table: TableDef) -> None:
        """Raise WarehouseError if a driver with other books has published `table` since these were opened."""
        record = self.lake.commit(table.stage, table.name).record
        if record and not self.knows(table.name, record):
            raise WarehouseError(MEANWHILE, where=f"{table.stage}.{table.name}", fix=f"Run it again. {STAYS}")

    def properties(self, table: TableDef, number: int | None) -> dict[str, Any]:
        """What a commit carries: the row that the books have of it under `number`, and how far the event log is read."""
        if number is None:
            return {}
        ask = self.connection.execute
        found = ask(f"SELECT * FROM {quoted(self.catalog)}.ops.publications WHERE id = ?", [number])
        row = dict(zip((each[0] for each in found.description), found.fetchall()[0], strict=True))
        read = books.offsets(self.connection, self.catalog, table.name)
        return {
            RECORD: row | {"published_at": row["published_at"].isoformat()},
            OFFSETS: {str(key): [int(offset), getattr(offset, "place", "")] for key, offset in read.items()},
        }

    def here(self, expression: ibis.Table) -> ibis.Table:
        """The rows of an expression, computed now, as DuckDB's."""
        return self.backend.sql(self.brought(self.sql(expression), dict(expression.schema().items())))

    def stop(self) -> None:
        """End what this session's thread asked for."""
        super().stop()
        if "lake" not in vars(self):
            return
        self.cluster.hang_up()
        with suppress(EngineError, SparkFailure), self.cluster.asked():
            self.cluster.spark.sparkContext.cancelJobGroup(self.group)

    @contextmanager
    def told(self, where: str | None = None) -> Iterator[None]:
        """What Spark refuses or cannot compute, as one line that quotes no value."""
        try:
            with self.lake.told(where):
                yield
        except Refused as error:
            raise EngineError(str(error), where=where) from error

    def _handed(self, rows: ibis.Table) -> ibis.Table:
        """Rows of DuckDB as a view of Spark's, until `forget`."""
        schema, view = dict(rows.schema().items()), f"read_{uuid.uuid4().hex}"
        with self.told():
            found = self.connection.execute(f"SELECT {casts(held(schema))} FROM ({self.duckdb_sql(rows)})")
            hand_over(self.cluster, found, schema, view)
        self._given.append(view)
        return self._leaf(view, rows.schema())

    def forget(self) -> None:
        """Remove what was handed over to Spark: the build that needed it is at its end."""
        for view in (*self._given, *self._queries):
            self.cluster.drop_view(view)
            (self.cluster.folder / f"{view}.parquet").unlink(missing_ok=True)
        self._given.clear()
        self._queries.clear()

    def _leaf(self, name: str, schema: Any, namespace: Any = None) -> ibis.Table:
        return ops.DatabaseTable(name, schema, Reader(self), namespace or ops.Namespace(None, None)).to_expr()


class Reader:
    """What Ibis asks for the rows of an expression over tables of a lake, as functions in Python and exports do: brought here, they are DuckDB's."""

    name = "pyspark"

    def __init__(self, session: LakeTables) -> None:
        self.session = session

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reader) and other.session is self.session

    def __hash__(self) -> int:
        return id(self.session)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("to_", "execute")):
            raise AttributeError(name)

        def answer(expression: ibis.Expr, *arguments: Any, params: Any = None, **options: Any) -> Any:
            rows = expression.as_table()
            found = getattr(self.session.here(rows), name)(*arguments, **options)
            if isinstance(expression, ibis.Table):
                return found
            as_is = {"execute": "__pandas_result__", "to_pyarrow": "__pyarrow_result__"}
            return getattr(expression, as_is[name])(found) if name in as_is else found

        return answer

    def compile(self, expression: ibis.Expr, **_: Any) -> str:
        """The SQL of an expression, for people."""
        return self.session.sql(expression.as_table())
