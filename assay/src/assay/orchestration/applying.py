"""Applying a kept plan: refuse if anything moved, run exactly its nodes, and compare the result with the plan."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.contract.contract import Contract
from assay.errors import Interrupted, PlanError
from assay.landings import source_version
from assay.orchestration.execute import RunSummary, execute
from assay.plan.kept import AGAIN, Expected, KeptPlan
from assay.plan.published import Books, read_books
from assay.plan.work import environment
from assay.tables.loads import History
from assay.tables.nodes import TableDef
from assay.tables.partitions import PartitionRange
from assay.tables.results import joined
from assay.tables.run import Run
from assay.warehouse import watermarks
from assay.warehouse.connection import reading
from assay.warehouse.offsets import committed_offsets
from assay.warehouses import warehouse_of

if TYPE_CHECKING:
    from assay.build import Progress
    from assay.project import Project
    from assay.tables.results import Publication


@dataclass(frozen=True)
class NodeOutcome:
    """One node of the plan, planned against done; `problems` is empty where the result is the plan.

    Attributes:
        dated: whether it differs, and may: it has versions of a history, or reads them, which begin and end when they are built.
    """

    planned: Expected
    rows: int | None
    problems: tuple[str, ...]
    dated: bool = False


@dataclass(frozen=True)
class Applied:
    """What applying did; `exit_code` is 0 if every result is as planned, 3 if a check failed, else 1.

    Attributes:
        interrupted: what ended it, where that was Ctrl-C or SIGTERM.
    """

    outcomes: tuple[NodeOutcome, ...]
    run_exit_code: int
    seconds: float
    interrupted: Interrupted | None = None

    @property
    def as_planned(self) -> bool:
        """Whether every table is exactly what the plan showed."""
        return not any(outcome.problems for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """As documented on the class."""
        if self.as_planned:
            return 0
        return 3 if self.run_exit_code == 1 else 1


def apply_plan(project: Project, kept: KeptPlan, *, on_progress: Callable[[Progress], None]) -> Applied:
    """Run the plan's nodes for real, and say whether each came out as planned.

    Raises:
        PlanError: the plan must not or cannot be applied: it would fail, or what it was made from moved.
    """
    settings = project.settings()
    if settings.env == "dry_run":
        raise PlanError("applying writes, and PIPELINE_ENV is dry_run", fix="Unset it, or set the plan's environment.")
    if kept.exit_code in (1, 3):
        raise PlanError(f"the plan would not get through ({kept.footer})", fix="Mend what fails, then plan again.")
    moved = list(what_moved(project, kept))
    if moved:
        raise PlanError(f"moved since the plan was made: {'; '.join(moved)}", fix=AGAIN)
    if not kept.build:
        return Applied((), 0, 0.0)
    summaries = []
    for names, partition in _runs(kept):
        summaries.append(execute(project, names, partition=partition, full=kept.full, on_progress=on_progress))
        if summaries[-1].exit_code:
            break  # what comes after reads what failed
    histories = [name for name, node in project.graph.tables.items() if isinstance(node.load, History)]
    dated = project.graph.downstream(histories)
    outcomes = tuple(_outcome(node, summaries, node.name in dated) for node in kept.build)
    seconds = sum(summary.seconds for summary in summaries)
    return Applied(outcomes, max(summary.exit_code for summary in summaries), seconds, summaries[-1].interrupted)


def _runs(kept: KeptPlan) -> Iterator[tuple[list[str], PartitionRange | None]]:
    """The runs that build the plan's nodes, upstream first: a run is for one range, and those planned alike share it."""
    if kept.partition:
        yield [node.name for node in kept.build], PartitionRange.parse(kept.partition)
        return
    for ranges, nodes in itertools.groupby(kept.build, key=lambda node: node.partitions):
        names = [node.name for node in nodes]
        for text in ranges or (None,):
            yield names, PartitionRange.parse(text) if text else None


def what_moved(project: Project, kept: KeptPlan) -> Iterator[str]:
    """Everything that is not as it was when the plan was made, one short text each."""
    settings = project.settings()
    then, now = kept.fingerprints.environment, environment(settings)
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            yield f"{name} ({then.get(name)} -> {now.get(name)})"
    for name, version in kept.fingerprints.code.items():
        node = project.graph.nodes.get(name)
        if node is None:
            yield f"table {name} is gone from the code"
        elif project.graph.version_of(node, settings) != version:
            yield f"the code of {name} ({node.file.name})"
    books = _books(settings)
    for name, known in kept.fingerprints.real.items():
        published = books.data_version(name)
        if published != known:
            yield f"the published {name} ({_version(known)} -> {_version(published)})"
    yield from _moved_sources(project, kept, settings)


def _moved_sources(project: Project, kept: KeptPlan, settings: Any) -> Iterator[str]:
    with project.sources(settings) as sources:
        for name, version in kept.fingerprints.sources.items():
            node = project.graph.nodes.get(name)
            if not isinstance(node, TableDef) or node.source is None:
                continue  # told with the code already
            goes_on = node.goes_on(full=kept.full)
            offsets = committed_offsets(settings, node.name, settings.lock_timeout) if goes_on else {}
            if source_version(node, sources, offsets, _since(project, node, settings, kept.full)) != version:
                yield f"the source of {name} ({node.source.location})"


def _since(project: Project, table: TableDef, settings: Any, full: bool) -> Any:
    """From where an incremental table would go on; None where it would take all rows."""
    if table.load is None or not settings.warehouse.exists():
        return None
    code = project.graph.version_of(table, settings)
    with warehouse_of(settings).reading() as session:
        found = watermarks.since(session, table, Contract.of(table.model), code, Run.start(full=full))
    return found.value if found is not None else None


def _books(settings: Any) -> Books:
    if not settings.warehouse.exists():
        return Books({}, {})
    with reading(settings.warehouse, lock_timeout=settings.lock_timeout) as (connection, catalog):
        return read_books(connection, catalog)


def _outcome(planned: Expected, summaries: Sequence[RunSummary], dated: bool) -> NodeOutcome:
    for summary in summaries:
        if planned.name in summary.errors:
            return NodeOutcome(planned, None, (str(summary.errors[planned.name]),))
    built = [each.publications[planned.name] for each in summaries if planned.name in each.publications]
    if len(built) < max(1, len(planned.partitions)):
        return NodeOutcome(planned, None, ("was not built",))
    done = joined(built)
    found, other = list(_differences(planned, done)), done.data_version != planned.data_version
    if other and not dated:
        found.append("its content is not what the plan showed")
    return NodeOutcome(planned, done.rows, tuple(found), other and dated)


def _differences(planned: Expected, done: Publication) -> Iterator[str]:
    if planned.rows is not None and done.rows != planned.rows:
        yield f"planned {planned.rows:,} rows, got {done.rows:,}"
    if done.rejected != planned.rejected:
        yield f"planned {planned.rejected:,} rejects, got {done.rejected:,}"


def _version(version: str | None) -> str:
    return version[:8] if version else "none"
