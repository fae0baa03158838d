"""Whether a column of an expression can hold a missing value, told from the expression and its inputs' contracts.

Three answers: never (`False`), possibly (`True`), or nothing here tells (`None`): an operation that may give null although
none went in, such as a lookup in a map. What is not known to keep values is never taken for "never".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.operations as ops

from assay.tables.lineage import parts

_NEVER = (
    *(ops.IsNull, ops.NotNull, ops.Count, ops.CountStar, ops.CountDistinct, ops.CountDistinctStar, ops.ExistsSubquery),
    *(ops.RowNumber, ops.RankBase, ops.NTile, ops.CumeDist, ops.PercentRank),
    *(ops.Constant, ops.TimestampNow, ops.DateNow, ops.RandomScalar, ops.RandomUUID, ops.TypeOf),
)
_KEEP = (
    *(ops.Cast, ops.Negate, ops.Abs, ops.Sign, ops.Round, ops.Floor, ops.Ceil),
    *(ops.Add, ops.Subtract, ops.Multiply, ops.Comparison, ops.LogicalBinary, ops.Not, ops.Between),
    *(ops.StringUnary, ops.StringConcat, ops.StringLength, ops.StringReplace, ops.RegexReplace, ops.Substring),
    *(ops.StartsWith, ops.EndsWith, ops.StringContains, ops.RegexSearch, ops.StringSQLLike, ops.LPad, ops.RPad),
    *(ops.ExtractDateField, ops.ExtractTimeField, ops.DayOfWeekIndex, ops.DayOfWeekName, ops.Date, ops.Strftime),
    *(ops.DateTruncate, ops.TimestampTruncate, ops.TimestampBucket),
    *(ops.DateAdd, ops.DateSub, ops.DateDiff, ops.TimestampAdd, ops.TimestampSub, ops.TimestampDiff),
    *(ops.Hash, ops.HexDigest, ops.InValues, ops.IsNan, ops.IsInf),
)
"""Operations that give null only where they were given it."""
_OF_A_GROUP = (
    *(ops.Sum, ops.Min, ops.Max, ops.Mean, ops.Any, ops.All, ops.First, ops.Last, ops.Arbitrary, ops.Mode, ops.Median),
)
"""Aggregates that give null only for a group without a value."""


class Nulls:
    """Answers for columns of expressions over `inputs`.

    Args:
        inputs: the expression of each table read -> its columns' nullability.
    """

    def __init__(self, inputs: Mapping[ops.Relation, Mapping[str, bool]]) -> None:
        self._inputs = dict(inputs)
        self._known: dict[tuple[ops.Relation, str], bool | None] = {}

    def column(self, relation: ops.Relation, name: str) -> bool | None:
        """Whether column `name` of `relation` can be null."""
        key = (relation, name)
        if key not in self._known:
            self._known[key] = self._column(relation, name)
        return self._known[key]

    def _column(self, relation: Any, name: str) -> bool | None:
        if relation in self._inputs:
            return self._inputs[relation].get(name, True)
        if isinstance(relation, ops.Set):
            return _any([self.column(relation.left, name), self.column(relation.right, name)])
        if isinstance(relation, ops.FillNull):
            before, given = self.column(relation.parent, name), relation.replacements
            if before is False or (isinstance(given, Mapping) and name not in given):
                return before
            filling = given[name] if isinstance(given, Mapping) else given
            return self.value(filling) if isinstance(filling, ops.Node) else filling is None
        if isinstance(relation, ops.DropNull):
            chosen = relation.subset is None or name in {getattr(each, "name", each) for each in relation.subset}
            return False if chosen and relation.how == "any" else self.column(relation.parent, name)
        if isinstance(relation, ops.JoinChain):
            return self._joined(relation, relation.values[name])
        if isinstance(relation, ops.Aggregate):
            return self.value({**relation.groups, **relation.metrics}[name], grouped=bool(relation.groups))
        if isinstance(relation, ops.Filter) and any(_holds_for(test, name) for test in relation.predicates):
            return False
        values = getattr(relation, "values", None)
        if isinstance(values, Mapping) and name in values:
            return self.value(values[name])
        parent = getattr(relation, "parent", None)
        return self.column(parent, name) if parent is not None else None

    def _joined(self, chain: Any, value: Any) -> bool | None:
        """A column of a join: that of a side that may be missing is null where it is."""
        missing: set[Any] = set()
        seen = [chain.first]
        for link in chain.rest:
            if link.how in ("left", "asof", "outer", "any_left"):
                missing.add(link.table)
            if link.how in ("right", "outer"):
                missing.update(seen)
            seen.append(link.table)
        if any(field.rel in missing for field in value.find(ops.Field)):
            return True
        return self.value(value)

    def value(self, value: Any, *, grouped: bool = False) -> bool | None:
        """Whether a value can be null; `grouped`: whether an aggregate has at least one row."""
        if isinstance(value, ops.Literal):
            return value.value is None
        if isinstance(value, ops.Alias):
            return self.value(value.arg, grouped=grouped)
        if isinstance(value, ops.Field):
            return self.column(value.rel, value.name)
        if isinstance(value, _NEVER):
            return False
        if isinstance(value, ops.Coalesce):
            return False if any(self.value(arg) is False for arg in value.arg) else _any(map(self.value, value.arg))
        if isinstance(value, ops.SearchedCase | ops.SimpleCase):
            return _any([*map(self.value, value.results), self.value(value.default)])
        if isinstance(value, ops.IfElse):
            return _any([self.value(value.true_expr), self.value(value.false_null_expr)])
        if isinstance(value, ops.WindowFunction):
            framed = value.start is not None or value.end is not None
            found = self.value(value.func, grouped=not framed)
            return True if framed and found is not False else found
        if isinstance(value, ops.Lag | ops.Lead | ops.NullIf | ops.TryCast):
            return True
        if isinstance(value, _OF_A_GROUP):
            return self.value(value.arg) if grouped and value.where is None else True
        if isinstance(value, _KEEP):
            return _any(self.value(part) for part in parts(value))
        found = _any(self.value(part) for part in parts(value) if not isinstance(part, ops.Relation))
        return True if found else None


def _any(answers: Any) -> bool | None:
    found = list(answers)
    return True if True in found else None if None in found else False


def _holds_for(test: Any, name: str) -> bool:
    """Whether a filter's condition leaves no row in which the column is null."""
    return isinstance(test, ops.NotNull) and isinstance(test.arg, ops.Field) and test.arg.name == name
