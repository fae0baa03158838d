"""Running cases: the real tables on fixture sources in an in-memory dry run, then every table under test compared."""

from __future__ import annotations

import dataclasses
import time
import traceback as tracebacks
from collections.abc import Callable, Sequence
from functools import partial

from assay.errors import GoldenError, PipelineError
from assay.golden.case import Case, check_case, read_cases, selected_tables
from assay.golden.inputs import TABLES, build_names
from assay.golden.judge import Judge
from assay.golden.opened import opened_case
from assay.golden.pending import PendingStore, orphaned
from assay.golden.result import CaseResult, GoldenResult, TableResult
from assay.golden.workers import in_order
from assay.golden.yaml_file import shown
from assay.project import Project
from assay.tables.graph import Graph
from assay.warehouse.session import Engine


def run_golden(
    project: Project,
    selection: Sequence[str] = (),
    *,
    keep: PendingStore | None = None,
    on_case: Callable[[CaseResult], None] = lambda result: None,
    workers: int = 1,
    engine: Engine | None = None,
) -> GoldenResult:
    """Run all cases, or those selected (CASE or CASE/TABLE, patterns allowed).

    Args:
        keep: where new output waits for a decision; None keeps none.
        on_case: called with every case's result as soon as it and those before it are there.
        workers: how many processes may share the cases; one, where an engine is given.
        engine: computes tables and contracts in the place of DuckDB, which judges them.

    Raises:
        EngineError: the engine does not answer any more.
        GoldenError: a case cannot be read, or the selection matches nothing.
    """
    started = time.perf_counter()
    chosen = _chosen(project, selection)
    results: list[CaseResult] = []
    tasks = [partial(run_case, project, case, subjects, keep=keep, engine=engine) for case, subjects in chosen]
    sizes = [_size(case) for case, _ in chosen]
    alike = [_computes_in_python(case, project.graph, subjects) for case, subjects in chosen]
    for result in in_order(tasks, sizes, 1 if engine is not None else workers, alike):
        if engine is not None and engine.gone is not None:
            raise engine.gone
        results.append(result)
        on_case(result)
    full = not selection
    notes = tuple(note for result in results for note in result.notes)
    orphans = orphaned([case for case, _ in chosen], keep.folder if keep else None) if full else ()
    found = GoldenResult(tuple(results), tuple(map(shown, orphans)), notes, time.perf_counter() - started, full)
    return found if engine is None else dataclasses.replace(found, engine=engine.name, computed=engine.tables)


def built_tables(project: Project, selection: Sequence[str] = ()) -> list[str]:
    """The tables that a run of these cases builds, upstream first; raises as `run_golden` does."""
    names = {
        name for case, subjects in _chosen(project, selection) for name in build_names(case, project.graph, subjects)
    }
    return [name for name in project.graph.nodes if name in names]


def _chosen(project: Project, selection: Sequence[str]) -> list[tuple[Case, tuple[str, ...]]]:
    """The cases of a selection, each with those of its tables that are asked for."""
    cases = read_cases(project.golden, selection)
    chosen = [(case, selected_tables(case, selection) if selection else case.subjects) for case in cases]
    chosen = [(case, subjects) for case, subjects in chosen if subjects]
    if selection and not chosen:
        raise GoldenError(f"no table under test is called {' or '.join(selection)}", fix="Write CASE/TABLE.")
    for case, _ in chosen:
        check_case(case, project.graph)
    return chosen


def run_case(
    project: Project,
    case: Case,
    subjects: Sequence[str] | None = None,
    *,
    keep: PendingStore | None = None,
    engine: Engine | None = None,
) -> CaseResult:
    """Run one case, or some of its tables; an error of the case is part of the result, never raised."""
    started = time.perf_counter()
    wanted = case.subjects if subjects is None else tuple(subjects)
    base = CaseResult(case.name, case.description, case.owner)
    try:
        result = _run_case(project, case, wanted, keep, engine)
    except PipelineError as error:
        result = dataclasses.replace(base, error=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, with its traceback
        text = f"{type(error).__name__}: {error}"
        result = dataclasses.replace(base, error=text, traceback="".join(tracebacks.format_exception(error)))
    return dataclasses.replace(result, seconds=time.perf_counter() - started)


def _computes_in_python(case: Case, graph: Graph, subjects: Sequence[str]) -> bool:
    """Whether the case builds a table whose function computes the rows itself: such functions import much."""
    try:
        return any(graph.tables[name].engine == "python" for name in build_names(case, graph, subjects))
    except PipelineError:
        return False  # told when the case is run


def _size(case: Case) -> int:
    """About how long a case takes: the tables under test, and again as many if all of it comes from sources."""
    given = case.empty or (case.inputs / TABLES).is_dir()
    return len(case.subjects) * (1 if given else 2)


def _run_case(
    project: Project, case: Case, subjects: Sequence[str], keep: PendingStore | None, engine: Engine | None
) -> CaseResult:
    graph = project.graph
    check_case(case, graph)
    with opened_case(graph, case, subjects, settings=project.kind, engine=engine) as opened:
        judge = Judge(project, opened, opened.build(), keep)
        tables = [judge.table(graph.tables[name]) for name in graph.nodes if name in subjects]
    caused = tuple(_with_causes(tables, graph))
    return CaseResult(case.name, case.description, case.owner, caused, notes=tuple(judge.notes))


def _with_causes(tables: list[TableResult], graph: Graph) -> list[TableResult]:
    """Tables that differ below one that differs name the first such table as their cause."""
    found: list[TableResult] = []
    wrong = [table.table for table in tables if table.status in ("differs", "error")]
    for table in tables:
        above = set(graph.closure([table.table])) - {table.table}
        cause = next((name for name in wrong if name in above), None)
        follows = cause is not None and table.cause is None and table.status in ("differs", "error")
        found.append(dataclasses.replace(table, cause=cause) if follows else table)
    return found
