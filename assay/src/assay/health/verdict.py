"""The pipeline's status, as a web service has one: passing, worth a look, failing, or too young to tell."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay.health.finding import Finding
from assay.health.state import State
from assay.tables.fresh import span

Status = Literal["pass", "warn", "fail", "learning"]
WIDTH = 80
COMMAND = re.compile(r"pipeline (run|quarantine)\b[^`.;]*")
"""What is copied into a terminal stands on one line."""
NAMED = 5
"""So many subjects that follow from a finding are named."""


@dataclass(frozen=True)
class Verdict:
    """What is thought of a state."""

    status: Status
    now: dtm.datetime
    findings: tuple[Finding, ...]
    tables: int
    checks: int
    learning: int

    @classmethod
    def of(cls, state: State, findings: Sequence[Finding]) -> Verdict:
        """A table of which nothing is known yet is learning: that is not passing."""
        learning = sum(check.learning for check in state.checked)
        usual = sum(check.name == "usual" for check in state.checked)
        status: Status = "learning" if learning == usual else "pass"
        if findings:
            status = "fail" if any(each.fatal for each in findings) else "warn"
        return cls(status, state.now, tuple(findings), len(state.built), len(state.checked), learning)

    def exit_code(self, *, strict: bool = False) -> int:
        """0 well, worth a look or learning, 2 failing; with `strict` 1 where something is worth a look."""
        if self.status == "fail":
            return 2
        return 1 if strict and self.status == "warn" else 0

    def as_json(self) -> str:
        """For monitors; moments are ISO 8601 in UTC."""
        return json.dumps(dataclasses.asdict(self), default=_plain, indent=2)

    def lines(self) -> Iterator[str]:
        """For a terminal of 80 columns: what is wrong, worst first, and what was looked at."""
        fatal = sum(each.fatal for each in self.findings)
        for each in self.findings:
            yield from told(each)
            yield ""
        said = {"pass": "PASS", "warn": "WARN", "fail": "FAIL", "learning": "LEARNING"}[self.status]
        counts = [f"{fatal} failing"] if fatal else []
        counts += [f"{len(self.findings) - fatal} worth a look"] if len(self.findings) > fatal else []
        looked = f"{self.tables} built, {self.checks} checks"
        learning = f", {self.learning} of them learning" if self.learning else ""
        yield f"{said}  {', '.join([*counts, looked])}{learning}"


def told(finding: Finding) -> Iterator[str]:
    """A finding in lines of 80 columns at most."""
    head = f"{'FAIL' if finding.fatal else 'WARN'}  {finding.subject} {finding.what}"
    since = f"since {finding.since.astimezone(dtm.UTC):%Y-%m-%d %H:%M} UTC" if finding.since else ""
    yield f"{head:<{WIDTH - len(since) - 1}} {since}".rstrip() if len(head) + len(since) < WIDTH - 1 else head
    rows = [("expected", finding.expected), ("actual", finding.actual), ("owner", finding.owner), ("do", finding.todo)]
    if len(head) + len(since) >= WIDTH - 1:
        rows.insert(0, ("since", since.removeprefix("since ")))
    if finding.also:
        more = f" and {len(finding.also) - NAMED} more" if len(finding.also) > NAMED else ""
        rows.append(("also", f"{len(finding.also)}: {', '.join(finding.also[:NAMED])}{more}"))
    rows.append(("silenced", finding.silenced))
    for name, text in rows:
        if text:
            whole = COMMAND.sub(lambda found: found[0].replace(" ", "\xa0"), text)
            for line in textwrap.wrap(
                whole, WIDTH, initial_indent=f"      {name:<9} ", subsequent_indent=" " * 16, break_on_hyphens=False
            ):
                yield line.replace("\xa0", " ")


def _plain(value: Any) -> str:
    if isinstance(value, dtm.datetime):
        return value.astimezone(dtm.UTC).isoformat(timespec="seconds")
    return span(value) if isinstance(value, dtm.timedelta) else str(value)
