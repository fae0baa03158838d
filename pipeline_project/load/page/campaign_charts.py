"""The charts about campaigns, and the rows they are drawn from."""

from __future__ import annotations

import datetime as dtm
from typing import TYPE_CHECKING, Any

from pipeline_project.load.page.campaigns import Group, Period, by_redemptions
from pipeline_project.load.page.drawing import HALF, NARROW, TOLD, in_order, named, names, weeks
from pipeline_project.load.page.facts import Rows
from pipeline_project.load.page.style import ACCENT, CARD, HEAT, INK, SOFT, SPAN
from pipeline_project.load.page.text import count, date

if TYPE_CHECKING:
    import altair as alt

WEEK = dtm.timedelta(days=7)
HEAT_SHARES = (0.04, 0.16, 0.36, 0.64)
"""Where a darker colour begins, as shares of the most: even steps of the square root, as most cells are small."""


def calendar_rows(cells: Rows, campaigns: Rows, period: Period) -> Rows:
    """A row per week in which coupons came back: its days within the data, and how dark it is."""
    most = max((row["redemptions"] for row in cells), default=0)
    limits = sorted({max(round(most * share), 2) for share in HEAT_SHARES})
    starts, ends = [1, *limits], [limit - 1 for limit in limits] + [max(most, limits[-1])]
    labels = [count(low) if low == high else f"{count(low)} to {count(high)}" for low, high in zip(starts, ends)]
    known = {row["campaign_id"]: row for row in campaigns}
    found = []
    for row in cells:
        if not row["redemptions"]:
            continue
        step = sum(row["redemptions"] >= limit for limit in limits)
        begins = max(row["week_starts_on"], period.first or row["week_starts_on"])
        until = row["week_starts_on"] + WEEK
        until = min(until, period.last + dtm.timedelta(days=1)) if period.last else until
        kind = f", {known[row['campaign_id']]['campaign_type']}" if row["campaign_id"] in known else ""
        coupons = "coupon" if row["redemptions"] == 1 else "coupons"
        told = f"Campaign {row['campaign_id']}{kind}, week of {date(row['week_starts_on'])}: "
        told += f"{count(row['redemptions'])} {coupons} redeemed"
        found.append(
            row
            | {"begins": begins, "until": until, "step": step, "steps": labels[step], "all_steps": labels, "told": told}
        )
    return found


def campaign_calendar(rows: Rows, width: int, *, campaigns: Rows, period: Period) -> alt.TopLevelMixin:
    """Which campaign ran when, and when its coupons came back."""
    import altair as alt

    spans = [_span(row, period) for row in campaigns]
    order = [row["campaign_id"] for row in campaigns] or in_order(rows, "campaign_id")
    labels = rows[0]["all_steps"]
    y = alt.Y("campaign_id:N", sort=order, title="campaign").axis(ticks=False, domain=False)
    ran = (
        alt.Chart(alt.InlineData(values=spans))
        .transform_calculate(begins="toDate(datum.begins)", ends="toDate(datum.until)")
        .mark_rect(cornerRadius=1.5, color=SPAN)
        .encode(x=weeks("begins", width, alt), x2=alt.X2("ends:T"), y=y, description=alt.Description("told:N"))
    )
    came = (
        alt.Chart(named(alt))
        .transform_calculate(begins="toDate(datum.begins)", ends="toDate(datum.until) - 0.7 * 864e5")
        .mark_rect(cornerRadius=1.5)
        .encode(
            x=weeks("begins", width, alt),
            x2=alt.X2("ends:T"),
            y=y,
            description=alt.Description("told:N"),
            color=alt.Color("steps:O", title="coupons redeemed in a week")
            .scale(domain=labels, range=list(HEAT[-len(labels) :]))
            .legend(
                orient="top",
                direction="horizontal",
                columns=len(labels) if width > NARROW else 3,
                symbolType="square",
                symbolStrokeWidth=0,
            ),
        )
    )
    chart = ran + came if spans else came
    return chart.properties(height=alt.Step(15), width=width)


def _span(row: dict[str, Any], period: Period) -> dict[str, Any]:
    begins, ends = row["start_date"], row["end_date"]
    missing = f", {row['missing']}" if row["missing"] else ""
    told = f"Campaign {row['campaign_id']}, {row['campaign_type']}: {date(begins)} to {date(ends)}{missing}"
    begins, ends = max(begins, period.first or begins), min(ends, period.last or ends) + dtm.timedelta(days=1)
    span = {"campaign_id": row["campaign_id"], "begins": str(begins), "until": str(ends)}
    return span | {"told": TOLD + told}


