"""Whether a table's partition is computed from the same partition of an input alone, read off the Ibis expression.

Where it is, a partition is as good as that of the input; where that cannot be told, it depends on the whole input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis.expr.operations as ops

if TYPE_CHECKING:
    import ibis

Names = frozenset[str]
_KEEPS = (ops.Sort, ops.Distinct, ops.DropNull, ops.Reference)
"""Relations that leave every row's columns as they are."""


def is_aligned(expr: ibis.Table, column: str, source: ibis.Table, partitioned_by: str) -> bool:
    """Whether every row of `expr` comes only from rows of `source` that have its own value of the partition column.

    Args:
        column: the partition column of `expr`.
        source: the very expression handed to the table's function.
        partitioned_by: the partition column of `source`.
    """
    try:
        return column in (_AlignmentWalk(source.op(), partitioned_by).carried(expr.op()) or ())
    except _Unclear:
        return False


class _Unclear(Exception):
    """The expression does something that cannot be followed."""


class _AlignmentWalk:
    """Finds, for each relation, the columns that carry the source's partition value; None where it reads it not at all."""

    def __init__(self, source: ops.Relation, column: str) -> None:
        self.source, self.column = source, column
        self.known: dict[ops.Relation, Names | None] = {}

    def carried(self, relation: ops.Relation) -> Names | None:
        if relation not in self.known:
            self.known[relation] = self._carried(relation) if self._reads(relation) else None
        return self.known[relation]

    def _reads(self, node: ops.Node) -> bool:
        # What SQL reads is text: it may read anything.
        return any(found == self.source or isinstance(found, ops.SQLQueryResult) for found in node.find(ops.Relation))

    def _carried(self, relation: ops.Relation) -> Names:
        if relation == self.source:
            return frozenset({self.column})
        if isinstance(relation, ops.JoinChain):
            return self._joined(relation)
        if isinstance(relation, ops.Set):
            sides = [names for side in (relation.left, relation.right) if (names := self.carried(side)) is not None]
            return frozenset.intersection(*sides)
        parent = getattr(relation, "parent", None)
        if not isinstance(parent, ops.Relation):
            raise _Unclear
        names = self.carried(parent)
        if names is None:  # only a subquery among its values reads the source
            raise _Unclear
        if isinstance(relation, ops.Project):
            return self._passed(relation.values, parent, names)
        if isinstance(relation, ops.Filter):
            self._each(relation.predicates, names)
            return names
        if isinstance(relation, ops.Aggregate):
            groups = self._passed(relation.groups, parent, names)
            if not groups:
                raise _Unclear
            self._each(relation.metrics.values(), names)
            return groups
        if isinstance(relation, ops.DropColumns):
            return names - set(relation.columns_to_drop)
        if isinstance(relation, _KEEPS):
            return names
        raise _Unclear

    def _joined(self, chain: ops.JoinChain) -> Names:
        reads = {table: names for table in chain.tables if (names := self.carried(table)) is not None}
        first, *others = reads
        link = {join.table: join for join in chain.rest}
        for table in reads:
            # Rows that are there because the source has none would depend on all of it.
            if table in link and link[table].how in ("semi", "anti", "asof"):
                raise _Unclear
        for table in others:
            equal = (each for each in link[table].predicates if isinstance(each, ops.Equals))
            pairs = [{part for part in (each.left, each.right) if isinstance(part, ops.Field)} for each in equal]
            if not any({self._of(part, reads) for part in pair} >= {first, table} for pair in pairs):
                raise _Unclear
        for join in chain.rest:
            self._each(join.predicates, frozenset())
        fields = {name: value for name, value in chain.values.items() if isinstance(value, ops.Field)}
        self._each((value for name, value in chain.values.items() if name not in fields), frozenset())
        return frozenset(name for name, value in fields.items() if self._of(value, reads) is not None)

    @staticmethod
    def _of(value: ops.Field, reads: dict[Any, Names]) -> Any:
        """The joined table whose partition value the field is; None if it is no partition value."""
        return value.rel if value.name in reads.get(value.rel, ()) else None

    def _passed(self, values: Any, parent: ops.Relation, names: Names) -> Names:
        """The names under which values are a partition value of the parent, unchanged."""
        self._each(values.values(), names)
        return frozenset(
            name
            for name, value in values.items()
            if isinstance(value, ops.Field) and value.rel == parent and value.name in names
        )

    def _each(self, values: Any, names: Names) -> None:
        """Raise where a value looks at other rows of the source than its own partition's."""
        for value in values:
            for window in value.find(ops.WindowFunction):
                if not any(isinstance(part, ops.Field) and part.name in names for part in window.group_by):
                    raise _Unclear
            for inner in value.find((ops.ScalarSubquery, ops.InSubquery, ops.ExistsSubquery)):
                if self._reads(inner.rel):
                    raise _Unclear
