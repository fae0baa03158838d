"""Which input columns each column of a table is computed from, read off the Ibis expression.

A column's lineage is where its *values* come from. What only chooses or orders rows is not lineage: join
predicates, filters, sort keys, a window's partition and order, an aggregate's `where`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import ibis.expr.operations as ops
import sqlglot.errors
from sqlglot import exp
from sqlglot.lineage import lineage

if TYPE_CHECKING:
    import ibis

Column = tuple[str, str]
Columns = frozenset[Column]
_CARRIES = (
    *(ops.Filter, ops.Sort, ops.Limit, ops.Distinct, ops.Sample),
    *(ops.FillNull, ops.DropNull, ops.DropColumns, ops.Reference),
)
"""Relations that choose rows and columns of their parent, and compute none."""


def column_lineage(expr: ibis.Table, inputs: Mapping[str, ibis.Table]) -> dict[str, list[Column]]:
    """Output column -> sorted (table, column) pairs it is computed from; empty for constants.

    Args:
        inputs: table name -> the very expression handed to the function, whatever it is named in the database.
    """
    walk = _LineageWalk(inputs)
    root = expr.op()
    return {name: sorted(walk.column(root, name)) for name in root.schema.names}


def carried_columns(expr: ibis.Table, source: ibis.Table) -> dict[str, str]:
    """Columns of `source` -> the columns of `expr` that are those columns and nothing computed from them."""
    found: dict[str, str] = {}
    for name in expr.columns:
        origin = _origin(expr.op(), name, source.op())
        if origin is not None:
            found[origin] = name if origin not in found or name == origin else found[origin]
    return found


def origins(expr: ibis.Table, inputs: Mapping[str, ibis.Table]) -> dict[str, Column]:
    """Columns of `expr` -> the (table, column) of the inputs that they are, unchanged; no entry for computed ones."""
    found: dict[str, Column] = {}
    for table, source in inputs.items():
        for name in expr.columns:
            if (origin := _origin(expr.op(), name, source.op())) is not None:
                found[name] = (table, origin)
    return found


def _origin(relation: ops.Relation, name: str, source: ops.Relation) -> str | None:
    """The column of `source` that column `name` of `relation` is; None where it is none, or nothing tells."""
    while relation != source:
        values: Any = getattr(relation, "values", None) or {}
        if isinstance(relation, ops.Aggregate):
            values = relation.groups
        if isinstance(relation, ops.Set):
            origin = _origin(relation.left, name, source)
            return origin if origin == _origin(relation.right, name, source) else None
        if isinstance(relation, ops.FillNull) and _replaces(relation, name):
            return None
        if name in values:
            if not isinstance(values[name], ops.Field):
                return None
            relation, name = values[name].rel, values[name].name
        elif isinstance(relation, _CARRIES):
            relation = relation.parent
        else:
            return None
    return name


def _replaces(relation: ops.FillNull, name: str) -> bool:
    return not isinstance(relation.replacements, Mapping) or name in relation.replacements


class _LineageWalk:
    def __init__(self, inputs: Mapping[str, ibis.Table]) -> None:
        self.names = {table.op(): name for name, table in inputs.items()}
        self.inputs = {name: table.op() for name, table in inputs.items()}
        self.known: dict[tuple[ops.Relation, str], Columns] = {}

    def column(self, relation: ops.Relation, name: str) -> Columns:
        """Where column `name` of `relation` comes from."""
        key = (relation, name)
        if key not in self.known:
            self.known[key] = self._column(relation, name)
        return self.known[key]

    def _column(self, relation: ops.Relation, name: str) -> Columns:
        if relation in self.names:
            return frozenset({(self.names[relation], name)})
        if isinstance(relation, ops.Set):
            return self.column(relation.left, name) | self.column(relation.right, name)
        if isinstance(relation, ops.SQLStringView | ops.SQLQueryResult):
            return self._sql(relation, name)
        if isinstance(relation, ops.TableUnnest) and name in (relation.column_name, relation.offset):
            return self.value(relation.column)
        if isinstance(relation, ops.FillNull):
            return self.column(relation.parent, name) | self._filled(relation, name)
        values = getattr(relation, "values", None) or {}
        if name in values:
            return self.value(values[name])
        if isinstance(relation, ops.Aggregate):
            return self.value({**relation.groups, **relation.metrics}[name])
        parent = getattr(relation, "parent", None)
        return self.column(parent, name) if parent is not None else frozenset()

    def value(self, value: Any) -> Columns:
        """Where the values of a column expression come from."""
        if isinstance(value, ops.Field):
            return self.column(value.rel, value.name)
        if isinstance(value, ops.WindowFunction):
            return self.value(value.func)
        if isinstance(value, ops.ScalarSubquery):
            return self.column(value.rel, value.rel.schema.names[0])
        if isinstance(value, ops.ExistsSubquery):
            return frozenset()
        if isinstance(value, ops.InSubquery):
            return self.value(value.needle)
        if isinstance(value, ops.Reduction):
            chooses = (getattr(value, "where", None), *(getattr(value, "order_by", None) or ()))
            return self._each(part for part in parts(value) if part not in chooses)
        if isinstance(value, ops.Node) and not isinstance(value, ops.Relation):
            return self._each(parts(value))
        return frozenset()  # a literal, or the relation that count(*) counts the rows of

    def _each(self, values: Iterable[Any]) -> Columns:
        return frozenset().union(*(self.value(value) for value in values))

    def _filled(self, relation: ops.FillNull, name: str) -> Columns:
        replacements = relation.replacements
        return self.value(replacements.get(name) if isinstance(replacements, Mapping) else replacements)

    def _sql(self, relation: ops.SQLStringView | ops.SQLQueryResult, name: str) -> Columns:
        tables = {getattr(op, "name", name): op for name, op in self.inputs.items()} | self.inputs
        parent = getattr(relation, "parent", None)
        if parent is not None:
            tables[getattr(parent, "name", None) or ""] = parent
        leaves = _sql_columns(relation.query, name, {table: op.schema.names for table, op in tables.items()})
        if leaves is None:
            return self._all(parent) if parent is not None else self._named_in(relation.query)
        return frozenset().union(*(self.column(tables[table], column) for table, column in leaves))

    def _all(self, relation: ops.Relation) -> Columns:
        return frozenset().union(*(self.column(relation, name) for name in relation.schema.names))

    def _named_in(self, query: str) -> Columns:
        return frozenset().union(*(self._all(op) for name, op in self.inputs.items() if name in query))


def parts(node: ops.Node) -> list[Any]:
    """The nodes among a node's arguments, tuples opened."""
    found: list[Any] = []
    for argument in node.args:
        if isinstance(argument, tuple):
            found += argument
        elif isinstance(argument, Mapping):
            found += argument.values()
        else:
            found.append(argument)
    return [part for part in found if isinstance(part, ops.Node)]


def _sql_columns(query: str, column: str, tables: Mapping[str, Iterable[str]]) -> set[Column] | None:
    """The columns of `tables` that SQL's output `column` comes from; None when the SQL cannot be followed."""
    schema = {table: dict.fromkeys(columns, "unknown") for table, columns in tables.items() if table}
    try:
        tree = lineage(f'"{column}"', query, schema=schema, dialect="duckdb")
    except (sqlglot.errors.SqlglotError, ValueError, KeyError):
        return None
    found: set[Column] = set()
    for node in tree.walk():
        if node.downstream:
            continue
        if not isinstance(node.source, exp.Table):
            if list(node.expression.find_all(exp.Column, exp.Star)):
                return None
            continue
        name = node.name.rpartition(".")[2].strip('"')
        table = node.source.name
        if name == "*" or name not in set(schema.get(table, ())):
            return None
        found.add((table, name))
    return found
