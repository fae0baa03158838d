"""Everything a run of a case gave, kept apart from the run's own database."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from assay.build import BuildResult
from assay.golden.case import Case
from assay.golden.opened import opened_case
from assay.settings import BaseSettings
from assay.sql import quoted as quote
from assay.tables.graph import Graph
from assay.warehouse.session import Session


@dataclass(frozen=True)
class Snapshot:
    """The built tables of a run, upstream first.

    Attributes:
        rejects: reason codes and payload of rows set aside, sorted, without their places in the source.
        verdicts: what else a table says: which checks failed, or which error stopped it.
    """

    names: tuple[str, ...]
    rows: Mapping[str, pa.Table] = field(default_factory=dict)
    rejects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)


def snapshot(
    graph: Graph,
    landings: Sequence[Case],
    *,
    settings: Callable[[], type[BaseSettings]] | None = None,
    threads: int = 1,
    time_zone: str = "UTC",
) -> Snapshot:
    """Build a case in memory; with several landings, its tables are built once for each, in one database."""
    first, *later = landings
    opening = partial(opened_case, graph, settings=settings)
    with _clock_of(time_zone), opening(first, threads=threads, time_zone=time_zone) as opened:
        built = opened.build()
        for case in later:
            with opening(case, after=opened) as landing:
                built = landing.build()
        return _taken(opened.session, graph, opened.names, built)


def _taken(session: Session, graph: Graph, names: Sequence[str], built: BuildResult) -> Snapshot:
    rows: dict[str, Any] = {}
    rejects: dict[str, tuple[str, ...]] = {}
    verdicts: dict[str, str] = {}
    for name in names:
        table = graph.tables[name]
        if session.exists(table):
            rows[name] = session.connection.execute(f"FROM {session.relation(table)}").to_arrow_table()
        rejects[name] = _rejects(session, name)
        publication = built.publications.get(name)
        failing = sorted(check.name for check in publication.checks if not check.passed) if publication else []
        error = type(built.errors[name]).__name__ if name in built.errors else ""
        verdicts[name] = ", ".join([*failing, *filter(None, [error, "skipped" if name in built.skipped else ""])])
    return Snapshot(tuple(names), rows, rejects, verdicts)


def _rejects(session: Session, name: str) -> tuple[str, ...]:
    found = session.connection.execute(
        f"SELECT CAST(reason_codes AS VARCHAR), payload FROM {quote(session.catalog)}.quarantine.rejects "
        "WHERE table_name = ?",
        [name],
    ).fetchall()
    texts = []
    for codes, payload in found:
        values = {key: value for key, value in json.loads(payload).items() if not key.startswith("_")}
        texts.append(f"{codes} {json.dumps(values, sort_keys=True)}")
    return tuple(sorted(texts))


@contextmanager
def _clock_of(time_zone: str) -> Iterator[None]:
    """The process's own time zone, for code that asks Python and not the database."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = time_zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
