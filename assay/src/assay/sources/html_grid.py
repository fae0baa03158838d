"""The texts of one table of a web page, as a reader of the page sees them.

Run as a process of its own (`python html_grid.py SECONDS BYTES < JSON`), which a page can kill and nothing else: a
parser's time and memory grow with the square of what is left open, and no rule about the text finds every such page.
So it imports nothing of the package. In: the arguments of `rows_of`; out: `[error, rows]`, one of them null.
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


def rows_of(page: str, selector: str, nth: int | None, spans: bool) -> list[list[str]]:
    """The texts of the table's own cells, row by row; raises Unfit."""
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    parsed = LexborHTMLParser(page)
    for node in parsed.css(_HIDDEN):
        node.decompose()
    try:
        found = [node for node in parsed.css(selector) if node.tag == "table"]
    except SelectolaxError:
        raise Unfit(f"'{selector}' is no CSS selector", None) from None
    if len(found) != 1 if nth is None else len(found) < nth:
        raise Unfit(
            f"expected {'one table' if nth is None else f'{nth} tables'} '{selector}', found {len(found) or 'none'}",
            "Look at the page; adapt the selector if it was rebuilt.",
        )
    return _grid(found[(nth or 1) - 1], spans)


def _grid(table: Any, spans: bool) -> list[list[str]]:
    for line_break in table.css("br"):
        line_break.replace_with("\n")
    lines: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}  # by column: for how many rows more a cell reaches down, and its text
    for row in table.css("tr"):
        if _table_of(row) != table:
            raise Unfit("the table contains another table", "Select the inner one.")
        cells = [cell for cell in row.iter() if cell.tag in {"th", "td"}]
        texts: list[str] = []
        for cell in cells:
            _take_down(below, texts)
            wide, deep = _span(cell, "colspan"), _span(cell, "rowspan")
            if not spans and (wide, deep) != (1, 1):
                name = "rowspan" if deep != 1 else "colspan"
                raise Unfit(
                    f"row {len(lines)} has a cell with {name}, so cells cannot be told apart by position",
                    "Say spans=True to have its text in each of its places, or ask the page's owner for a plain table.",
                )
            text = _BLANK.sub(" ", cell.text()).strip(" ")
            for _ in range(wide):
                if deep > 1:
                    below[len(texts)] = (deep - 1, text)
                texts.append(text)
        _take_down(below, texts)
        if cells:
            lines.append(texts)
    return lines


def _take_down(below: dict[int, tuple[int, str]], texts: list[str]) -> None:
    """Add what reaches down from the rows above to the places that come next."""
    while (reaching := below.pop(len(texts), None)) is not None:
        left, text = reaching
        if left > 1:
            below[len(texts)] = (left - 1, text)
        texts.append(text)


def _span(cell: Any, name: str) -> int:
    """How many places the cell takes, within HTML's own bounds; 0 reaches down to the end."""
    found = re.match(r"\s*(\d{1,9})", cell.attributes.get(name) or "")
    if found is None:
        return 1
    number, most = int(found[1]), 1000 if name == "colspan" else 65534
    return min(number, most) if number else (most if name == "rowspan" else 1)


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
    question = json.load(sys.stdin.buffer)
    answer: list[Any]
    try:
        answer = [None, rows_of(*question)]
    except Unfit as unfit:
        answer = [unfit.args, None]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
