"""One Pandera check becomes one boolean expression, or is refused with the field's name.

Refused is what cannot run in the database (element-wise Python, user-defined functions), what would give
another verdict tomorrow (random numbers, the clock), and row rules that look at other rows: their verdict
would change with the partition or with the rows replayed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pandera.backends.ibis.builtin_checks  # noqa: F401 - registers Pandera's checks for Ibis
from ibis.expr.operations.udf import InputType
from ibis.expr.operations.vectorized import VectorizedUDF
from pandera.api.ibis.types import IbisData

from assay.contract import patterns
from assay.contract.arguments import Misfit, compares, fitted
from assay.contract.kinds import held, misfit
from assay.contract.naming import constraint_of, is_builtin
from assay.errors import ContractError

if TYPE_CHECKING:
    from pandera.api.checks import Check

_VOLATILE = {
    "random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "now", "today", "current_date",
    "current_time", "current_timestamp", "current_localtime", "current_localtimestamp", "get_current_time",
    "get_current_timestamp", "transaction_timestamp", "nextval", "currval", "txid_current",
}  # fmt: skip

_judged: dict[tuple[str, str, Any], Callable[[], tuple[Any, Any]]] = {}


@dataclass(frozen=True)
class Where:
    """The place a message names: file, model and, if there is one, field or check."""

    file: str
    model: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.model}.{self.field}" if self.field else f"{self.file}: {self.model}"

    def at(self, field: str | None) -> Where:
        """The same model at `field`."""
        return replace(self, field=field)


def judge(check: Check, rows: ibis.Table, column: str | None, where: Where) -> Callable[[], ir.BooleanValue]:
    """What makes what Pandera's check function says about `rows`: a boolean column, or a boolean scalar for a table rule.

    Raises:
        ContractError: the check cannot be one expression inside the database.
    """
    named = where.at(f"{column}, check '{check.name}'" if column else f"check '{check.name}'")
    _refuse_options(check, named)
    arguments = {**check._check_kwargs, **_normalized(check, named)}
    if column is None or not is_builtin(check):
        # Pandera shows a column check that column alone; so a check that needs others fails here as it does there.
        shown = rows if column is None else rows.select(column)
        found = _judge(check, arguments, rows, shown, column, named)
        return lambda: found
    # Most fields of a project share a few checks, and building an Ibis expression costs milliseconds: of those that
    # cannot be refused any more nobody waits for it who only loads the code.
    dtype = rows.schema()[column]
    known = (check._check_fn.__name__, repr(arguments), dtype)
    if known not in _judged:
        arguments |= _fitted(check, arguments, dtype, named)
        make = cache(partial(_of_value, check, arguments, dtype, named))
        if not compares(check._check_fn.__name__, arguments, dtype):
            make()
        _judged[known] = make
    return partial(_of_column, _judged[known], rows, column)


def _of_value(check: Check, arguments: Mapping[str, Any], dtype: Any, where: Where) -> tuple[Any, Any]:
    value = ibis.table({"value": dtype}, name="value")
    return _judge(check, arguments, value, value, "value", where).op(), value["value"].op()


def _of_column(make: Callable[[], tuple[Any, Any]], rows: ibis.Table, column: str) -> ir.BooleanValue:
    predicate, placeholder = make()
    found: ir.BooleanValue = predicate.replace({placeholder: rows[column].op()}).to_expr()
    return found


def _judge(
    check: Check, arguments: Mapping[str, Any], rows: ibis.Table, shown: ibis.Table, column: str | None, where: Where
) -> ir.BooleanValue:
    predicates = _predicates(_call(check, arguments, shown, column, where), where)
    predicate = predicates[0]
    for other in predicates[1:]:
        predicate = predicate & other
    inlined = _inline(predicate.op()).to_expr()
    if not isinstance(inlined, ir.BooleanValue):
        raise _refused(f"it returns {inlined.type()}, not true or false", where)
    _refuse_operations(inlined, rows, where)
    return inlined


def _refuse_options(check: Check, where: Where) -> None:
    if check.element_wise:
        raise _refused(
            "an element-wise Python check cannot run in the database",
            where,
            "Return an Ibis expression: data.table[data.key] > 0.",
        )
    if check.groupby is not None:
        raise _refused("a groupby check cannot be one row rule", where, "Write an @invariant over the grouped table.")
    if check.raise_warning:
        raise _refused(
            "raise_warning has no meaning here", where, "Set the table's max_rejects, or write an @invariant."
        )


def _call(check: Check, arguments: Mapping[str, Any], shown: ibis.Table, column: str | None, where: Where) -> Any:
    # A model made before Pandera's checks for Ibis were registered holds a dispatcher that does not know them, so the
    # registry is asked again, as Pandera's own Check.__call__ does.
    function = check.get_builtin_check_fn(check._check_fn.__name__) if is_builtin(check) else check._check_fn
    try:
        return function(IbisData(shown, column), **arguments)
    except Exception as error:  # the check is the model author's code: whatever it raises is told by name
        found = misfit(check, shown[column].type()) if column and is_builtin(check) else None
        if found is not None:
            raise _refused(found, where, "Give the column another type, or take the rule away.") from error
        line = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise _refused(f"it cannot be an expression: {type(error).__name__}: {line}", where) from error


def _fitted(check: Check, arguments: Mapping[str, Any], dtype: Any, where: Where) -> dict[str, Any]:
    try:
        return fitted(check._check_fn.__name__, arguments, dtype)
    except Misfit as error:
        # A day written as text is compared with, so that what is wrong with this one is told.
        kinds = None if dtype.is_temporal() and str(error).startswith("compares") else misfit(check, dtype)
        what = kinds or f"the rule '{constraint_of(check)}' {error}, and the column holds {held(dtype)}"
        raise _refused(
            what,
            where,
            f"Give {'the column' if kinds else 'it'} another {'type' if kinds else 'argument'}, or take the rule away.",
        ) from None


def _normalized(check: Check, where: Where) -> dict[str, Any]:
    """Arguments of built-in checks whose meaning would otherwise change on the way into SQL."""
    arguments: dict[str, Any] = {}
    if not is_builtin(check):
        return arguments
    for name in ("allowed_values", "forbidden_values"):
        if name in check._check_kwargs:
            if isinstance((check.statistics or {}).get(name), str):
                raise _refused("one text is taken as its letters", where, "Write a list: isin=[...].")
            # NULL in an IN list makes every other answer unknown; a set's order changes from process to process.
            present = [value for value in check._check_kwargs[name] if value is not None and value == value]
            arguments[name] = sorted(present, key=lambda value: (str(type(value)), str(value)))
    if "pattern" in check._check_kwargs:
        arguments["pattern"] = _pattern(check._check_kwargs["pattern"], where)
    return arguments


def _pattern(pattern: str | re.Pattern[str], where: Where) -> str:
    """The pattern in one group, with its flags: Pandera prefixes `^`, which would anchor only the first alternative."""
    flags = ""
    if isinstance(getattr(pattern, "pattern", pattern), bytes):
        raise _refused("its pattern is one of bytes", where, "Write it as text.")
    if isinstance(pattern, re.Pattern):
        known = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
        flags = "".join(letter for flag, letter in known.items() if pattern.flags & flag)
        if pattern.flags & re.VERBOSE:
            raise _refused("its pattern has a flag that RE2 does not know", where, "Write it without re.VERBOSE.")
        ascii_only, pattern = bool(pattern.flags & re.ASCII), pattern.pattern
    else:
        ascii_only = False
    try:
        translated = patterns.translated(pattern, ascii_only=ascii_only)
    except ValueError as error:
        raise _refused(f"its pattern means something else to RE2: {error}", where, patterns.FIX) from None
    # A capturing group: DuckDB 1.5 finds `^(?:)` in a constant and in no column.
    grouped = f"((?{flags}){translated})" if flags else f"({translated})"
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.scalar(""), grouped)  # Arrow compiles with RE2, as DuckDB does
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise _refused(
            f"its pattern is no RE2 expression: {error}", where, "DuckDB has no lookaround and no backreference."
        ) from None
    return grouped


def _predicates(result: Any, where: Where) -> list[Any]:
    """The boolean expressions in what a check function may return: a table, a dict, a column, a scalar."""
    if isinstance(result, ir.Table):
        operation = result.op()
        if not isinstance(operation, ops.Project):
            raise _refused("it returns a table that is no selection of its rows' columns", where)
        found = [value.to_expr() for value in operation.values.values()]
    elif isinstance(result, Mapping):
        found = list(result.values())
    else:
        found = [result]
    for value in found:
        if not isinstance(value, ir.BooleanValue):
            kind = "a Python bool, computed outside the database" if isinstance(value, bool) else _kind(value)
            raise _refused(f"it returns {kind}, not a boolean expression", where)
    if not found:
        raise _refused("it returns no boolean expression", where)
    return found


def _kind(value: Any) -> str:
    return f"values of type {value.type()}" if isinstance(value, ir.Value) else f"a {type(value).__name__}"


def _inline(operation: Any) -> Any:
    """`operation` with every selection on the way replaced by the expressions it selects."""

    def step(node: Any, changed: Mapping[str, Any] | None) -> Any:
        node = node.__recreate__(changed) if changed else node
        if isinstance(node, ops.Field) and isinstance(node.rel, ops.Project):
            return node.rel.values[node.name]
        if isinstance(node, ops.CountStar):
            relation = node.arg
            while isinstance(relation, ops.Project):  # a selection has as many rows as what it selects from
                relation = relation.parent
            return ops.CountStar(relation, where=node.where)
        return node

    while True:
        # Only values are walked: a relation that is left must stay whole. One round opens one selection.
        opened = operation.replace(step, filter=ops.Value)
        if opened == operation:
            return operation
        operation = opened


def _refuse_operations(predicate: Any, rows: ibis.Table, where: Where) -> None:
    root = predicate.op()
    for node in root.find(ops.Impure):
        if getattr(node, "__input_type__", None) is InputType.BUILTIN:
            if node.__func_name__.lower() not in _VOLATILE:
                continue
        elif isinstance(node, ops.ScalarUDF | ops.AggUDF):
            raise _refused(f"it calls the user-defined function '{node.__func_name__}'", where, "Write an expression.")
        raise _refused(f"{type(node).__name__} gives another verdict each time", where, "Compare with a column.")
    if root.find(VectorizedUDF):
        raise _refused("it calls a user-defined function", where, "Write an expression.")
    if root.find(ops.Subquery) or set(root.find(ops.Relation)) - {rows.op()}:
        raise _refused(
            "it reads other rows than the table's own, or drops some",
            where,
            "Use references= for a foreign key, or write an @invariant.",
        )
    if isinstance(predicate, ir.BooleanScalar):
        return
    if root.find((ops.Reduction, ops.Analytic, ops.WindowFunction)):
        raise _refused(
            "its verdict on a row depends on other rows",
            where,
            "Return one value for a rule about the table, or write an @invariant.",
        )


def _refused(what: str, where: Where, fix: str | None = None) -> ContractError:
    return ContractError(
        what, where=str(where), fix=fix or "Return a boolean Ibis expression over the table's columns."
    )
