"""The texts of one table of a web page, as a reader of the page sees them.

Run as a process of its own (`python html_grid.py SECONDS BYTES < JSON`), which a page can kill and nothing else: a
parser's time and memory grow with the square of what is left open, and no rule about the text finds every such page.
So it imports nothing of the package. In: `[page, selector]`; out: `[error, rows]`, one of them null.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from typing import Any

# What no reader of the page sees. Whitespace is HTML's: a no-break space is part of the text.
_HIDDEN = "script, style, template, [hidden], [style*='display:none' i], [style*='display: none' i]"
_BLANK = re.compile(r"[ \t\n\f\r]+")


class Unfit(Exception):
    """What is wrong with the page, and what to do."""


def rows_of(page: str, selector: str) -> list[list[str]]:
    """The texts of the table's own cells, row by row; raises Unfit."""
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    parsed = LexborHTMLParser(page)
    for node in parsed.css(_HIDDEN):
        node.decompose()
    try:
        found = [node for node in parsed.css(selector) if node.tag == "table"]
    except SelectolaxError:
        raise Unfit(f"'{selector}' is no CSS selector", None) from None
    if len(found) != 1:
        raise Unfit(
            f"expected one table '{selector}', found {len(found) or 'none'}",
            "Look at the page; adapt the selector if it was rebuilt.",
        )
    return _grid(found[0])


def _grid(table: Any) -> list[list[str]]:
    for line_break in table.css("br"):
        line_break.replace_with("\n")
    lines: list[list[str]] = []
    for row in table.css("tr"):
        if _table_of(row) != table:
            raise Unfit("the table contains another table", "Select the inner one.")
        cells = [cell for cell in row.iter() if cell.tag in {"th", "td"}]
        for cell in cells:
            for span in ("rowspan", "colspan"):
                if (cell.attributes.get(span) or "1").strip() not in {"", "1"}:
                    raise Unfit(
                        f"row {len(lines)} has a cell with {span}, so cells cannot be told apart by position",
                        "Ask the page's owner for a plain table.",
                    )
        if cells:
            lines.append([_BLANK.sub(" ", cell.text()).strip(" ") for cell in cells])
    return lines


def _table_of(row: Any) -> Any:
    node = row.parent
    while node is not None and node.tag != "table":
        node = node.parent
    return node


def main() -> None:
    """Answer the one question, within the limits."""
    seconds, size = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    page, selector = json.load(sys.stdin.buffer)
    answer: list[Any]
    try:
        answer = [None, rows_of(page, selector)]
    except Unfit as unfit:
        answer = [unfit.args, None]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
