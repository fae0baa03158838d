"""The mutants of a query: each is the query with one small mistake a person could make.

Ibis writes an expression that is used twice into the SQL twice. One mistake in the code would change all copies, so
identical fragments are changed together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zoneinfo import available_timezones

import sqlglot
from sqlglot import exp

DIALECT = "duckdb"
_ALIAS = re.compile(r'"t\d+"\.')
_QUOTED = re.compile(r'"([A-Za-z_][A-Za-z0-9_]*)"')
_UNITS = {"DAY": "WEEK", "WEEK": "MONTH", "MONTH": "DAY", "HOUR": "DAY", "YEAR": "MONTH", "MINUTE": "HOUR"}


@dataclass(frozen=True)
class Mutant:
    """A query with one change.

    Attributes:
        before, after: the changed fragment, without Ibis's table aliases.
        nth: which of several changes that read the same, from 1.
    """

    table: str
    operator: str
    before: str
    after: str
    nth: int
    sql: str

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What an annotation names."""
        return (self.table, self.operator, self.before, self.after, self.nth)


@dataclass(frozen=True)
class _Change:
    """`node` becomes `new`; `context` is the fragment to show, and by which copies are recognised."""

    operator: str
    node: exp.Expr
    new: exp.Expr | None
    context: exp.Expr


def mutants(table: str, sql: str) -> list[Mutant]:
    """All mutants of a query, in the order in which they stand in it."""
    tree = sqlglot.parse_one(sql, dialect=DIALECT)
    grouped: dict[tuple[str, str, str], list[_Change]] = {}
    for change in _changes(tree):
        before = _sql(change.context)
        with _Changed([change]):
            after = _sql(change.new if change.context is change.node else change.context)
        if before != after:
            grouped.setdefault((change.operator, before, after), []).append(change)
    found: list[Mutant] = []
    seen: dict[tuple[str, str, str], int] = {}
    whole = tree.sql(DIALECT)
    for (operator, before, after), changes in grouped.items():
        with _Changed(changes):
            mutated = tree.sql(DIALECT)
        if mutated == whole:
            continue
        shown = (operator, readable(before), readable(after))
        seen[shown] = seen.get(shown, 0) + 1
        found.append(Mutant(table, *shown, seen[shown], mutated))
    return found


def readable(fragment: str) -> str:
    """A fragment without Ibis's table aliases, needless quotes and the insides of subqueries."""
    plain = " ".join(_QUOTED.sub(r"\1", _ALIAS.sub("", fragment)).split())
    return _without_subqueries(plain)


def _without_subqueries(text: str) -> str:
    """`JOIN (SELECT ...) AS t3 ON a = b` without what the subquery selects; its insides have mutants of their own."""
    kept: list[str] = []
    depth = hidden = 0
    for index, character in enumerate(text):
        if character == "(":
            depth += 1
            if not hidden and text.startswith(("(SELECT ", "(WITH "), index):
                hidden = depth
                kept.append("(...")
        if not hidden:
            kept.append(character)
        if character == ")":
            if hidden == depth:
                hidden = 0
                kept.append(")")
            depth -= 1
    return "".join(kept)


class _Changed:
    """Applies changes to the tree for the time of the block: copying a large tree for each would be slow."""

    def __init__(self, changes: list[_Change]) -> None:
        self.changes = changes
        self.undo: list[tuple[exp.Expr, str, int | None, exp.Expr]] = []

    def __enter__(self) -> None:
        for change in self.changes:
            node, parent = change.node, change.node.parent
            assert parent is not None
            assert node.arg_key is not None
            self.undo.append((parent, node.arg_key, node.index, node))
            new = change.new.copy() if change.new is not None else None
            _put(parent, node.arg_key, node.index, new)

    def __exit__(self, *_: object) -> None:
        for parent, key, index, node in reversed(self.undo):
            _put(parent, key, index, node)


def _put(parent: exp.Expr, key: str, index: int | None, node: exp.Expr | None) -> None:
    if index is None:
        parent.set(key, node)
        return
    # Not `set(key, node, index)`: it would remove the place of a None and move the others.
    items = list(parent.args[key])
    items[index] = node
    parent.args[key] = items
    if node is not None:
        node.parent, node.arg_key, node.index = parent, key, index


