"""Rules: Pandera's checks as boolean expressions over a contract's rows.

A rule's expression is what Pandera's own Ibis check function returns, bound to the contract's unbound
table; `Contract.label` binds it to real rows. Missing values follow Pandera: a check ignores them unless it
says `ignore_na=False`, and a column that is not nullable has a rule of its own against them. As in Pandera,
NaN counts as missing in a floating-point column. (Inside a model's own expression NaN is what it is to DuckDB:
equal to itself and greater than every number.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from assay.contract.checks import Where, judge
from assay.contract.naming import code_of, description_of, is_builtin

if TYPE_CHECKING:
    from pandera.api.checks import Check


@dataclass(frozen=True)
class RowRule:
    """A rule about one row.

    Attributes:
        code: stable and readable, such as `quantity.ge_0`; unique in the contract.
        column: the column it is about; None for a rule about several.
        make: what makes `broken`.
    """

    code: str
    column: str | None
    description: str
    make: Callable[[], ir.BooleanValue] = field(compare=False, repr=False)

    @cached_property
    def broken(self) -> ir.BooleanValue:
        """True where the row breaks the rule, never null; over the contract's unbound rows."""
        return self.make()


@dataclass(frozen=True)
class TableRule:
    """A rule about the table as a whole, such as a share or a total; its code is the name of a check."""

    code: str
    column: str | None
    description: str
    holds: ir.BooleanScalar = field(compare=False, repr=False)
    rows: ibis.Table = field(compare=False, repr=False)

    def expression(self, table: ibis.Table) -> ir.BooleanScalar:
        """The verdict on `table`, as an expression: a boolean scalar."""
        return bind(self.holds, self.rows, table)


def bind(expression: Any, rows: ibis.Table, table: ibis.Table) -> Any:
    """`expression` over the contract's unbound `rows`, as the same expression over `table`."""
    return expression.op().replace({rows.op(): table.op()}).to_expr()


def not_null(rows: ibis.Table, column: str) -> RowRule:
    """The rule of a column that is not nullable."""
    return RowRule(f"{column}.not_null", column, f"{column} is not null", lambda: is_missing(rows[column]))


def is_missing(column: ir.Column) -> ir.BooleanValue:
    """Null, or NaN in a floating-point column: what Pandera takes for missing."""
    missing = column.isnull()
    # DuckDB's isnan(NULL) is NULL, and FALSE OR NULL is NULL: only ask it where there is a value.
    return missing | column.isnan().fill_null(False) if column.type().is_floating() else missing


def of_column(
    rows: ibis.Table, column: str, checks: list[Check], own_names: Collection[str], where: Where
) -> Iterator[RowRule | TableRule]:
    """The rules that a column's checks stand for.

    Args:
        own_names: names of the model's own checks that stand for one column only, and so can be a code as they are.
    """
    for check in checks:
        verdict = judge(check, rows, column, where)
        code = code_of(check, column, own_name=check.name in own_names)
        text = description_of(check, column)
        if not is_builtin(check) and isinstance(predicate := verdict(), ir.BooleanScalar):
            yield TableRule(code.replace(".", "_"), column, text, predicate, rows)
        else:
            yield RowRule(code, column, text, partial(_broken, check, rows, column, verdict))


def _broken(check: Check, rows: ibis.Table, column: str, verdict: Callable[[], ir.BooleanValue]) -> ir.BooleanValue:
    fails = ~verdict().fill_null(False)
    if check.ignore_na:
        return ~is_missing(rows[column]) & fails
    # To DuckDB NaN is greater than 0; to Pandera it satisfies no comparison.
    return is_missing(rows[column]) | fails if is_builtin(check) else fails


def of_rows(rows: ibis.Table, checks: list[Check], where: Where) -> Iterator[RowRule | TableRule]:
    """The rules that dataframe checks stand for."""
    for check in checks:
        predicate = judge(check, rows, None, where)()
        code, text = code_of(check, None, own_name=True), description_of(check, None)
        if isinstance(predicate, ir.BooleanScalar):
            yield TableRule(code, None, text, predicate, rows)
        else:
            # A comparison with a missing value is unknown, and Pandera lets it pass. Unknown for another reason,
            # such as a cast that failed, is a broken rule, as it is in a column's.
            passes = _is_any_missing(predicate, rows) if check.ignore_na else False
            broken = ~predicate.fill_null(passes)
            yield RowRule(code, None, text, lambda broken=broken: broken)  # type: ignore[misc]


def _is_any_missing(predicate: ir.BooleanValue, rows: ibis.Table) -> Any:
    """Whether one of the columns that `predicate` reads is null."""
    names = sorted({field.name for field in predicate.op().find(ops.Field) if field.rel == rows.op()})
    return ibis.or_(*(rows[name].isnull() for name in names)) if names else False
