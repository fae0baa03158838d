"""Where a row came from, carried along: file and line reach the rejects of a table whose function names its columns."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.operations as ops

SOURCE_COLUMNS = ("_source_file", "_source_line")
"""Columns of a landed source that are kept for rejected rows and never published."""


def with_places(rows: ibis.Table, source: ibis.Table) -> ibis.Table:
    """`rows` with the places of the `source` that they are made of, row by row; as it is where they are not.

    Only projections, filters and orders are looked through: behind them a row is still one row of the source.
    """
    chain, node = [], rows.op()
    while isinstance(node, ops.Project | ops.Filter | ops.Sort):
        chain.append(node)
        node = node.parent
    if node != source.op() or not set(SOURCE_COLUMNS) <= set(source.columns):
        return rows
    below: Any = node
    for each in reversed(chain):
        moved = each.copy(parent=below) if below is each.parent else each.replace({each.parent: below})
        if isinstance(moved, ops.Project):
            missing = {name: ops.Field(below, name) for name in SOURCE_COLUMNS if name not in moved.values}
            moved = ops.Project(below, {**moved.values, **missing})
        below = moved
    return below.to_expr()