def _changes(tree: exp.Expr) -> Iterator[_Change]:
    for node in tree.walk(bfs=False):
        if node.parent is None or node.find_ancestor(exp.DataType):
            continue
        for operator in _OPERATORS:
            yield from operator(node)


def _sql(node: exp.Expr | None) -> str:
    return node.sql(DIALECT) if node is not None else ""


def _swapped(operator: str, *pairs: tuple[type[exp.Expr], type[exp.Expr]]) -> Callable[[exp.Expr], Iterator[_Change]]:
    """An operator by which a node becomes the other of a pair, with the same arguments; later pairs go first."""
    kinds = {kind: other for pair in pairs for kind, other in (pair, pair[::-1])}

    def swap(node: exp.Expr) -> Iterator[_Change]:
        if type(node) in kinds:
            yield _Change(operator, node, kinds[type(node)](**node.copy().args), node)

    return swap


def _between(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Between):
        this, low, high = node.this, node.args["low"], node.args["high"]
        for lower, upper in ((exp.GT, exp.LTE), (exp.GTE, exp.LT)):
            new = exp.And(
                this=lower(this=this.copy(), expression=low.copy()),
                expression=upper(this=this.copy(), expression=high.copy()),
            )
            yield _Change("comparison", node, exp.paren(new), node)


def _join(node: exp.Expr) -> Iterator[_Change]:
    if not isinstance(node, exp.Join):
        return
    new = node.copy()
    kind, side = node.args.get("kind") or "", node.args.get("side") or ""
    if side == "LEFT":
        new.set("side", None)
        new.set("kind", None if node.args.get("method") == "ASOF" else "INNER")
    elif kind == "INNER":
        new.set("side", "LEFT")
        new.set("kind", None)
    elif kind in ("SEMI", "ANTI"):
        new.set("kind", "ANTI" if kind == "SEMI" else "SEMI")
    else:
        return
    yield _Change("join", node, new, node)


def _filter(node: exp.Expr) -> Iterator[_Change]:
    """Conditions dropped: all of a WHERE, HAVING or QUALIFY, or one of several joined by AND."""
    if isinstance(node, exp.Where | exp.Having | exp.Qualify):
        if not isinstance(node.this, exp.And):
            yield _Change("filter", node, None, node)
    elif isinstance(node, exp.And) and _is_condition(node):
        # Of three conditions, `(a AND b) AND c`, one is dropped at a time: the inner AND tells of a and b.
        if not isinstance(node.right, exp.And):
            yield _Change("filter", node, node.left.copy(), node)
        if not isinstance(node.left, exp.And):
            yield _Change("filter", node, node.right.copy(), node)


def _is_condition(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, exp.And | exp.Paren):
        node, parent = parent, parent.parent
    return isinstance(parent, exp.Where | exp.Having | exp.Qualify) or (
        isinstance(parent, exp.Join) and node.arg_key == "on"
    )


def _unwrapped(node: exp.Expr) -> Iterator[_Change]:
    """COALESCE, NULLIF and TRIM dropped."""
    if isinstance(node, exp.Coalesce | exp.Nullif | exp.Trim):
        inner = node.this.copy()
        # Without parentheses `a / NULLIF(b / 7, 0)` would become `(a / b) / 7`.
        yield _Change(node.key, node, exp.paren(inner) if isinstance(inner, exp.Binary) else inner, node)
    if isinstance(node, exp.TryCast):
        yield _Change("try_cast", node, exp.Cast(this=node.this.copy(), to=node.to.copy()), node)


_AGGREGATES: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.Sum: exp.Max,
    exp.Min: exp.Max,
    exp.Max: exp.Min,
    exp.Avg: exp.Max,
    exp.LogicalOr: exp.LogicalAnd,
    exp.LogicalAnd: exp.LogicalOr,
}


def _aggregate(node: exp.Expr) -> Iterator[_Change]:
    if type(node) in _AGGREGATES:
        yield _Change("aggregate", node, _AGGREGATES[type(node)](this=node.this.copy()), node)
    elif isinstance(node, exp.Count):
        if isinstance(node.this, exp.Star) or node.this is None:
            one = exp.Max(this=exp.Literal.number(1))
            # A mutant of another type would be killed by its type alone.
            yield _Change("aggregate", node, exp.cast(one, "BIGINT"), node)
        elif not isinstance(node.this, exp.Distinct):
            yield _Change("aggregate", node, exp.Sum(this=node.this.copy()), node)


