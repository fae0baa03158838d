"""Tables of one run built side by side, ahead of whoever asks for one after the other.

Dagster's executor in one process asks for a table when the one before it is done, and a table that is read by one thread
leaves the other processors idle. So what a run is to build begins as soon as everything upstream of it is there, in
threads, each with a session of its own; who asks for a table gets what became of it, or waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

from assay.tables.code_version import late_imports
from assay.tables.nodes import ExportDef, TableDef

if TYPE_CHECKING:
    from assay.tables.graph import Graph
    from assay.tables.nodes import Asset
    from assay.warehouse.session import Session

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds that Python code, which nothing can end, gets to end by itself; DuckDB ends at once."""


@dataclass
class _Job(Generic[T]):
    """One node of the run.

    Attributes:
        above: nodes of this run that it reads.
        after: nodes that must have ended, well or not.
        rank: how many nodes depend on it in a row, which is how soon it should begin.
        asked: whether somebody waits for it, who knows that what is upstream is there.
    """

    node: Asset
    above: tuple[str, ...]
    after: tuple[str, ...] = ()
    rank: int = 0
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    asked: bool = False
    told: bool = False
    found: list[T] = field(default_factory=list)
    error: BaseException | None = None


class Ahead(Generic[T]):
    """What builds the nodes `names` of a run; use as a context manager, which ends what still runs.

    A node is built once; where that failed and it is asked for again, as after a source did not answer, once more.

    Args:
        session: of the run; each thread has one beside it.
        build: builds a node with a session; called in threads.
        at_once: how many are built at a time; with 1 each is built when it is asked for, by the thread that asks.
    """

    def __init__(
        self,
        graph: Graph,
        names: Iterable[str],
        session: Session,
        build: Callable[[Asset, Session], T],
        *,
        at_once: int,
    ) -> None:
        wanted = set(names)
        self._session, self._build = session, build
        self._changed = threading.Condition()
        self._stopping = False
        self._jobs: dict[str, _Job[T]] = {}
        for node in (node for node in graph if node.name in wanted):
            above = tuple(name for name in graph.upstream_of(node.name) if name in wanted)
            # What a file tells of the run must not depend on what happened to be ready.
            whole = isinstance(node, ExportDef) and node.run_parameter is not None
            self._jobs[node.name] = _Job(node, above, tuple(self._jobs) if whole else ())
        for job in reversed(self._jobs.values()):
            for name in job.above:
                self._jobs[name].rank = max(self._jobs[name].rank, job.rank + 1)
        count = min(at_once, len(self._jobs))
        self._sessions = [session.beside() for _ in range(count)] if count > 1 else []
        self._threads = [
            threading.Thread(target=self._work, args=(each,), name=f"build-{number}", daemon=True)
            for number, each in enumerate(self._sessions)
        ]
        if self._threads:
            self._threads.append(threading.Thread(target=self._import, name="imports", daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._stopping:
            self.stop()

    def result(self, name: str) -> T:
        """What building the node gave, awaited; raises what it raised."""
        job = self._jobs[name]
        if not self._threads:
            return self._build(job.node, self._session)
        with self._changed:
            if job.state == "failed" and job.told:
                job.state = "waiting"
            job.asked = True
            self._changed.notify_all()
            while job.state not in ("done", "failed"):
                self._changed.wait()
            job.asked, job.told = False, True
        if job.error is not None:
            raise job.error
        return job.found[0]

    def stop(self) -> list[T]:
        """End what runs, and begin nothing more; returns what was built and nobody has asked for."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        until = time.monotonic() + PATIENCE
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            for session in self._sessions:
                session.stop()  # again and again: between two queries there is nothing to end
            for thread in self._threads:
                thread.join(0.02)
        for session in self._sessions:
            session.close()
        self._sessions = []
        return [job.found[0] for job in self._jobs.values() if job.state == "done" and not job.told]

    def _work(self, session: Session) -> None:
        while (job := self._next()) is not None:
            error: BaseException | None = None
            try:
                job.found[:] = [self._build(job.node, session)]
            except BaseException as raised:  # noqa: BLE001 - raised again where it is asked for
                error = raised
            with self._changed:
                job.state, job.error, job.told = ("failed" if error else "done"), error, False
                self._changed.notify_all()

    def _next(self) -> _Job[T] | None:
        """The next job that may begin, awaited; None at the end."""
        with self._changed:
            while not self._stopping:
                ready = [job for job in self._jobs.values() if job.state == "waiting" and self._may_begin(job)]
                if ready:
                    job = max(ready, key=lambda each: (each.asked, each.rank))  # of equals the first of the graph
                    job.state = "running"
                    return job
                self._changed.wait()
        return None

    def _may_begin(self, job: _Job[T]) -> bool:
        if not job.asked and not all(self._jobs[name].state == "done" for name in job.above):
            return False
        return all(self._has_ended(self._jobs[name]) for name in job.after)

    def _has_ended(self, job: _Job[T]) -> bool:
        """Whether it is built, or will not be because it or something above it failed."""
        return job.state == "done" or self._has_failed(job)

    def _has_failed(self, job: _Job[T]) -> bool:
        return job.state == "failed" or (
            job.state == "waiting" and any(self._has_failed(self._jobs[name]) for name in job.above)
        )

    def _import(self) -> None:
        """Import what functions in Python import when they run, while DuckDB computes what they read."""
        for job in self._jobs.values():
            node = job.node
            if isinstance(node, TableDef) and node.engine != "python":
                continue
            for name in late_imports(node):
                if self._stopping:
                    return
                with suppress(Exception):  # whoever needs it says so
                    import_module(name)
