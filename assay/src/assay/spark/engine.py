"""Spark as the engine of a session: expressions go there with the rows they read, and the rows they give come back.

Both ways rows are Parquet in a folder that driver and workers see. Ibis's own way of handing rows to Spark starts
Python on every worker, and makes 'NaN' of a missing text.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow.parquet as pq

from assay.contract.columns import sql_type
from assay.contract.contract import Contract
from assay.errors import EngineError, PipelineError
from assay.spark.dialect import SparkType, declared, to_sql
from assay.spark.known import Refused
from assay.spark.session import SparkFailure
from assay.sql import literal, quoted
from assay.warehouse.failures import first_line

if TYPE_CHECKING:
    import duckdb

    from assay.spark.session import Cluster
    from assay.tables.nodes import TableDef
    from assay.warehouse.session import Session

ROWS = "__rows"
BATCH = 100_000
"""Rows that are handed over at a time."""


class SparkEngine:
    """Computes in the place of DuckDB what a session asks for; see `assay.warehouse.session.Engine`.

    Args:
        cluster: open for as long as the engine is used.

    Attributes:
        tables: how many tables' functions were computed.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.folder = cluster, cluster.folder
        self.name = f"spark {cluster.version} ({cluster.address})"
        self.tables = 0

    @property
    def gone(self) -> EngineError | None:
        """Why nothing more can be computed; None as long as Spark answers."""
        return self.cluster.gone

    def problem(self, session: Session, expression: Callable[[], ibis.Table]) -> str | None:
        """Why Spark would not compute what `expression` returns as DuckDB does; None where nothing is known of it."""
        try:
            asked = expression()
            with self._moved(session, asked) as moved:
                self.cluster.types(self._declared(to_sql(moved), dict(asked.schema().items())))
        except PipelineError:
            raise
        except Refused as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - of a function nobody has seen, of Ibis or of Spark: a line for each
            return f"Spark cannot compute it: {type(error).__name__}: {first_line(error)[:200]}"
        return None

    def rows(self, session: Session, expression: ibis.Table) -> str:
        """SQL, for DuckDB, of the rows that `expression` gives."""
        schema = dict(expression.schema().items())
        with self._told(self.name), self._moved(session, expression) as moved:
            return brought(self.cluster, self._declared(to_sql(moved), schema), schema)

    def labelled(self, session: Session, table: TableDef, expression: ibis.Table, beside: Sequence[str]) -> str:
        """SQL, for DuckDB, of the contract's columns, those named in `beside`, and the masks of broken rules."""
        contract = Contract.of(table.model)
        schema = {**contract.schema, **{name: expression[name].type() for name in beside}}
        where = f"{table.stage}.{table.name} ({table.file})"
        with self._told(where), self._moved(session, expression) as moved:
            rows = self._declared(to_sql(moved), schema)
            labels = compiled_label(contract, tuple(schema[name] for name in beside), tuple(beside))
            masks = dict.fromkeys(contract.mask_columns, dt.uint64)
            self.tables += table.engine != "python"
            return brought(self.cluster, f"WITH `{ROWS}` AS ({rows}) {labels}", {**schema, **masks})

    @contextmanager
    def _told(self, where: str) -> Iterator[None]:
        """Raise an EngineError, which quotes no value, for what Spark refuses or cannot compute."""
        try:
            yield
        except Refused as error:
            raise EngineError(str(error), where=where) from error
        except SparkFailure as error:
            if error.kind is None:
                raise
            raise EngineError(
                f"Spark cannot compute it: {error.kind}", where=where, fix="Use try_cast where a value may not fit."
            ) from error

    @contextmanager
    def _moved(self, session: Session, expression: ibis.Table) -> Iterator[ibis.Table]:
        """`expression`, reading views of Spark's in the place of DuckDB's tables, for the time of the block."""
        views: list[str] = []

        def step(node: Any, changed: Mapping[Any, Any] | None) -> Any:
            node = node.__recreate__(changed) if changed else node
            if not isinstance(node, ops.PhysicalTable | ops.SQLQueryResult):
                return node
            views.append(f"read_{uuid.uuid4().hex}")  # Spark reads no file whose name begins with _
            rows = f"SELECT {casts(held(node.schema))} FROM ({session.duckdb_sql(node.to_expr())})"
            hand_over(self.cluster, session.connection.execute(rows), dict(node.schema.items()), views[-1])
            return ops.UnboundTable(name=views[-1], schema=node.schema)

        try:
            yield expression.op().replace(step).to_expr()
        finally:
            for view in views:
                self.cluster.drop_view(view)

    def _declared(self, sql: str, schema: Mapping[str, dt.DataType]) -> str:
        """The statement with the types that Ibis tells of it, in some of which Spark does not compute."""
        return f"SELECT {declared(schema, self.cluster.types(sql))} FROM ({sql})"


def hand_over(cluster: Cluster, found: duckdb.DuckDBPyConnection, schema: Mapping[str, dt.DataType], view: str) -> None:
    """The rows of DuckDB's answer, in the types of `held`, as a view of Spark's with the types of `schema`."""
    reader = found.to_arrow_reader(BATCH)
    file = cluster.folder / f"{view}.parquet"
    with pq.ParquetWriter(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    columns = ", ".join(f"{_tick(name)} {SparkType.to_string(dtype)}" for name, dtype in held(schema).items())
    cluster.create_view(view, file, columns)


def brought(cluster: Cluster, sql: str, schema: Mapping[str, dt.DataType]) -> str:
    """Run a statement, and return SQL of its rows for DuckDB, with the types of `schema`."""
    folder = cluster.folder / f"computed_{uuid.uuid4().hex}"
    cluster.write(sql, folder)
    return f"SELECT {casts(schema)} FROM read_parquet({literal(f'{folder}/*.parquet')})"


def held(schema: Mapping[str, dt.DataType]) -> dict[str, dt.DataType]:
    """The types in which Spark holds values of those of `schema`."""
    return {name: _held(dtype) for name, dtype in schema.items()}


def _held(dtype: dt.DataType) -> dt.DataType:
    """The type in which Spark holds values of `dtype`."""
    return SparkType.to_ibis(SparkType.from_ibis(dtype)) if not dtype.is_timestamp() else dtype


def casts(types: Mapping[str, dt.DataType]) -> str:
    """SQL, for DuckDB: columns in these types."""
    return ", ".join(f"CAST({quoted(name)} AS {sql_type(dtype)}) AS {quoted(name)}" for name, dtype in types.items())


def _tick(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@lru_cache(maxsize=1024)
def compiled_label(contract: Contract, types: tuple[dt.DataType, ...], beside: tuple[str, ...]) -> str:
    """SQL over rows that are called `ROWS`: what `Contract.label` makes of them, with further columns beside."""
    rows = ibis.table({**contract.schema, **dict(zip(beside, types, strict=True))}, name=ROWS)
    return to_sql(contract.label(rows, mask_type="int64"))
