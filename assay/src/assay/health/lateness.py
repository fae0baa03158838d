"""What is late: tables that were not built, and tables whose newest row is old.

Judged by the clock and for the partition that is expected, not by Dagster's own freshness: that stays unknown of a table
that was never built, passes when an old partition is built again, and is written by a daemon that may be dead.
"""

from __future__ import annotations

import datetime as dtm
from collections.abc import Iterator

from assay.health.finding import Finding
from assay.health.outline import Outline, Watched
from assay.health.state import State
from assay.tables.fresh import span


def late(outline: Outline, state: State) -> Iterator[Finding]:
    # Of a pipeline that runs each minute the newest runs are of this morning alone.
    known = min((*(run.created for run in state.runs), *([state.first] if state.first else [])), default=None)
    for node in outline:
        fresh, parts = node.fresh, node.partitions
        if fresh is None or known is None:
            continue
        due, built = fresh.due(state.now), state.built.get(node.name)
        since = due + (fresh.grace if fresh.at else dtm.timedelta())
        newest = parts.newest(due) if parts is not None and parts.unit != "static" and fresh.at else None
        wanted = parts.keys(newest)[-1] if parts is not None and newest is not None else None
        if built is None:
            actual, fatal = "it was never built", known <= due
        elif wanted is not None and wanted not in built.partitions:
            last = max(built.partitions, default=None)
            actual, fatal = f"{parts.noun if parts else ''} {wanted} is missing; the newest is {last or 'none'}", True
        elif built.at < due and (wanted is None or not _ended(node, due)):
            actual, fatal = (
                f"the last build is of {built.at:%Y-%m-%d %H:%M} UTC, {span(state.now - built.at)} ago",
                True,
            )
        else:
            continue
        yield Finding(
            f"late:{node.name}",
            fatal,
            node.full_name,
            "is late" if built else "was never built",
            since if fatal else None,
            str(fresh) + (f", with {parts.noun} {wanted}" if parts is not None and wanted else ""),
            actual,
            f"See whether the schedule is on; then: pipeline run {node.name} --upstream",
            node.owner,
        )


def _ended(node: Watched, due: dtm.datetime) -> bool:
    """Whether the last of a table's partitions was over long ago, so that nothing calls for a build."""
    parts = node.partitions
    whole = parts.whole(due - dtm.timedelta(days=1)) if parts is not None else None
    return parts is not None and parts.stop is not None and whole is not None and whole.stop >= parts.stop


def old(outline: Outline, state: State) -> Iterator[Finding]:
    """Tables whose newest row is older than they may be."""
    for name, table in outline.nodes.items():
        built = state.built.get(name)
        if table.newest is None or built is None:
            continue
        column, allowed = table.newest
        newest = _moment(built.newest.get(column))
        if newest is not None and state.now - newest <= allowed:
            continue
        yield Finding(
            f"old:{name}",
            True,
            table.full_name,
            "has no new rows",
            newest + allowed if newest else built.at,
            f"the newest {column} is at most {span(allowed)} old",
            f"it is {built.newest[column]}, {span(state.now - newest)} ago" if newest else f"no {column} is known",
            f"See whether its source delivers; then: pipeline run {name} --upstream",
            table.owner,
        )


def _moment(text: str | None) -> dtm.datetime | None:
    """A column's largest value as a moment; of a day its end, for its rows may be of any time of it."""
    if text is None:
        return None
    try:
        if len(text) == 10:
            return dtm.datetime.combine(dtm.date.fromisoformat(text), dtm.time(), dtm.UTC) + dtm.timedelta(days=1)
        found = dtm.datetime.fromisoformat(text.replace(" ", "T", 1))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dtm.UTC)
