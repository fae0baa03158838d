"""How the builds and days before went: a line of small drawings for each table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assay.tables.results import Past, PastBuild, PastDay
from pipeline_project.load.page.text import breakable, count, moment

SLOTS = 30
"""Builds or days in a drawing; the newest is always at its right."""
HEIGHT = 28
STATES = {"failed": ("var(--fail)", 28), "warned": ("var(--contrast)", 20), "passed": ("var(--accent)", 12)}
"""Of a build in the strip of checks: its colour and height, so that it is told without the colour too."""


def over_time(past: Past) -> str:
    """A card with the tables' last builds and days; nothing where the books have none."""
    lines = []
    for name in dict.fromkeys(build.table for build in past.builds):
        builds = [build for build in past.builds if build.table == name]
        days = [day for day in past.days if day.table == name]
        lines.append(_line(name, builds, days))
    if not lines:
        return ""
    unusual = [
        f"<li><strong>{escape(day.table)}</strong>, {day.day:%A}, {day.day}: {_of(day.rows, day.low, day.high)}</li>"
        for day in past.days
        if day.unusual
    ]
    flagged = f'<h3>Partitions that are not as usual</h3><ul class="found">{"".join(unusual)}</ul>' if unusual else ""
    head = (
        '<th scope="col">Table</th><th scope="col" class="n optional">Rows</th><th scope="col" class="past">Rows over time</th>'
        '<th scope="col" class="n optional">Newest partition</th><th scope="col" class="past optional">Seconds</th>'
        '<th scope="col" class="past">Checks</th>'
    )
    return (
        f'<div class="card full">{flagged}<h3>The last {SLOTS} builds</h3><p class="note">The newest is at the right; of a table with '
        f"partitions, the rows of the last {SLOTS} of them. Shaded is what was usual, where that is known. Of the marks of the "
        "checks a low one is a build in which they held, a higher one warned, and the highest failed.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="The last builds"><table>'
        "<caption>Up to this run</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></div>"
    )


def _line(name: str, builds: Sequence[PastBuild], days: Sequence[PastDay]) -> str:
    good = [build for build in builds if not build.failed]
    until = max((day.day for day in days if day.rows), default=None)
    seconds = [build.seconds for build in builds]
    told = f"{name}: {max(seconds):.2f} s at most, last {seconds[-1]:.2f} s"
    slow = _svg(_steps([(value, None, None, False) for value in seconds]), told)
    return (
        f'<tr><th scope="row">{breakable(name)}</th><td class="n optional">{count(good[-1].rows) if good else "none"}</td>'
        f'<td>{_rows(name, good, days)}</td><td class="n optional">{until or ""}</td>'
        f'<td class="optional">{slow}</td><td>{_strip(name, builds)}</td></tr>'
    )


def _rows(name: str, builds: Sequence[PastBuild], days: Sequence[PastDay]) -> str:
    last: PastBuild | PastDay
    if days:
        last, many = days[-1], f"the last {len(days)} partitions, until {days[-1].day}"
        values = [(day.rows, day.low, day.high, day.unusual) for day in days]
    elif builds:
        last, many = builds[-1], "the last build" if len(builds) == 1 else f"the last {len(builds)} builds"
        values = [(each.rows, each.low, each.high, each.unusual) for each in builds]
    else:
        return ""
    return _svg(_steps(values), f"{name}, {many}: last {_of(last.rows, last.low, last.high)}")


def _of(rows: int, low: float | None, high: float | None) -> str:
    usual = f", usually {count(low or 0)} to {count(high)}" if high is not None else ""
    return f"{count(rows)} rows{usual}"


def _steps(values: Sequence[tuple[float, float | None, float | None, bool]]) -> str:
    """A value's step over the band of what was usual of it; one outside stands out."""
    top = max([value for value, *_ in values] + [high for _, _, high, _ in values if high is not None]) or 1.0
    width, left = 100 / SLOTS, 100 - 100 / SLOTS * len(values)

    def height(value: float) -> float:
        return HEIGHT - 1 - value / top * (HEIGHT - 3)

    band, line, marks = "", "", ""
    for place, (value, low, high, flagged) in enumerate(values):
        begins, y = left + place * width, height(value)
        if high is not None:
            upper, lower = height(high), height(low or 0)
            band += f"M{begins:.2f},{upper:.1f}h{width:.2f}V{lower:.1f}h-{width:.2f}z"
        line += f"{'L' if line else 'M'}{begins:.2f},{y:.1f}h{width:.2f}"
        if flagged:
            marks += f"M{begins:.2f},{y:.1f}h{width:.2f}"
    drawn = f'<path d="{band}" fill="var(--span)"/>' if band else ""
    for path, colour, thick in ((line, "accent", 1.6), (marks, "contrast", 4)):
        if path:
            drawn += (
                f'<path d="{path}" fill="none" stroke="var(--{colour})" stroke-width="{thick}" '
                'vector-effect="non-scaling-stroke"/>'
            )
    return drawn


def _strip(name: str, builds: Sequence[PastBuild]) -> str:
    width, left = 100 / SLOTS, 100 - 100 / SLOTS * len(builds)
    marks = dict.fromkeys(STATES, "")
    for place, build in enumerate(builds):
        state = "failed" if build.failed else "warned" if "failed" in build.verdicts else "passed"
        tall = STATES[state][1]
        marks[state] += f"M{left + place * width:.2f},{HEIGHT - tall}h{width * 0.7:.2f}V{HEIGHT}h-{width * 0.7:.2f}z"
    drawn = "".join(f'<path d="{path}" fill="{STATES[state][0]}"/>' for state, path in marks.items() if path)
    counts = ", ".join(f"{path.count('M')} {state}" for state, path in marks.items() if path)
    return _svg(drawn, f"{name}, builds until {moment(builds[-1].at)}: {counts}")


def _svg(drawn: str, told: str) -> str:
    return (
        f'<svg class="spark" viewBox="0 0 100 {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(told)}">'
        f"<title>{escape(told)}</title>{drawn}</svg>"
    )
