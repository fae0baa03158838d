"""Charts, drawn by Altair and vl-convert into SVG: no script in the page, sharp at every size, readable by machines.

Each chart is drawn twice, for a wide and for a narrow page, because text in a scaled drawing scales too.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

from pipeline_project.load.page.facts import OTHER, Rows
from pipeline_project.load.page.style import ACCENT, CONTRAST, HEAT, INK, LINE, SERIES, SOFT

if TYPE_CHECKING:
    import altair as alt

FULL, HALF, NARROW = 1130, 532, 326
"""Widths in pixels: of the page, of half of it, of a phone's page."""


def campaign_calendar(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Which campaign had its coupons redeemed when."""
    import altair as alt

    return (
        alt.Chart(_named(alt))
        .transform_filter("datum.redemptions > 0")
        .transform_calculate(begins="toDate(datum.week_starts_on)", ends="toDate(datum.week_starts_on) + 6.3 * 864e5")
        .mark_rect(cornerRadius=1.5)
        .encode(
            x=_weeks("begins", width, alt),
            x2="ends:T",
            y=alt.Y("campaign_id:N", sort=_in_order(rows, "campaign_id"), title="campaign").axis(
                ticks=False, domain=False
            ),
            color=alt.Color("redemptions:Q", title="coupons redeemed")
            .scale(type="sqrt", range=list(HEAT))
            .legend(orient="top", direction="horizontal", gradientLength=160, tickCount=4),
        )
        .properties(height=alt.Step(15), width=width)
    )


def campaign_response(rows: Rows, width: int) -> alt.TopLevelMixin:
    """How many coupons came back per hundred households."""
    return _bars(rows, "per_hundred", "campaign_id", "redeemed coupons per 100 households", width, format=".0f")


def redeemed_departments(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Where the redeemed coupons belong."""
    return _bars(rows[:12], "redemptions", "department", "coupons redeemed", width, format=",.0f")


def weekly_sales(rows: Rows, width: int) -> alt.TopLevelMixin:
    """Sales per week, the largest departments apart."""
    import altair as alt

    totals: dict[str, float] = {}
    for row in rows:
        totals[row["department"]] = totals.get(row["department"], 0) + row["sales"]
    names = sorted((name for name in totals if name != OTHER), key=lambda name: -totals[name])
    names += [OTHER] if OTHER in totals else []
    return (
        alt.Chart(_named(alt))
        .transform_calculate(rank=f"indexof({json.dumps(names)}, datum.department)")
        .mark_area(opacity=0.88)
        .encode(
            x=_weeks("week_starts_on", width, alt),
            y=alt.Y("sales:Q", title="US dollars a week", stack="zero").axis(format="$~s", tickCount=5),
            color=alt.Color("department:N", title=None)
            .scale(domain=names, range=[*SERIES[: len(names) - 1], SERIES[-1]])
            .legend(orient="top", columns=3 if width < HALF else 6, symbolType="square"),
            order=alt.Order("rank:Q"),
        )
        .properties(height=300, width=width)
    )


def calibration(rows: Rows, width: int) -> alt.TopLevelMixin:
    """What was predicted against what happened, in groups of equal size."""
    import altair as alt

    top = max((max(row["predicted"], row["observed"]) for row in rows), default=0.0) * 1.08
    scale = alt.Scale(domain=[0, max(top, 0.01)], nice=False)
    ideal = alt.Chart({"values": [{"both": 0}, {"both": max(top, 0.01)}]})
    line = ideal.mark_line(color=SOFT, strokeDash=[4, 4], strokeWidth=1).encode(x="both:Q", y="both:Q")
    points = (
        alt.Chart(_named(alt))
        .mark_line(color=ACCENT, point={"filled": True, "size": 55, "color": ACCENT}, strokeWidth=2)
        .encode(
            x=alt.X("predicted:Q", title="predicted share", scale=scale).axis(format=".0%", tickCount=5),
            y=alt.Y("observed:Q", title="share that redeemed", scale=scale).axis(format=".0%", tickCount=5),
            order="bin:Q",
        )
    )
    return (line + points).properties(height=260, width=width)


def drivers(rows: Rows, width: int) -> alt.TopLevelMixin:
    """What raises and what lowers the odds."""
    import altair as alt

    bars = (
        alt.Chart(_named(alt))
        .mark_bar(cornerRadius=2, height={"band": 0.62})
        .encode(
            x=alt.X("coefficient:Q", title="log odds per standard deviation").axis(
                tickCount=5 if width > NARROW else 3, format="+.1f"
            ),
            y=_names(rows, "feature", alt),
            color=alt.condition("datum.coefficient >= 0", alt.value(ACCENT), alt.value(CONTRAST)),
        )
    )
    return bars.properties(height=260, width=width)


def figure(name: str, title: str, caption: str, drawn: Any, rows: Rows, *, full: bool = False) -> str:
    """A card with the chart in both widths; `drawn(rows, width)` draws it."""
    card = "card full" if full else "card"
    head = f'<h3 id="{name}">{escape(title)}</h3><figcaption>{escape(caption)}</figcaption>'
    if not rows:
        return f'<figure class="{card}">{head}<p class="note">No rows yet.</p></figure>'
    sizes = {"wide": FULL if full else HALF, "narrow": NARROW}
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
    axis = {"format": "%b", "tickCount": months, "grid": False, "labelFlush": True}
    return alt.X(f"{column}:T", title=None).scale(type="utc").axis(**axis)


def _in_order(rows: Rows, name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def _named(alt: Any) -> Any:
    # Named, and put in when the chart is done: Altair would validate every row against the schema.
    return alt.NamedData("rows")


def _spec(chart: Any, rows: Rows, width: int) -> dict[str, Any]:
    spec: dict[str, Any] = chart.configure(**_config(width)).to_dict(validate=False)
    return spec | {"datasets": spec.get("datasets", {}) | {"rows": json.loads(json.dumps(rows, default=str))}}


def _svg(spec: dict[str, Any], name: str, size: str, title: str) -> str:
    """The drawing, fit for a page: scaled by the page, with a name, and with ids of its own."""
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(spec)
    # The renderer counts its ids over all it ever drew; here they count within the drawing.
    for number, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', drawn))):
        drawn = drawn.replace(f'id="{old}"', f'id="{name}-{number}"').replace(f"url(#{old})", f"url(#{name}-{number})")
    # Machines read the figure's title and caption; the drawing's hundreds of marks would only be noise.
    drawn = re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", drawn)
    box = re.search(r'viewBox="[^"]+"', drawn)
    body = drawn[drawn.index(">") + 1 :]
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
        "padding": 2,
        "view": {"stroke": None},
        "axis": axis,
        "legend": legend,
    }
