"""Which tables a command is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assay.commands.health_commands import history_read

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
    """Name -> the action of the newest publication, failed where a newer run was to build it and did not.

    Dagster's history says it of tables whose source failed, which were skipped or whose run was killed; the books do not.
    """
    from assay.orchestration.state import unbuilt
    from assay.warehouse.connection import reading

    settings, found = project.settings(), list[tuple[str, str, float]]()
    if settings.warehouse.exists():
        with reading(settings.warehouse, lock_timeout=settings.lock_timeout) as (connection, _):
            books = "FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = 'publications'"
            if connection.execute(books).fetchall():
                asked = (
                    "SELECT table_name, max_by(action, id), epoch(max(published_at)) FROM ops.publications GROUP BY 1"
                )
                found = connection.execute(asked).fetchall()
    with history_read(project) as history:
        failed = unbuilt(history, project)
    published = {name: at for name, action, at in found if action != "failed"}
    return {name: action for name, action, _ in found} | {
        name: "failed" for name, at in failed.items() if published.get(name, 0) < at
    }
