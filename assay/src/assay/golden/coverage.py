"""What the golden cases show: does every rule and check fail somewhere, and is every table's output compared?

A rule that no case breaks may as well be mistyped. What there is to show is read off the graph; what is shown is what
a run of the cases found in tables that came out as expected. What cannot or need not be shown stands with its reason
in `golden/exemptions.yml`, table -> name -> reason; an exemption of something that a case does show is an error too.

Not asked for is what no input can bring about, because it is decided by the code alone and so by every case that
passes: `schema` of a table without a source, and `reconciles` of one that preserves nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import RootModel, StringConstraints

from assay.contract.contract import Contract
from assay.errors import SourceChanged, did_you_mean
from assay.golden.result import GoldenResult, TableResult
from assay.golden.yaml_file import read, told
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef
from assay.terminal import styled
from assay.warehouse.staging import REPEAT

FILE = "exemptions.yml"
GOLDEN = "golden"
"""Stands for the comparison of a table's rows, beside the names of its rules and checks."""
UNCOVERED = 3

Kind = Literal["golden", "row rule", "table rule", "key", "schema", "rows", "reference", "invariant", "reconciles"]


@dataclass(frozen=True)
class Demand:
    """Something of a table that a case has to show.

    Attributes:
        name: a row rule's reason code, a check's name, or `golden`.
        cases: those that show it; `exempt`: the written reason why none has to.
    """

    table: str
    name: str
    kind: Kind
    cases: tuple[str, ...] = ()
    exempt: str | None = None

    @property
    def status(self) -> Literal["covered", "exempt", "uncovered", "needlessly exempt"]:
        if self.cases:
            return "needlessly exempt" if self.exempt else "covered"
        return "exempt" if self.exempt else "uncovered"


@dataclass(frozen=True)
class Coverage:
    """Everything that is asked for, table by table in topological order.

    Attributes:
        uncounted: CASE/TABLE that did not come out as expected, and so show nothing.
        exit_code: 0 all is shown or exempt, 3 something is not; 1 or 2 where cases differ or cannot run.
    """

    demands: tuple[Demand, ...]
    uncounted: tuple[str, ...] = ()
    run_code: int = 0

    def of(self, *statuses: str) -> tuple[Demand, ...]:
        """The demands with one of these statuses."""
        return tuple(demand for demand in self.demands if demand.status in statuses)

    @property
    def exit_code(self) -> int:
        if self.run_code in (1, 2):
            return self.run_code
        return UNCOVERED if self.of("uncovered", "needlessly exempt") else self.run_code

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        statuses = ("covered", "exempt", "uncovered", "needlessly exempt")
        return {
            "version": 1,
            "exit_code": self.exit_code,
            "counts": {status: len(self.of(status)) for status in statuses},
            "uncounted": list(self.uncounted),
            "demands": [
                {
                    **{name: value for name, value in vars(demand).items() if name != "exempt"},
                    "status": demand.status,
                    "reason": demand.exempt,
                }
                for demand in self.demands
            ],
        }


def coverage(graph: Graph, result: GoldenResult, golden: Path) -> Coverage:
    """What `result`, a run of all cases in the folder `golden`, shows of `graph`.

    Raises:
        GoldenError: `exemptions.yml` is malformed, or exempts what is not asked for.
    """
    asked = [demand for table in graph.tables.values() for demand in demands(graph, table)]
    reasons = read_exemptions(golden / FILE, asked)
    shown: dict[tuple[str, str], set[str]] = {}
    uncounted: list[str] = []
    for case in result.cases:
        uncounted += [case.name] if case.error else []
        uncounted += [table.address for table in case.tables if table.status != "equal"]
        for table in case.tables:
            for name in _names(table) if table.status == "equal" else ():
                shown.setdefault((table.table, name), set()).add(case.name)
    places = [(demand.table, demand.name) for demand in asked]
    found = tuple(
        dataclasses.replace(demand, cases=tuple(sorted(shown.get(place, ()))), exempt=reasons.get(place))
        for demand, place in zip(asked, places, strict=True)
    )
    return Coverage(found, tuple(uncounted), result.exit_code)


