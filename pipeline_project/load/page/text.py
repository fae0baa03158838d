"""Numbers, moments, names and tables as text for the page."""

from __future__ import annotations

import datetime as dtm
from html import escape


def table(caption: str, head: list[str], body: list[list[str]], text: tuple[str, ...] = ()) -> str:
    """A table whose first column names the row and whose others are numbers, but for `text`, left out on phones."""
    classes = [
        "" if not index else ' class="optional"' if name in text else ' class="n"' for index, name in enumerate(head)
    ]
    top = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, classes))
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row[1:], classes[1:]))
        + "</tr>"
        for row in body
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def breakable(name: str) -> str:
    """A name that may be broken after its underscores, for narrow pages."""
    return escape(name).replace("_", "_<wbr>")


def count(number: float) -> str:
    return f"{number:,.0f}"


def money(dollars: float) -> str:
    """Dollars at a glance: $950, $12.3K, $4.56M."""
    for limit, divisor, digits, unit in ((1e6, 1e6, 2, "M"), (1e4, 1e3, 1, "K")):
        if abs(dollars) >= limit:
            return f"${dollars / divisor:,.{digits}f}{unit}"
    return f"${dollars:,.0f}"


def date(day: dtm.date) -> str:
    """January 1, 2017."""
    return f"{day:%B} {day.day}, {day.year}"


def moment(when: dtm.datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")
