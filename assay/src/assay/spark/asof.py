"""ASOF joins, which Spark has not, as left joins on the stretch from a row's key to the next one's."""

from __future__ import annotations

from typing import Any

import ibis.expr.operations as ops

_UNEQUAL = (ops.GreaterEqual, ops.Greater, ops.LessEqual, ops.Less)
_WITHIN = {
    (False, False): ops.Less,
    (False, True): ops.LessEqual,
    (True, False): ops.Greater,
    (True, True): ops.GreaterEqual,
}
"""(the nearest is ahead, the inequality is strict) -> how a key compares with the one beyond the nearest."""


def without_asof(chain: ops.JoinChain) -> ops.JoinChain:
    """`chain` with left joins in the place of its ASOF joins. Of right rows with the same key one matches, as in DuckDB."""
    moved: dict[Any, Any] = {}
    rest = []
    for link in chain.rest:
        if link.how != "asof":
            rest.append(link.replace(moved) if moved else link)
            continue
        old = link.table
        (near,) = (each for each in link.predicates if isinstance(each, _UNEQUAL))
        turned = near.left.rel == old
        theirs = near.left if turned else near.right
        ahead = isinstance(near, ops.LessEqual | ops.Less) ^ turned
        equal = [
            side.name
            for each in link.predicates
            if each is not near
            for side in (each.left, each.right)
            if isinstance(side, ops.Field) and side.rel == old
        ]
        right = old.parent.to_expr()
        key = right[theirs.name]
        beyond = (key.lag() if ahead else key.lead()).over(group_by=[right[name] for name in equal], order_by=key)
        new = ops.JoinReference(right.mutate(__beyond=beyond).op(), old.identifier)
        moved |= {ops.Field(old, name): ops.Field(new, name) for name in old.schema.names}
        bound = ops.Field(new, "__beyond")
        ours = (near.right if turned else near.left).replace(moved)
        within = _WITHIN[ahead, isinstance(near, ops.Greater | ops.Less)](ours, bound)
        predicates = [each.replace(moved) for each in link.predicates]
        rest.append(ops.JoinLink("left", new, (*predicates, ops.Or(within, ops.IsNull(bound)))))
    values = {name: value.replace(moved) for name, value in chain.values.items()}
    return ops.JoinChain(chain.first, rest, values)
