"""Charts, drawn by Altair and vl-convert into SVG: no script in the page, sharp at every size, readable by machines.

Each chart is drawn for a wide, a middle and a narrow page, because text in a scaled drawing scales too. A row's `told`
is shown by the browser when the reader points at its mark.
"""

from __future__ import annotations

import datetime as dtm
import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

from pipeline_project.load.page import words
from pipeline_project.load.page.campaigns import Group, Period, by_redemptions
from pipeline_project.load.page.facts import OTHER, Rows
from pipeline_project.load.page.style import (
    ACCENT,
    CARD,
    CONTRAST,
    HEAT,
    INK,
    LINE,
    OTHER_COLOUR,
    SERIES,
    SOFT,
    SPAN,
    themed,
)
from pipeline_project.load.page.text import count, date, money

if TYPE_CHECKING:
    import altair as alt

FULL, HALF, MIDDLE, NARROW = 1130, 532, 680, 326
"""Widths in pixels: of the page, of half of it, of a tablet's or a printed page, of a phone's."""
WEEK = dtm.timedelta(days=7)
HEAT_SHARES = (0.04, 0.16, 0.36, 0.64)
"""Where a darker colour begins, as shares of the most: even steps of the square root, as most cells are small."""
WEEKLY_HEIGHT = 300
TOLD = "told: "
"""Marks the texts that readers get to see when they point at a mark, apart from the renderer's own."""


def calendar_rows(cells: Rows, campaigns: Rows, period: Period) -> Rows:
    """A row per week in which coupons came back: its days within the data, and how dark it is."""
    most = max((row["redemptions"] for row in cells), default=0)
    limits = sorted({max(round(most * share), 2) for share in HEAT_SHARES})
    starts, ends = [1, *limits], [limit - 1 for limit in limits] + [max(most, limits[-1])]
    names = [count(low) if low == high else f"{count(low)} to {count(high)}" for low, high in zip(starts, ends)]
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
            | {"begins": begins, "until": until, "step": step, "steps": names[step], "all_steps": names, "told": told}
        )
    return found


