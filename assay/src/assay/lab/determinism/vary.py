"""Running cases along every axis on which nothing may vary, and naming what does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from assay.compare.engine import compare
from assay.compare.model import Difference, SqlColumn, Tolerance
from assay.compare.schema import describe
from assay.compare.text import render
from assay.contract.classification import is_masked
from assay.contract.contract import Contract
from assay.golden import store
from assay.golden.case import Case, check_case, read_cases
from assay.golden.store import Schema
from assay.lab.determinism.snapshot import Snapshot, snapshot
from assay.lab.determinism.variants import first_events, shuffled
from assay.project import Project
from assay.tables.graph import Graph

THREADS = 4
TIME_ZONE = "Pacific/Auckland"
"""Always a day ahead of New York and, in its evening, of UTC: a date that depends on the session's zone shows."""


@dataclass(frozen=True)
class Variation:
    """What varies in one case along one axis: the first such table, upstream first.

    Attributes:
        column: the column with the most changed cells; None where whole rows, rejected rows or checks vary.
        others: tables below that vary too.
    """

    case: str
    axis: str
    table: str
    column: str | None
    detail: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """One case: the axes along which it was run, and what varied."""

    case: str
    axes: tuple[str, ...]
    variations: tuple[Variation, ...]


def determinism(
    project: Project, selection: Sequence[str] = (), *, on_case: Callable[[Checked], None] = lambda checked: None
) -> list[Checked]:
    """Run all cases, or those named, along every axis.

    Raises:
        GoldenError: a case cannot be read, or no case has such a name.
    """
    found = []
    for case in read_cases(project.golden, selection):
        check_case(case, project.graph)
        checked = _check(project, case)
        found.append(checked)
        on_case(checked)
    return found


def _check(project: Project, case: Case) -> Checked:
    graph, taken = project.graph, partial(snapshot, project.graph, settings=project.kind)
    base = taken([case])
    axes: list[str] = []
    variations: list[Variation] = []
    with tempfile.TemporaryDirectory(prefix="golden_") as folder:
        for axis, other in _runs(taken, graph, case, Path(folder)):
            axes.append(axis)
            differences = _differences(graph, case, axis, base, other)
            first = next(differences, None)
            if first is not None:
                table, column, detail = first
                others = tuple(dict.fromkeys(name for name, _, _ in differences if name != table))
                variations.append(Variation(case.name, axis, table, column, detail, others))
    return Checked(case.name, tuple(axes), tuple(variations))


def _runs(taken: Callable[..., Snapshot], graph: Graph, case: Case, folder: Path) -> Iterator[tuple[str, Snapshot]]:
    yield "rerun", taken([case])
    yield "shuffled inputs", taken([shuffled(case, graph, folder / "shuffled")])
    yield "threads", taken([case], threads=THREADS)
    yield "time zone", taken([case], time_zone=TIME_ZONE)
    first = first_events(case, graph, folder / "first")
    if first is not None:
        yield "batches", taken([first, case])


def _differences(
    graph: Graph, case: Case, axis: str, base: Snapshot, other: Snapshot
) -> Iterator[tuple[str, str | None, str]]:
    """Table, column and text of everything that varies."""
    for name in base.names:
        if base.verdicts[name] != other.verdicts[name]:
            yield name, None, f"checks that fail: {base.verdicts[name] or 'none'} -> {other.verdicts[name] or 'none'}"
        if (name in base.rows) != (name in other.rows):
            yield name, None, "published once and not the other time"
        elif name in base.rows:
            difference = _compare(graph, case, axis, name, base, other)
            if not difference.equal:
                yield name, next(iter(difference.columns), None), render(difference)
        # An event log's broken events are set aside landing by landing.
        if base.rejects[name] != other.rejects[name] and axis != "batches":
            changed = sorted(set(base.rejects[name]) ^ set(other.rejects[name]))
            yield name, None, f"rejected rows: {len(changed)} differ, such as {_reason(changed)}"


def _reason(texts: Sequence[str]) -> str:
    """The reason codes of a rejected row; its values may be classified."""
    return texts[0].partition(" {")[0] if texts else "how often one stands there"


def _compare(graph: Graph, case: Case, axis: str, name: str, base: Snapshot, other: Snapshot) -> Difference:
    contract = Contract.of(graph.tables[name].model)
    tolerance, volatile = _forgiven(case, name, axis)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("expected", base.rows[name])
        connection.register("actual", other.rows[name])
        columns: list[SqlColumn] = list(describe(connection, "FROM expected"))
        return compare(
            connection,
            "FROM expected",
            "FROM actual",
            key=contract.key,
            tolerances={column: given for column, given in tolerance.items() if column in {c.name for c in columns}},
            volatile=volatile,
            masked=[column.name for column in contract.columns if is_masked(column.classification)],
            max_samples=3,
        )


def _forgiven(case: Case, name: str, axis: str) -> tuple[Mapping[str, Tolerance], tuple[str, ...]]:
    """What the golden forgives, where rows are added up in another order; a rerun must give the same bits."""
    if axis == "rerun" or not store.schema_path(case.expected, name).exists():
        return {}, ()
    golden = store.read_golden(case.expected, name, Schema(()))
    return (golden.schema.tolerance, golden.schema.volatile) if golden else ({}, ())
