"""Coverage for a terminal: a line a table, then what is missing, by name."""

from __future__ import annotations

from collections.abc import Iterator

import click

from assay.golden.coverage import FILE, Coverage, Demand, tables_of

_STYLES = {"covered": "green", "exempt": "yellow", "uncovered": "red", "needlessly exempt": "red"}


def lines(found: Coverage, *, every: bool = False) -> Iterator[str]:
    """The report; with `every`, each rule and check with the cases that show it."""
    tables = tables_of(found)
    wide = max((len(name) for name in tables), default=0)
    for table, demands in tables.items():
        shown = sum(demand.status == "covered" for demand in demands)
        exempt = sum(demand.status == "exempt" for demand in demands)
        word = click.style("ok   ", fg="green") if shown + exempt == len(demands) else click.style("GAPS ", fg="red")
        note = f", {exempt} exempt" if exempt else ""
        yield f"{word} {table:<{wide}}  {shown} of {len(demands)} shown{note}"
        if every:
            yield from (f"        {_line(demand)}" for demand in demands)
    yield from gaps(found)
    yield ""
    shown, asked = len(found.of("covered")), len(found.demands)
    yield f"{shown} of {asked} rules, checks and goldens are shown by a case, {len(found.of('exempt'))} are exempt"


def gaps(found: Coverage) -> Iterator[str]:
    """What is missing, by name; nothing if all is shown."""
    if found.uncounted:
        yield ""
        yield "not counted, because they did not come out as expected; see `pipeline golden`"
        yield from (f"  {address}" for address in found.uncounted)
    missing = found.of("uncovered")
    if missing:
        yield ""
        yield f"no case shows these: write one that breaks the rule, or a reason in golden/{FILE}"
        yield from (f"  {demand.table}  {click.style(demand.name, fg='red')}  ({demand.kind})" for demand in missing)
    unbroken = next((demand.table for demand in missing if demand.kind == "row rule"), None)
    if unbroken is not None:
        yield "What no input can break while the code is right, a case shows by what wrong code would return:"
        yield f"  pipeline golden new bug-in-{unbroken} {unbroken} --returned"
    needless = found.of("needlessly exempt")
    if needless:
        yield ""
        yield f"these are shown after all: delete them from golden/{FILE}"
        yield from (f"  {demand.table}  {demand.name}  by {', '.join(demand.cases)}" for demand in needless)


def _line(demand: Demand) -> str:
    how = ", ".join(demand.cases) or demand.exempt or "no case"
    return f"{click.style(demand.name, fg=_STYLES[demand.status])}  {how}"
