"""Running every mutant against the cases."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.errors import GoldenError, PipelineError, did_you_mean
from assay.golden.case import Case, read_cases
from assay.golden.inputs import build_names
from assay.lab.mutation.bench import MutationBench, bench, check_passes, rerun
from assay.lab.mutation.equivalents import Equivalents, read_equivalents
from assay.lab.mutation.operators import Mutant, mutants
from assay.lab.mutation.search import Rows, Variations, differing_row
from assay.project import Project
from assay.warehouse.connection import Options, connect

MAX_CASES = 3
"""Around the inputs of so many cases rows are looked for that kill a survivor."""
Status = Literal["killed", "survived", "equivalent", "stillborn"]


@dataclass
class MutantOutcome:
    """What became of one mutant.

    Attributes:
        by: the case that killed it; `how`: by what.
        reason: why it is equivalent, as annotated.
        rows: an input on which it differs, for a survivor; None where none was found.
        real: a row of the real warehouse on which it differs.
    """

    mutant: Mutant
    status: Status = "survived"
    by: str | None = None
    how: str = ""
    reason: str | None = None
    rows: Rows | None = None
    real: str | None = None
    candidates: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class MutationResult:
    """All mutants of one run.

    Attributes:
        outcomes: by table in topological order, then in the order of the query.
        unmutated: tables without SQL: computed in Python, or run by no case.
        stale: annotations that no longer hold.
    """

    outcomes: list[MutantOutcome]
    unmutated: dict[str, str]
    stale: list[GoldenError]
    notes: list[str]

    def of(self, status: Status, table: str | None = None) -> list[MutantOutcome]:
        return [o for o in self.outcomes if o.status == status and (table is None or o.mutant.table == table)]

    def tables(self) -> list[str]:
        return list(dict.fromkeys(outcome.mutant.table for outcome in self.outcomes))

    def rate(self, table: str | None = None) -> float:
        """The part of the non-equivalent mutants that is killed; 1 if there are none."""
        killed, survived = len(self.of("killed", table)), len(self.of("survived", table))
        return killed / (killed + survived) if killed + survived else 1.0


def mutate(
    project: Project,
    selection: Sequence[str] = (),
    *,
    search: bool = True,
    on_progress: Callable[[str], None] = lambda text: None,
) -> MutationResult:
    """Run the mutants of all tables, or of those selected, on all cases, or on those selected.

    Args:
        selection: names of tables and of cases (patterns allowed).
        search: look for rows that would kill the survivors.

    Raises:
        GoldenError: nothing is selected by a name, a case does not pass as it is, or the annotations are malformed.
    """
    tables, patterns = _selected(project, selection)
    cases = [case for case in read_cases(project.golden, patterns) if case.tables]
    equivalents = read_equivalents(project.golden)
    runner = _Runner(project, tables, cases, equivalents)
    for case in cases:
        on_progress(case.name)
        runner.run_case(case)
    runner.run_downstream(on_progress)
    outcomes = runner.settle()
    notes: list[str] = []
    if search:
        notes = runner.search(outcomes, on_progress)
    killed = {outcome.mutant.key for outcome in outcomes if outcome.status == "killed"}
    judged = {outcome.mutant.table for outcome in outcomes} if not patterns else set()
    stale = equivalents.stale((outcome.mutant for outcome in outcomes), killed, judged)
    return MutationResult(outcomes, runner.unmutated(), stale, notes)


def _selected(project: Project, selection: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tables, and patterns of cases."""
    tables, patterns = [], []
    known = project.graph.tables
    names = [case.name for case in read_cases(project.golden)]
    for text in selection:
        if text in known:
            tables.append(text)
        elif any(fnmatch.fnmatchcase(name, text) for name in names):
            patterns.append(text)
        else:
            hint = did_you_mean(text, [*known, *names], "Name a table or a case.")
            raise GoldenError(f"no table and no case is called '{text}'", fix=hint)
    return [name for name in known if name in tables] if tables else list(known), patterns