def campaign_calendar(rows: Rows, width: int, campaigns: Rows = [], period: Period = Period()) -> alt.TopLevelMixin:  # noqa: B006, B008 - neither is changed
    """Which campaign ran when, and when its coupons came back."""
    import altair as alt

    spans = [_span(row, period) for row in campaigns]
    order = [row["campaign_id"] for row in campaigns] or _in_order(rows, "campaign_id")
    names = rows[0]["all_steps"]
    y = alt.Y("campaign_id:N", sort=order, title="campaign").axis(ticks=False, domain=False)
    ran = (
        alt.Chart(alt.InlineData(values=spans))
        .transform_calculate(begins="toDate(datum.begins)", ends="toDate(datum.until)")
        .mark_rect(cornerRadius=1.5, color=SPAN)
        .encode(x=_weeks("begins", width, alt), x2="ends:T", y=y, description="told:N")
    )
    came = (
        alt.Chart(_named(alt))
        .transform_calculate(begins="toDate(datum.begins)", ends="toDate(datum.until) - 0.7 * 864e5")
        .mark_rect(cornerRadius=1.5)
        .encode(
            x=_weeks("begins", width, alt),
            x2="ends:T",
            y=y,
            description="told:N",
            color=alt.Color("steps:O", title="coupons redeemed in a week")
            .scale(domain=names, range=list(HEAT[-len(names) :]))
            .legend(
                orient="top",
                direction="horizontal",
                columns=len(names) if width > NARROW else 3,
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
    """A row per campaign below a row for all of its type; of a type only campaigns seen whole count, if there are any."""
    found: Rows = []
    for kind in by_redemptions(campaigns):
        ours = [row for row in campaigns if row["campaign_type"] == kind]
        whole = [row for row in ours if not row["missing"]]
        found.append(_response(f"{kind}, all", Group.of(whole or ours), "whole" if whole else "part", is_type=True))
        found += [
            _response(f"{row['campaign_id']}", Group.of([row]), "part" if row["missing"] else "whole", row["missing"])
            for row in ours
        ]
    return found


def _response(name: str, group: Group, seen: str, missing: str = "", *, is_type: bool = False) -> dict[str, Any]:
    low, high = group.interval
    colour = INK if is_type else ACCENT
    share = f"{group.share:.0%} of {count(group.households)}"
    told = (
        f"{name if is_type else f'Campaign {name}'}: {count(group.redeeming)} of {count(group.households)} households "
        f"redeemed, {group.share:.1%}; 95% interval {low:.1%} to {high:.1%}; {group.per_hundred:.1f} coupons per 100"
    )
    told += f"; {missing}" if missing else ""
    row = {"name": name, "share": group.share, "low": low, "high": high, "is_type": is_type}
    row |= {"colour": colour, "fill": CARD if seen == "part" else colour}
    return row | {"text": share + (" *" if missing else ""), "told": told}


def campaign_response(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Which share of a campaign's households redeemed, with its 95% interval, by type."""
    import altair as alt

    most = max(row["high"] for row in rows)
    names = [row["name"] for row in rows]
    bold = alt.condition("indexof(datum.value, ', all') > 0", alt.value("bold"), alt.value("normal"))
    axis = {"ticks": False, "domain": False, "labelLimit": 170, "labelFontWeight": bold}
    base = alt.Chart(_named(alt)).encode(
        y=alt.Y("name:N", sort=names, title=None).axis(**axis), description=alt.Description("told:N")
    )
    scale = alt.Scale(
        domain=[0, min(most * 1.05, 1.0) + 0.42 * most * (HALF / width if width < HALF else 1)], nice=False
    )
    title = "households that redeemed, and 95% interval"
    ticks = [share / 10 for share in range(11) if share / 10 <= most]
    lines = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", title=title, scale=scale).axis(format=".0%", values=ticks),
        x2="high:Q",
        color=alt.Color("colour:N", scale=None, legend=None),
    )
    points = base.mark_point(filled=True, opacity=1, strokeWidth=1.6).encode(
        x="share:Q",
        fill=alt.Fill("fill:N", scale=None, legend=None),
        stroke=alt.Stroke("colour:N", scale=None, legend=None),
        size=alt.condition("datum.is_type", alt.value(90), alt.value(42)),
        shape=alt.condition("datum.is_type", alt.value("diamond"), alt.value("circle")),
    )
    labels = base.mark_text(align="left", dx=6, color=SOFT, fontSize=11).encode(x="high:Q", text="text:N")
    return (lines + points + labels).properties(height=18 * len(rows) + 4, width=width)


def redeemed_departments(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Where the redeemed coupons belong."""
    return _bars(rows, "redemptions", "department", "coupons redeemed", width, format=",.0f")


def weekly_sales(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Sales per week, the largest departments apart."""
    import altair as alt

    totals: dict[str, float] = {}
    for row in rows:
        totals[row["department"]] = totals.get(row["department"], 0) + row["sales"]
    names = sorted((name for name in totals if name != OTHER), key=lambda name: -totals[name])
    names += [OTHER] if OTHER in totals else []
    colours = [*SERIES[: len(names) - 1], OTHER_COLOUR] if OTHER in totals else list(SERIES[: len(names)])
    areas = (
        alt.Chart(_named(alt))
        .transform_calculate(rank=f"indexof({json.dumps(names)}, datum.department)")
        .mark_area(opacity=1)
        .encode(
            x=_weeks("week_starts_on", width, alt),
            y=alt.Y("sales:Q", title="US dollars a week", stack="zero").axis(format="$~s", tickCount=5),
            color=alt.Color("department:N", title=None)
            .scale(domain=names, range=colours)
            .legend(orient="top", columns=3 if width < HALF else 6, symbolType="square"),
            order=alt.Order("rank:Q"),
        )
    )
    # An area is one mark; over it lies an unseen one per week, for the reader to point at.
    weeks = (
        alt.Chart(alt.InlineData(values=_weeks_told(rows, names)))
        .transform_calculate(begins="toDate(datum.begins)", ends="toDate(datum.until)")
        .mark_rect(color=INK, opacity=0)
        .encode(
            x=_weeks("begins", width, alt),
            x2="ends:T",
            y=alt.value(0),
            y2=alt.value(WEEKLY_HEIGHT),
            description="told:N",
        )
    )
    return (areas + weeks).properties(height=WEEKLY_HEIGHT, width=width)


def _weeks_told(rows: Rows, names: list[str]) -> Rows:
    found: dict[dtm.date, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["week_starts_on"], {})[row["department"]] = row["sales"]
    half, days = dtm.timedelta(days=3.5), sorted(found)
    told = []
    for day, sales in found.items():
        parts = ", ".join(f"{name} {money(sales[name])}" for name in names if name in sales)
        # A week's point is its Monday; around it, but not over the ends of the areas.
        begins = dtm.datetime.combine(day, dtm.time()) - (half if day > days[0] else half * 0)
        until = dtm.datetime.combine(day, dtm.time()) + (half if day < days[-1] else half * 0)
        text = f"{TOLD}Week of {date(day)}: {money(sum(sales.values()))}. {parts}"
        told.append({"begins": f"{begins.isoformat()}Z", "until": f"{until.isoformat()}Z", "told": text})
    return told


def calibration(rows: Rows, width: int) -> alt.TopLevelMixin:
    """What was predicted against what happened, in groups of equal size."""
    import altair as alt

    top = max((max(row["predicted"], row["observed"]) for row in rows), default=0.0) * 1.08
    scale = alt.Scale(domain=[0, max(top, 0.01)], nice=False)
    ideal = alt.Chart({"values": [{"both": 0}, {"both": max(top, 0.01)}]})
    line = ideal.mark_line(color=SOFT, strokeDash=[4, 4], strokeWidth=1).encode(x="both:Q", y="both:Q")
    points = (
        alt.Chart(_named(alt))
        .mark_line(color=ACCENT, strokeWidth=2)
        .encode(
            x=alt.X("predicted:Q", title="predicted to redeem", scale=scale).axis(format=".0%", tickCount=5),
            y=alt.Y("observed:Q", title="redeemed", scale=scale).axis(format=".0%", tickCount=5),
            order="bin:Q",
        )
    )
    points += points.mark_point(filled=True, size=55, color=ACCENT, opacity=1).encode(description="told:N")
    return (line + points).properties(height=260, width=width)


def drivers(rows: Rows, width: int) -> alt.TopLevelMixin:
    """What raises and what lowers the odds."""
    import altair as alt

    bars = (
        alt.Chart(_named(alt))
        .mark_bar(cornerRadius=2, height={"band": 0.62})
        .encode(
            x=alt.X("coefficient:Q", title="weight (log odds per standard deviation)").axis(
                tickCount=5 if width > NARROW else 3, format="+.1f"
            ),
            y=_names(rows, "name", alt),
            description="told:N",
            color=alt.condition("datum.coefficient >= 0", alt.value(ACCENT), alt.value(CONTRAST)),
        )
    )
    return bars.properties(height=260, width=width)


def calibration_rows(rows: Rows) -> Rows:
    """The groups with what is told of each."""
    return [
        row
        | {
            "told": f"{count(row['households'])} predictions of {row['predicted']:.1%} on average: {row['observed']:.1%} redeemed"
        }
        for row in rows
    ]


def driver_rows(rows: Rows) -> Rows:
    """The features in words, with what is told of each."""
    found = []
    for row in rows:
        does = "raises" if row["coefficient"] >= 0 else "lowers"
        told = f"{words.feature(row['feature'])}: one standard deviation more {does} the log odds by {abs(row['coefficient']):.2f}"
        found.append(row | {"name": words.feature(row["feature"]), "told": told})
    return found


def figure(name: str, title: str, caption: str, drawn: Any, rows: Rows, *, full: bool = False) -> str:
    """A card with the chart in all widths; `drawn(rows, width)` draws it."""
    card = "card full" if full else "card"
    head = f'<h3 id="{name}">{escape(title)}</h3><figcaption>{escape(caption)}</figcaption>'
    if not rows:
        return f'<figure class="{card}">{head}<p class="note">No rows yet.</p></figure>'
    sizes = {"wide": FULL if full else HALF, "middle": MIDDLE, "narrow": NARROW}
    drawings = "".join(
        _svg(_spec(drawn(rows, width), rows, width), f"{name}-{size}", size, title) for size, width in sizes.items()
    )
    return f'<figure class="{card}" aria-labelledby="{name}">{head}{drawings}</figure>'


def _bars(rows: Rows, value: str, name: str, title: str, width: int, *, format: str) -> alt.TopLevelMixin:
    import altair as alt

    base = alt.Chart(_named(alt)).encode(
        # Room for the number behind the longest bar.
        x=alt.X(f"{value}:Q", title=title).scale(domainMax=_most(rows, value) * 1.16).axis(tickCount=5),
        y=_names(rows, name, alt),
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


def _names(rows: Rows, name: str, alt: Any) -> Any:
    axis = {"ticks": False, "domain": False, "labelLimit": 170}
    title = name.removesuffix("_id").replace("_", " ") if name.endswith("_id") else None
    return alt.Y(f"{name}:N", sort=_in_order(rows, name), title=title).axis(**axis)


def _weeks(column: str, width: int, alt: Any) -> Any:
    months = {"interval": "month", "step": 1 if width > NARROW else 2}
    month, year = "utcFormat(datum.value, '%b')", "utcFormat(datum.value, '%Y')"
    # The year stands below the first month and below every January.
    label = f"datum.index == 0 || utcmonth(datum.value) == 0 ? [{month}, {year}] : {month}"
    axis = {"labelExpr": label, "tickCount": months, "grid": False, "labelFlush": True}
    return alt.X(f"{column}:T", title=None).scale(type="utc").axis(**axis)


def _in_order(rows: Rows, name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def _named(alt: Any) -> Any:
    # Named, and put in when the chart is done: Altair would validate every row against the schema.
    return alt.NamedData("rows")


def _spec(chart: Any, rows: Rows, width: int) -> dict[str, Any]:
    spec: dict[str, Any] = chart.configure(**_config(width)).to_dict(validate=False)
    marked = [row | {"told": TOLD + row["told"]} if "told" in row else row for row in rows]
    return spec | {"datasets": spec.get("datasets", {}) | {"rows": json.loads(json.dumps(marked, default=str))}}


def _svg(spec: dict[str, Any], name: str, size: str, title: str) -> str:
    """The drawing, fit for a page: scaled by the page, with a name, and with ids of its own."""
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(spec)
    # The renderer counts its ids over all it ever drew; here they count within the drawing.
    for number, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', drawn))):
        drawn = drawn.replace(f'id="{old}"', f'id="{name}-{number}"').replace(f"url(#{old})", f"url(#{name}-{number})")
    drawn = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", drawn)
    drawn = re.sub(
        rf'<(path|text)\b([^<>]*?) aria-label="{TOLD}([^"]*)"([^<>]*?)(?:/>|>([^<]*)</\1>)',
        lambda found: f"<{found[1]}{found[2]}{found[4]}>{found[5] or ''}<title>{found[3]}</title></{found[1]}>",
        drawn,
    )
    # Machines read the figure's title and caption; the drawing's hundreds of marks would only be noise.
    drawn = re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", drawn)
    box = re.search(r'viewBox="[^"]+"', drawn)
    body = drawn[drawn.index(">") + 1 :]
    body = themed(body)
    return f'<svg class="{size}" role="img" aria-label="{escape(title)}" {box[0] if box else ""}>{body}'


def _config(width: int) -> dict[str, Any]:
    small = 11 if width <= NARROW else 12
    axis = {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "titleFontWeight": 500,
        "labelFontSize": small,
        "titleFontSize": small,
    }
    axis |= {"gridColor": LINE, "domainColor": LINE, "tickColor": LINE, "titlePadding": 8, "labelPadding": 5}
    legend = {
        "labelColor": INK,
        "titleColor": SOFT,
        "labelFontSize": small,
        "titleFontSize": small,
        "titleFontWeight": 500,
    }
    return {
        "font": "Liberation Sans, Helvetica, Arial, sans-serif",
        "background": "transparent",
        "autosize": {"type": "fit-x", "contains": "padding"},
        # A browser's font may be wider than the one the drawing was measured with.
        "padding": {"left": 16, "right": 8, "top": 2, "bottom": 2},
        "view": {"stroke": None},
        "axis": axis,
        "legend": legend,
    }