def _logic(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.And | exp.Or):
        kind = exp.Or if isinstance(node, exp.And) else exp.And
        new = exp.paren(kind(this=node.left.copy(), expression=node.right.copy()))
        yield _Change("logic", node, new, node)
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        if isinstance(node.parent, exp.Not):
            yield _Change("logic", node.parent, node.copy(), node.parent)
        else:
            yield _Change("logic", node, exp.Not(this=node.copy()), node)


def _constant(node: exp.Expr) -> Iterator[_Change]:
    """Numbers changed by one, other texts, other units of time; not positions as in GROUP BY 1."""
    parent = node.parent
    assert parent is not None
    if isinstance(parent, exp.Group | exp.Ordered | exp.WindowSpec | exp.Trim | exp.Pad):
        return
    context = parent if not isinstance(parent, exp.Select) else node
    if isinstance(node, exp.Boolean):
        yield _Change("constant", node, exp.Boolean(this=not node.this), context)
    elif isinstance(node, exp.Var) and node.arg_key == "unit" and node.name.upper() in _UNITS:
        yield _Change("unit", node, exp.Var(this=_UNITS[node.name.upper()]), context)
    elif isinstance(node, exp.Literal) and node.arg_key == "unit" and node.name.upper() in _UNITS:
        yield _Change("unit", node, exp.Literal.string(_UNITS[node.name.upper()]), context)
    elif isinstance(node, exp.Literal):
        for value in _other_values(node):
            operator = "time_zone" if node.is_string and node.name in available_timezones() else "constant"
            yield _Change(operator, node, value, context)


def _other_values(node: exp.Literal) -> Iterator[exp.Expr]:
    number = re.fullmatch(r"(\d+)(\.\d*)?", node.name)
    if number is not None:
        texts = [f"{int(number[1]) + step}{number[2] or ''}" for step in (1, -1)]
        for text in texts:
            if node.is_string:
                yield exp.Literal.string(text)
            else:
                yield exp.Neg(this=exp.Literal.number(text[1:])) if text[0] == "-" else exp.Literal.number(text)
    elif node.is_string and node.name in available_timezones():
        yield exp.Literal.string("Europe/Berlin" if node.name == "UTC" else "UTC")
    elif node.is_string:
        yield exp.Literal.string(f"{node.name}_")


def _distinct(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Distinct):
        if isinstance(node.parent, exp.Count):
            count = node.parent
            plain = exp.Count(this=node.expressions[0].copy(), big_int=True)
            yield _Change("distinct", count, plain, count)
        elif node.arg_key == "distinct":
            yield _Change("distinct", node, None, node.parent or node)
    if isinstance(node, exp.Union):
        new = node.copy()
        new.set("distinct", not node.args.get("distinct"))
        yield _Change("distinct", node, new, node)


def _case(node: exp.Expr) -> Iterator[_Change]:
    if not isinstance(node, exp.Case):
        return
    new = node.copy()
    branches = new.args["ifs"]
    if len(branches) > 1:
        first, second = branches[0].args["true"], branches[1].args["true"]
        branches[0].set("true", second.copy())
        branches[1].set("true", first.copy())
    else:
        default = new.args.get("default") or exp.Null()
        new.set("default", branches[0].args["true"].copy())
        branches[0].set("true", default.copy())
    yield _Change("case", node, new, node)


def _order(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Ordered):
        new = node.copy()
        new.set("desc", not node.args.get("desc"))
        yield _Change("order", node, new, node)


_OPERATORS: tuple[Callable[[exp.Expr], Iterator[_Change]], ...] = (
    _swapped("comparison", (exp.GT, exp.GTE), (exp.LT, exp.LTE), (exp.EQ, exp.NEQ)),
    _between,
    _join,
    _filter,
    _unwrapped,
    _aggregate,
    _swapped("aggregate", (exp.Greatest, exp.Least)),
    _swapped("arithmetic", (exp.Add, exp.Sub), (exp.IntDiv, exp.Mul), (exp.Mul, exp.Div)),
    _logic,
    _constant,
    _distinct,
    _case,
    _order,
)