class _Runner:
    def __init__(self, project: Project, tables: list[str], cases: list[Case], equivalents: Equivalents) -> None:
        self.project = project
        self.tables = tables
        self.cases = {case.name: case for case in cases}
        self.equivalents = equivalents
        self.outcomes: dict[str, list[MutantOutcome]] = {}
        self.covering: dict[str, list[tuple[bool, str]]] = {}

    def run_case(self, case: Case) -> None:
        """Try every mutant that is still alive alone, on this case's inputs."""
        if not self._needed(case):
            return
        with bench(self.project, case) as opened:
            check_passes(opened)
            for table in self.tables:
                if not opened.covers(table):
                    continue
                self.covering.setdefault(table, []).append((table not in case.tables, case.name))
                for outcome, mutant in self._mutants(opened, table):
                    if outcome.status == "survived":
                        self._try(opened, outcome, mutant)

    def _needed(self, case: Case) -> bool:
        """Whether the case builds a table of which no mutant was tried yet, or some are still alive."""
        names = build_names(case, self.project.graph, case.subjects)
        wanted = [name for name in names if name in self.tables and self.project.graph.tables[name].engine == "ibis"]
        done = {name for name, found in self.outcomes.items() if all(o.status != "survived" for o in found)}
        return any(name not in done for name in wanted)

    def _mutants(self, opened: MutationBench, table: str) -> list[tuple[MutantOutcome, Mutant]]:
        """The outcomes of a table with the mutants of this case's SQL, which may hold another clock's date."""
        here = mutants(table, opened.sql[table])
        known = self.outcomes.setdefault(table, [MutantOutcome(mutant) for mutant in here])
        if [o.mutant.operator for o in known] != [mutant.operator for mutant in here]:
            by_key = {mutant.key: mutant for mutant in here}
            return [(outcome, by_key[outcome.mutant.key]) for outcome in known if outcome.mutant.key in by_key]
        return list(zip(known, here, strict=True))

    def _try(self, opened: MutationBench, outcome: MutantOutcome, mutant: Mutant) -> None:
        verdict, how = opened.try_mutant(mutant.table, mutant.sql)
        if verdict == "stillborn":
            outcome.status = "stillborn"
        elif verdict == "killed":
            outcome.status, outcome.by, outcome.how = "killed", opened.case.name, how
        elif verdict == "differs":
            outcome.candidates.append((opened.case.name, mutant.sql))

    def run_downstream(self, on_progress: Callable[[str], None]) -> None:
        """Run whole cases with the mutants whose rows differ, but not in a table that is compared exactly."""
        for table in self.tables:
            for outcome in self.outcomes.get(table, ()):
                for name, sql in outcome.candidates if outcome.status == "survived" else ():
                    on_progress(f"{table} in {name}")
                    how = rerun(self.project, self.cases[name], table, sql)
                    if how is not None:
                        outcome.status, outcome.by, outcome.how = "killed", name, how
                        break

    def settle(self) -> list[MutantOutcome]:
        """All outcomes in order, annotated survivors as equivalent."""
        found = [outcome for table in self.tables for outcome in self.outcomes.get(table, ())]
        for outcome in found:
            reason = self.equivalents.reason(outcome.mutant)
            if outcome.status == "survived" and reason is not None:
                outcome.status, outcome.reason = "equivalent", reason
        return found

    def unmutated(self) -> dict[str, str]:
        why = {}
        for name in self.tables:
            if self.project.graph.tables[name].engine != "ibis":
                why[name] = "computed in Python, there is no SQL to mutate"
            elif name not in self.covering:
                why[name] = "no case runs it"
            elif not self.outcomes.get(name):
                why[name] = "its SQL only selects columns"
        return why

    def search(self, outcomes: Sequence[MutantOutcome], on_progress: Callable[[str], None]) -> list[str]:
        """Look for killing rows around the inputs of the case that shows the table best, then in the warehouse."""
        survivors: dict[str, list[MutantOutcome]] = {}
        for outcome in outcomes:
            if outcome.status == "survived":
                survivors.setdefault(outcome.mutant.table, []).append(outcome)
        if not survivors:
            return []
        with _warehouse(self.project) as real:
            for table, found in survivors.items():
                # A case that leaves an input empty has nothing to vary there: others are looked at too.
                for _, name in sorted(self.covering[table])[:MAX_CASES]:
                    if all(outcome.rows is not None for outcome in found):
                        break
                    on_progress(f"{table}: looking for rows around {name}")
                    with bench(self.project, self.cases[name]) as opened:
                        self._search_around(opened, table, found, real)
            return real.notes

    def _search_around(
        self, opened: MutationBench, table: str, found: Sequence[MutantOutcome], real: _Warehouse
    ) -> None:
        here = {outcome.mutant.key: mutant for outcome, mutant in self._mutants(opened, table)}
        left = [outcome for outcome in found if outcome.rows is None]
        changed = [here.get(outcome.mutant.key, outcome.mutant) for outcome in left]
        for outcome, mutant, rows in zip(left, changed, Variations(opened, table).killing(changed), strict=True):
            outcome.rows = rows
            if rows is None and outcome.real is None and real.connection is not None:
                outcome.real = differing_row(real.connection, opened, mutant, real.catalog)


@dataclass
class _Warehouse:
    """The real warehouse, read-only; without a connection where there is none or somebody writes it."""

    connection: Any = None
    catalog: str = ""
    notes: list[str] = field(default_factory=list)


@contextmanager
def _warehouse(project: Project) -> Iterator[_Warehouse]:
    settings, real = project.settings(), _Warehouse()
    if settings.engine != "duckdb":
        real.notes.append(f"the warehouse was not searched: its tables are {settings.engine}'s")
    elif settings.warehouse.exists():
        try:
            options = Options(settings.memory_limit, settings.threads)
            real.connection = connect(settings.warehouse, options, lock_timeout=1.0, read_only=True)
            real.catalog = real.connection.execute("SELECT current_database()").fetchall()[0][0]
        except PipelineError as error:
            real.notes.append(f"the warehouse was not searched: {error}")
    with real.connection or nullcontext():
        yield real