def response_rows(campaigns: Rows) -> Rows:
    """A row per campaign below one for all of its type, which counts campaigns seen whole if there are any."""
    found: Rows = []
    for kind in by_redemptions(campaigns):
        ours = [row for row in campaigns if row["campaign_type"] == kind]
        whole = [row for row in ours if not row["missing"]]
        missing = "" if whole else "the data has only a part of each"
        found.append(_response(f"{kind}, all", Group.of(whole or ours), missing, is_type=True))
        found += [_response(f"{row['campaign_id']}", Group.of([row]), row["missing"]) for row in ours]
    return found


def _response(name: str, group: Group, missing: str, *, is_type: bool = False) -> dict[str, Any]:
    low, high = group.interval
    colour = INK if is_type else ACCENT
    told = (
        f"{name if is_type else f'Campaign {name}'}: {count(group.redeeming)} of {count(group.households)} households "
        f"redeemed, {group.share:.1%}; 95% interval {low:.1%} to {high:.1%}; {group.per_hundred:.1f} coupons per 100"
    )
    return {
        "name": name,
        "is_type": is_type,
        "share": group.share,
        "low": low,
        "high": high,
        "colour": colour,
        "fill": CARD if missing else colour,
        "text": f"{group.share:.0%} of {count(group.households)}{' *' if missing else ''}",
        "told": f"{told}; {missing}" if missing else told,
    }


def campaign_response(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Which share of a campaign's households redeemed, with its 95% interval, by type."""
    import altair as alt

    most = max(row["high"] for row in rows)
    bold = alt.condition("indexof(datum.value, ', all') > 0", alt.value("bold"), alt.value("normal"))
    axis: Any = {"ticks": False, "domain": False, "labelLimit": 170, "labelFontWeight": bold}
    base = alt.Chart(named(alt)).encode(
        y=alt.Y("name:N", sort=in_order(rows, "name"), title=None).axis(**axis), description=alt.Description("told:N")
    )
    scale = alt.Scale(
        domain=[0, min(most * 1.05, 1.0) + 0.42 * most * (HALF / width if width < HALF else 1)], nice=False
    )
    title = "households that redeemed, and 95% interval"
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if most / step <= (6 if width > NARROW else 3))
    ticks = [step * number for number in range(int(most / step) + 1)]
    lines = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", title=title, scale=scale).axis(format=".0%", values=ticks),
        x2=alt.X2("high:Q"),
        color=alt.Color("colour:N", scale=None, legend=None),
    )
    points = base.mark_point(filled=True, opacity=1, strokeWidth=1.6).encode(
        x=alt.X("share:Q"),
        fill=alt.Fill("fill:N", scale=None, legend=None),
        stroke=alt.Stroke("colour:N", scale=None, legend=None),
        size=alt.condition("datum.is_type", alt.value(90), alt.value(42)),
        shape=alt.condition("datum.is_type", alt.value("diamond"), alt.value("circle")),
    )
    labels = base.mark_text(align="left", dx=6, color=SOFT, fontSize=11).encode(
        x=alt.X("high:Q"), text=alt.Text("text:N")
    )
    return (lines + points + labels).properties(height=18 * len(rows) + 4, width=width)


def redeemed_departments(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Where the redeemed coupons belong."""
    return _bars(rows, "redemptions", "department", "coupons redeemed", width, format=",.0f")


def _bars(rows: Rows, value: str, name: str, title: str, width: int, *, format: str) -> alt.TopLevelMixin:
    import altair as alt

    base = alt.Chart(named(alt)).encode(
        # Room for the number behind the longest bar.
        x=alt.X(f"{value}:Q", title=title).scale(domainMax=_most(rows, value) * 1.16).axis(tickCount=5),
        y=names(rows, name, alt),
        description=alt.Description("told:N"),
    )
    bars = base.mark_bar(color=ACCENT, cornerRadiusEnd=2, height={"band": 0.7})
    labels = base.mark_text(align="left", dx=4, color=SOFT, fontSize=11).encode(
        text=alt.Text(f"{value}:Q", format=format)
    )
    return (bars + labels).properties(height=_height(rows), width=width)


def _most(rows: Rows, value: str) -> float:
    return max((row[value] for row in rows), default=0) or 1


def _height(rows: Rows) -> int:
    """Room for every bar; of two charts side by side, neither much lower than the other."""
    return max(17 * len(rows), min(34 * len(rows), 380)) + 4
