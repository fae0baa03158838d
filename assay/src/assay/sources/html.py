"""A table of a web page, read strictly: the header must fit, and every row must have every cell."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from assay.errors import SourceError, SourceUnavailable
from assay.sources.addresses import join, shown
from assay.sources.auth import Auth
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.charsets import web_codec
from assay.sources.columns import Extra, check_names
from assay.sources.rows import TextRows
from assay.sources.web import PATIENT, Answer, Fetcher, Http

if TYPE_CHECKING:
    import httpx

    from assay.settings import BaseSettings

SECONDS, MEMORY = 5, 256 * 1024 * 1024
"""What a small page may take to be read; a large one in proportion more."""


@dataclass(frozen=True)
class HtmlTable(ReadWhole):
    """The rows of one table of a web page, as a reader of the page sees them: hidden elements and scripts are no text.

    A header such as `Start date` is the column `start_date`, unless `headers` says otherwise. An empty cell is
    null; a no-break space is kept. Rows that do not fit become malformed rows with the reasons `html.columns` or `html.cast`; their line is
    the row's number in the table, the first row under the header being 1.

    Args:
        location: the name under which settings know the site.
        path: the page under it.
        table: a CSS selector that matches exactly one table, or `nth` of several.
        nth: which of the tables that match; 1 is the first.
        header_rows: how many rows name the columns: the texts of several are joined by a blank, 0 has the contract's columns in order.
        spans: whether the text of a cell with colspan or rowspan stands in each of its places; else such a table is refused.
        headers: header text -> column name, where the name does not follow from the text.
        columns: name -> DuckDB type, where the table does not hold the contract's columns.
        http: time-outs, attempts and limits.
        auth: credentials, such as `Basic("site_user", "site_password")`.
        extra: what becomes of columns that nobody expects; see `Files`.
    """

    location: str
    path: str
    table: str = "table"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    http: Http = PATIENT
    auth: Auth | None = None
    nth: int | None = None
    header_rows: int = 1
    spans: bool = False
    extra: Extra = "stop"
    told_by_landing: ClassVar[bool] = True  # that a plan asks once, where it builds

    def fingerprint(
        self, base: str, transport: httpx.BaseTransport | None = None, settings: BaseSettings | None = None
    ) -> str:
        with Fetcher(self.http, None, transport, base=base, auth=self.auth, settings=settings) as fetcher:
            return _digest(fetcher.get(join(base, self.path)))

    def land(self, landing: Landing) -> Landed:
        answer, where, lines = self._read(landing.base, landing.table, landing.transport, landing.settings)
        names = [self.headers.get(text, _name(text)) for text in self._header(lines)] or list(landing.columns)
        rows = TextRows(landing, "html", self.extra)
        of_table = f"{where}, header of table '{self.table}'"
        check_names(names, list(landing.columns), where=of_table, beyond=rows.beyond)
        order = [names.index(column) for column in (*landing.columns, *rows.added)]
        for number, cells in enumerate(lines[self.header_rows :], start=1):
            if len(cells) == len(names):
                rows.add([cells[position] or None for position in order], self.path, number)
            else:
                error = f"expected {len(names)} cells, found {len(cells)}"
                rows.reject("html.columns", self.path, number, {"_cells": cells, "_error": error})
        return rows.landed(_digest(answer), bytes=len(answer.body))

    def header(self, base: str, transport: httpx.BaseTransport | None = None) -> list[tuple[str, str]]:
        """The header's texts, and the column name that follows from each."""
        _, _, lines = self._read(base, None, transport)
        return [(text, _name(text)) for text in self._header(lines)]

    def _header(self, lines: list[list[str]]) -> list[str]:
        """The texts that name the columns; what reaches over several rows counts once."""
        parts = itertools.zip_longest(*lines[: self.header_rows], fillvalue="")
        return [" ".join(dict.fromkeys(filter(None, part))) for part in parts]

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
        lines = _rows([_text(answer, where), self.table, self.nth, self.spans], where)
        if not lines:
            raise SourceError(f"the table '{self.table}' has no row, not even a header", where=where)
        return answer, where, lines


def _rows(question: list[Any], where: str) -> list[list[str]]:
    """The texts of the page's table, read in a process that may take only so much; raises SourceError."""
    size = len(question[0])
    limits = [str(SECONDS + size // 2_000_000), str(MEMORY + 40 * size)]
    done = subprocess.run(
        [sys.executable, "-I", str(Path(__file__).with_name("html_grid.py")), *limits],
        input=json.dumps(question).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise SourceError(
            "the page takes too long or too much memory to read, as with elements that are never closed",
            where=where,
            fix="Ask its owner.",
        )
    unfit, rows = json.loads(done.stdout)
    if unfit is not None:
        raise SourceError(unfit[0], where=where, fix=unfit[1])
    found: list[list[str]] = rows
    return found


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
    lower = text.lower()
    if lower.rfind("<table") > lower.rfind("</table"):
        raise SourceUnavailable("the page ends inside a table", where=where, fix="Run again, or ask its owner.")
    return text


def _name(header: str) -> str:
    return re.sub(r"\W+", "_", header.strip().lower()).strip("_")


def _digest(answer: Answer) -> str:
    return hashlib.sha256(answer.body).hexdigest()
