"""A table of a web page, read strictly: the header must fit, and every row must have every cell."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.errors import SourceError, SourceUnavailable
from assay.sources.addresses import join, shown
from assay.sources.auth import Auth
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.charsets import web_codec
from assay.sources.columns import check_names
from assay.sources.rows import TextRows
from assay.sources.web import PATIENT, Answer, Fetcher, Http

if TYPE_CHECKING:
    import httpx

    from assay.settings import BaseSettings


@dataclass(frozen=True)
class HtmlTable(ReadWhole):
    """The rows of one table of a web page, as a reader of the page sees them: hidden elements and scripts are no text.

    A header such as `Start date` is the column `start_date`, unless `headers` says otherwise. An empty cell is
    null; a no-break space is kept. Rows that do not fit become malformed rows with the reasons `html.columns` or `html.cast`; their line is
    the row's number in the table, the first row under the header being 1.

    Args:
        location: the name under which settings know the site.
        path: the page under it.
        table: a CSS selector that matches exactly one table.
        headers: header text -> column name, where the name does not follow from the text.
        columns: name -> DuckDB type, where the table does not hold the contract's columns.
        http: time-outs, attempts and limits.
        auth: credentials, such as `Basic("site_user", "site_password")`.
    """

    location: str
    path: str
    table: str = "table"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    http: Http = PATIENT
    auth: Auth | None = None

    def fingerprint(
        self, base: str, transport: httpx.BaseTransport | None = None, settings: BaseSettings | None = None
    ) -> str:
        with Fetcher(self.http, None, transport, base=base, auth=self.auth, settings=settings) as fetcher:
            return _digest(fetcher.get(join(base, self.path)))

    def land(self, landing: Landing) -> Landed:
        answer, where, lines = self._read(landing.base, landing.table, landing.transport, landing.settings)
        names = [self.headers.get(text, _name(text)) for text in lines[0]]
        check_names(names, list(landing.columns), where=f"{where}, header of table '{self.table}'")
        order = [names.index(column) for column in landing.columns]
        rows = TextRows(landing, "html")
        for number, cells in enumerate(lines[1:], start=1):
            if len(cells) == len(names):
                rows.add([cells[position] or None for position in order], self.path, number)
            else:
                error = f"expected {len(names)} cells, found {len(cells)}"
                rows.reject("html.columns", self.path, number, {"_cells": cells, "_error": error})
        return rows.landed(_digest(answer), bytes=len(answer.body))

    def header(self, base: str, transport: httpx.BaseTransport | None = None) -> list[tuple[str, str]]:
        """The header's texts, and the column name that follows from each."""
        _, _, lines = self._read(base, None, transport)
        return [(text, _name(text)) for text in lines[0]]

    def _read(
        self,
        base: str,
        table: str | None,
        transport: httpx.BaseTransport | None,
        settings: BaseSettings | None = None,
    ) -> tuple[Answer, str, list[list[str]]]:
        """The page, how messages name it, and the texts of its table."""
        with Fetcher(self.http, table, transport, base=base, auth=self.auth, settings=settings) as fetcher:
            answer = fetcher.get(join(base, self.path))
        where = f"{table}: {shown(answer.url)}" if table else shown(answer.url)
        lines = _grid(self._find(answer, where), where)
        if not lines:
            raise SourceError(f"the table '{self.table}' has no row, not even a header", where=where)
        return answer, where, lines

    def _find(self, answer: Answer, where: str) -> Any:
        from selectolax.lexbor import LexborHTMLParser, SelectolaxError

        text = _text(answer, where)
        parsed = LexborHTMLParser(text)
        for node in parsed.css(_HIDDEN):
            node.decompose()
        try:
            found = [node for node in parsed.css(self.table) if node.tag == "table"]
        except SelectolaxError:
            raise SourceError(f"'{self.table}' is no CSS selector", where=where) from None
        if len(found) != 1:
            raise SourceError(
                f"expected one table '{self.table}', found {len(found) or 'none'}",
                where=where,
                fix="Look at the page; adapt the selector if it was rebuilt.",
            )
        return found[0]


