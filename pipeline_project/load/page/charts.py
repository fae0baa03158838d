"""The charts about sales and about the model, and the rows they are drawn from."""

from __future__ import annotations

import datetime as dtm
import json
from typing import TYPE_CHECKING

from pipeline_project.load.page import words
from pipeline_project.load.page.drawing import HALF, NARROW, TOLD, named, names, weeks
from pipeline_project.load.page.facts import OTHER, Rows
from pipeline_project.load.page.style import ACCENT, CONTRAST, INK, OTHER_COLOUR, SERIES, SOFT
from pipeline_project.load.page.text import count, date, money

if TYPE_CHECKING:
    import altair as alt

WEEKLY_HEIGHT = 300


def weekly_sales(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Sales per week, the largest departments apart."""
    import altair as alt

    totals: dict[str, float] = {}
    for row in rows:
        totals[row["department"]] = totals.get(row["department"], 0) + row["sales"]
    listed = sorted((name for name in totals if name != OTHER), key=lambda name: -totals[name])
    listed += [OTHER] if OTHER in totals else []
    colours = [*SERIES[: len(listed) - 1], OTHER_COLOUR] if OTHER in totals else list(SERIES[: len(listed)])
    areas = (
        alt.Chart(named(alt))
        .transform_calculate(rank=f"indexof({json.dumps(listed)}, datum.department)")
        .mark_area(opacity=1)
        .encode(
            x=weeks("week_starts_on", width, alt),
            y=alt.Y("sales:Q", title="US dollars a week", stack="zero").axis(format="$~s", tickCount=5),
            color=alt.Color("department:N", title=None)
            .scale(domain=listed, range=colours)
            .legend(orient="top", columns=3 if width < HALF else 6, symbolType="square"),
            order=alt.Order("rank:Q"),
        )
    )
    # An area is one mark; over it lies an unseen one per week, for the reader to point at.
    pointed = (
        alt.Chart(alt.InlineData(values=_weeks_told(rows, listed)))
        .transform_calculate(begins="toDate(datum.begins)", ends="toDate(datum.until)")
        .mark_rect(color=INK, fillOpacity=0)
        .encode(
            x=weeks("begins", width, alt),
            x2=alt.X2("ends:T"),
            y=alt.value(0),
            y2=alt.value(WEEKLY_HEIGHT),
            description=alt.Description("told:N"),
        )
    )
    return (areas + pointed).properties(height=WEEKLY_HEIGHT, width=width)


def _weeks_told(rows: Rows, listed: list[str]) -> Rows:
    found: dict[dtm.date, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["week_starts_on"], {})[row["department"]] = row["sales"]
    half, days = dtm.timedelta(days=3.5), sorted(found)
    told = []
    for day, sales in found.items():
        parts = ", ".join(f"{name} {money(sales[name])}" for name in listed if name in sales)
        # A week's point is its Monday; around it, but not over the ends of the areas.
        begins = dtm.datetime.combine(day, dtm.time()) - (half if day > days[0] else half * 0)
        until = dtm.datetime.combine(day, dtm.time()) + (half if day < days[-1] else half * 0)
        text = f"{TOLD}Week of {date(day)}: {money(sum(sales.values()))}. {parts}"
        told.append({"begins": f"{begins.isoformat()}Z", "until": f"{until.isoformat()}Z", "told": text})
    return told


def calibration_rows(rows: Rows) -> Rows:
    """The groups with what is told of each."""
    return [
        row
        | {
            "told": f"{count(row['households'])} predictions of {row['predicted']:.1%} on average: {row['observed']:.1%} redeemed"
        }
        for row in rows
    ]


def calibration(rows: Rows, width: int) -> alt.TopLevelMixin:
    """What was predicted against what happened, in groups of equal size."""
    import altair as alt

    top = max((max(row["predicted"], row["observed"]) for row in rows), default=0.0) * 1.08
    scale = alt.Scale(domain=[0, max(top, 0.01)], nice=False)
    ideal = alt.Chart({"values": [{"both": 0}, {"both": max(top, 0.01)}]})
    line = ideal.mark_line(color=SOFT, strokeDash=[4, 4], strokeWidth=1).encode(x=alt.X("both:Q"), y=alt.Y("both:Q"))
    points = (
        alt.Chart(named(alt))
        .mark_line(color=ACCENT, strokeWidth=2)
        .encode(
            x=alt.X("predicted:Q", title="predicted to redeem", scale=scale).axis(format=".0%", tickCount=5),
            y=alt.Y("observed:Q", title="redeemed", scale=scale).axis(format=".0%", tickCount=5),
            order=alt.Order("bin:Q"),
        )
    )
    points += points.mark_point(filled=True, size=55, color=ACCENT, opacity=1).encode(
        description=alt.Description("told:N")
    )
    return (line + points).properties(height=260, width=width)


def driver_rows(rows: Rows) -> Rows:
    """The features in words, with what is told of each."""
    found = []
    for row in rows:
        does = "raises" if row["coefficient"] >= 0 else "lowers"
        told = f"{words.feature(row['feature'])}: one standard deviation more {does} the log odds by {abs(row['coefficient']):.2f}"
        found.append(row | {"name": words.feature(row["feature"]), "told": told})
    return found


def drivers(rows: Rows, width: int) -> alt.TopLevelMixin:
    """What raises and what lowers the odds."""
    import altair as alt

    bars = (
        alt.Chart(named(alt))
        .mark_bar(cornerRadius=2, height={"band": 0.62})
        .encode(
            x=alt.X("coefficient:Q", title="weight, in log odds").axis(
                tickCount=5 if width > NARROW else 3, format="+.1f"
            ),
            y=names(rows, "name", alt),
            description=alt.Description("told:N"),
            color=alt.condition("datum.coefficient >= 0", alt.value(ACCENT), alt.value(CONTRAST)),
        )
    )
    return bars.properties(height=260, width=width)