def demands(graph: Graph, table: TableDef) -> Iterator[Demand]:
    """What cases have to show of a table."""
    contract = Contract.of(table.model)
    yield Demand(table.name, GOLDEN, "golden")
    if table.source is not None:
        yield Demand(table.name, "schema", "schema")
    for rule in contract.row_rules:
        yield Demand(table.name, rule.code, "row rule")
    if table.source is not None and not contract.row_rules:
        # Only values that are none of their column can be rejected here.
        yield Demand(table.name, "rows_valid", "rows")
    if table.keep is not None:
        yield Demand(table.name, REPEAT, "key")
    if len(contract.keys) > (1 if table.keep is not None else 0):
        yield Demand(table.name, "unique_key", "key")
    if table.preserves is not None:
        yield Demand(table.name, "reconciles", "reconciles")
    for reference in table.references:
        yield Demand(table.name, reference.name, "reference")
    for table_rule in contract.table_rules:
        yield Demand(table.name, table_rule.code, "table rule")
    for invariant in graph.invariants_of(table.name):
        yield Demand(table.name, invariant.name, "invariant")


_Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    told("'{key}' is exempt without a reason", "Say why no case shows it."),
]


class _Exemptions(RootModel[dict[str, dict[str, _Reason]]]):
    """Table -> name -> reason."""


def read_exemptions(path: Path, asked: Collection[Demand]) -> dict[tuple[str, str], str]:
    """(table, name) -> reason; empty if there is no file.

    Raises:
        GoldenError: the file is malformed, a reason is missing, or nothing of that name is asked for.
    """
    if not path.exists():
        return {}
    source = read(path)
    known: dict[str, list[str]] = {}
    for demand in asked:
        known.setdefault(demand.table, []).append(demand.name)
    reasons = {}
    for table, names in source.read_as(_Exemptions).root.items():
        if table not in known:
            fix = did_you_mean(table, known, "`pipeline tables` lists them.")
            raise source.error(f"no table named '{table}'", table, fix=fix)
        for name, reason in names.items():
            if name not in known[table]:
                fix = did_you_mean(name, known[table], "`pipeline golden coverage --all` lists what is asked for.")
                raise source.error(f"nobody asks '{table}' for '{name}'", table, name, fix=fix)
            reasons[table, name] = " ".join(reason.split())
    return reasons


def _names(table: TableResult) -> Iterator[str]:
    yield from table.reasons
    yield from table.failing
    if any(comparison.name == table.table for comparison in table.comparisons):
        yield GOLDEN
    # An event stream has no columns of its own: each event is judged alone.
    if table.stopped_by == SourceChanged.__name__ or any(code.endswith(".fields") for code in table.reasons):
        yield "schema"


_STYLES = {"covered": "green", "exempt": "yellow", "uncovered": "red", "needlessly exempt": "red"}


def lines(coverage: Coverage, *, every: bool = False) -> Iterator[str]:
    """The report; with `every`, each rule and check with the cases that show it."""
    tables: dict[str, list[Demand]] = {}
    for demand in coverage.demands:
        tables.setdefault(demand.table, []).append(demand)
    wide = max((len(name) for name in tables), default=0)
    for table, demands in tables.items():
        shown = sum(demand.status == "covered" for demand in demands)
        exempt = sum(demand.status == "exempt" for demand in demands)
        word = styled("ok   ", fg="green") if shown + exempt == len(demands) else styled("GAPS ", fg="red")
        note = f", {exempt} exempt" if exempt else ""
        yield f"{word} {table:<{wide}}  {shown} of {len(demands)} shown{note}"
        if every:
            yield from (f"        {_line(demand)}" for demand in demands)
    yield from gaps(coverage)
    yield ""
    shown, asked = len(coverage.of("covered")), len(coverage.demands)
    yield f"{shown} of {asked} rules, checks and goldens are shown by a case, {len(coverage.of('exempt'))} are exempt"


def gaps(coverage: Coverage) -> Iterator[str]:
    """What is missing, by name; nothing if all is shown."""
    if coverage.uncounted:
        yield ""
        yield "not counted, because they did not come out as expected; see `pipeline golden`"
        yield from (f"  {address}" for address in coverage.uncounted)
    missing = coverage.of("uncovered")
    if missing:
        yield ""
        yield f"no case shows these: write one that breaks the rule, or a reason in golden/{FILE}"
        yield from (f"  {demand.table}  {styled(demand.name, fg='red')}  ({demand.kind})" for demand in missing)
    unbroken = next((demand.table for demand in missing if demand.kind == "row rule"), None)
    if unbroken is not None:
        yield "What no input can break while the code is right, a case shows by what wrong code would return:"
        yield f"  pipeline golden new bug-in-{unbroken} {unbroken} --returned"
    needless = coverage.of("needlessly exempt")
    if needless:
        yield ""
        yield f"these are shown after all: delete them from golden/{FILE}"
        yield from (f"  {demand.table}  {demand.name}  by {', '.join(demand.cases)}" for demand in needless)


def _line(demand: Demand) -> str:
    how = ", ".join(demand.cases) or demand.exempt or "no case"
    return f"{styled(demand.name, fg=_STYLES[demand.status])}  {how}"