# What no reader of the page sees. Whitespace is HTML's: a no-break space is part of the text.
_HIDDEN = "script, style, template, [hidden], [style*='display:none' i], [style*='display: none' i]"
_BLANK = re.compile(r"[ \t\n\f\r]+")


def _text(answer: Answer, where: str) -> str:
    """The page decoded as it declares itself, UTF-8 if it does not; cut-off pages are refused."""
    declared = re.search(rb"<meta[^>]+charset=[\"']?([\w-]+)", answer.body[:1024], re.IGNORECASE)
    charset = answer.charset or (declared[1].decode() if declared else "utf-8")
    if (codec := web_codec(charset, answer.body)) is None:
        raise SourceError(f"its charset {charset[:40]!a} is none of the web's", where=where, fix="Ask its owner.")
    try:
        text = answer.body.decode(codec)
    except UnicodeDecodeError:
        raise SourceError(f"the page is not {charset}, as it should be", where=where, fix="Ask its owner.") from None
    _check_shape(text, where)
    lower = text.lower()
    if lower.rfind("<table") > lower.rfind("</table"):
        raise SourceUnavailable("the page ends inside a table", where=where, fix="Run again, or ask its owner.")
    return text


DEEPEST = 1000
"""Elements within each other, and attributes of one: a parser's time grows with the square of both."""
_IMPLIED = "area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|t[dhr]|tbody|thead|tfoot|li|d[dt]|p|option"
_TAG = re.compile(rf"<(/?)(?!(?:{_IMPLIED})[\s/>])[a-z][^\s/>]*", re.IGNORECASE)
_LONG_TAG = re.compile(r"<[a-z][^<>]{4000,}", re.IGNORECASE)


def _check_shape(text: str, where: str) -> None:
    """Raise SourceError for a page that would be parsed for minutes."""
    steps = itertools.accumulate((-1 if match[1] else 1 for match in _TAG.finditer(text)), lambda a, b: max(a + b, 0))
    if any(depth > DEEPEST for depth in steps):
        raise SourceError(f"the page nests elements deeper than {DEEPEST}", where=where, fix="Ask its owner.")
    for match in _LONG_TAG.finditer(text):
        if len(re.sub(r"\"[^\"]*\"|'[^']*'", "", match[0]).split()) > DEEPEST:
            raise SourceError(
                f"an element has more than {DEEPEST} attributes", where=where, fix="Ask the page's owner."
            )


def _grid(table: Any, where: str) -> list[list[str]]:
    """The texts of the table's own cells, row by row."""
    for line_break in table.css("br"):
        line_break.replace_with("\n")
    lines: list[list[str]] = []
    for row in table.css("tr"):
        if _table_of(row) != table:
            raise SourceError("the table contains another table", where=where, fix="Select the inner one.")
        cells = [cell for cell in row.iter() if cell.tag in {"th", "td"}]
        for cell in cells:
            for span in ("rowspan", "colspan"):
                if (cell.attributes.get(span) or "1").strip() not in {"", "1"}:
                    raise SourceError(
                        f"row {len(lines)} has a cell with {span}, so cells cannot be told apart by position",
                        where=where,
                        fix="Ask the page's owner for a plain table.",
                    )
        if cells:
            lines.append([_BLANK.sub(" ", cell.text()).strip(" ") for cell in cells])
    return lines


def _table_of(row: Any) -> Any:
    node = row.parent
    while node is not None and node.tag != "table":
        node = node.parent
    return node


def _name(header: str) -> str:
    return re.sub(r"\W+", "_", header.strip().lower()).strip("_")


def _digest(answer: Answer) -> str:
    return hashlib.sha256(answer.body).hexdigest()
