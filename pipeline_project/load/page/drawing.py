"""How a chart becomes part of the page: drawn by Altair and vl-convert into SVG, in the page's looks.

No script in the page, sharp at every size. Each chart is drawn for a wide, a middle and a narrow page, because text in
a scaled drawing scales too. A row's `told` is shown by the browser when the reader points at its mark.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

from pipeline_project.load.page.facts import Rows
from pipeline_project.load.page.style import INK, LINE, SOFT, themed

if TYPE_CHECKING:
    pass

FULL, HALF, MIDDLE, NARROW = 1130, 532, 680, 326
"""Widths in pixels: of the page, of half of it, of a tablet's or a printed page, of a phone's."""
TOLD = "told: "
"""Marks the texts that readers get to see when they point at a mark, apart from the renderer's own."""


def figure(name: str, title: str, caption: str, drawn: Any, rows: Rows, *, full: bool = False) -> str:
    """A card with the chart in all widths; `drawn(rows, width)` draws it."""
    card = "card full" if full else "card"
    head = f'<h3 id="{name}">{escape(title)}</h3><figcaption>{escape(caption)}</figcaption>'
    if not rows:
        return f'<figure class="{card}">{head}<p class="note">No rows yet.</p></figure>'
    from altair.utils.schemapi import debug_mode

    sizes = {"wide": FULL if full else HALF, "middle": MIDDLE, "narrow": NARROW}
    with debug_mode(False):  # Altair would validate each part of each chart against the schema, a third of the time
        drawings = "".join(
            _svg(_spec(drawn(rows, width), rows, width), f"{name}-{size}", size, title) for size, width in sizes.items()
        )
    return f'<figure class="{card}" aria-labelledby="{name}">{head}{drawings}</figure>'


def names(rows: Rows, name: str, alt: Any) -> Any:
    axis = {"ticks": False, "domain": False, "labelLimit": 170}
    title = name.removesuffix("_id").replace("_", " ") if name.endswith("_id") else None
    return alt.Y(f"{name}:N", sort=in_order(rows, name), title=title).axis(**axis)


def in_order(rows: Rows, name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def weeks(column: str, width: int, alt: Any) -> Any:
    months = {"interval": "month", "step": 1 if width > NARROW else 2}
    month, year = "utcFormat(datum.value, '%b')", "utcFormat(datum.value, '%Y')"
    # The year stands below the first month and below every January.
    label = f"datum.index == 0 || utcmonth(datum.value) == 0 ? [{month}, {year}] : {month}"
    axis = {"labelExpr": label, "tickCount": months, "grid": False, "labelFlush": True}
    return alt.X(f"{column}:T", title=None).scale(type="utc").axis(**axis)


def named(alt: Any) -> Any:
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
        rf'<(path|line|text)\b([^<>]*?) aria-label="{TOLD}([^"]*)"([^<>]*?)(?:/>|>([^<]*)</\1>)',
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
