"""Which tables a command is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.project import Project


def chosen(project: Project, words: Sequence[str], upstream: bool, downstream: bool) -> list[str]:
    """The names that `words` choose, none where there are none; raises WiringError where one chooses nothing."""
    from assay.tables.selection import select  # loads the tables' engine

    graph = project.graph
    names = select(graph, words, lambda: _states(project))
    names = graph.closure(names) if upstream else names
    return graph.downstream(names) if downstream else names


def _states(project: Project) -> Mapping[str, str]:
    from assay.warehouse.connection import reading

    settings = project.settings()
    if not settings.warehouse.exists():
        return {}
    with reading(settings.warehouse, lock_timeout=settings.lock_timeout) as (connection, _):
        found = connection.execute("SELECT table_name, max_by(action, id) FROM ops.publications GROUP BY 1").fetchall()
    return dict(found)
