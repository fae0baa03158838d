"""Paged JSON APIs, read to their announced end: no page twice, none left out, no item lost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from assay import notices
from assay.errors import SourceChanged, SourceError, SourceUnavailable
from assay.sources.addresses import join, same_server, split
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.casts import normal_types
from assay.sources.objects import NoRow, RowReader
from assay.sources.rows import TextRows
from assay.sources.strict_json import JsonError, Number, dumps, loads
from assay.sources.web import PATIENT, Fetcher, Http

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class PagedJson(ReadWhole):
    """The items of all pages of a JSON API.

    Each page is an object with a list of items and at least one sign of where the end is: `next` (null, an
    address, or the next page's name), `pages` (how many there are) or `total` (how many items there are). All
    that a page announces must agree with what came. Items whose values are not of the columns' types become
    malformed rows with the reason `json.cast`; missing or unexpected fields stop the landing.

    Args:
        location: the name under which settings know the API.
        path: the resource under it.
        items: the field that holds the list of items.
        page_param, first_page: how the first page is asked for; None asks for none.
        size_param, size: how many items a page shall have; None leaves it to the API.
        next, pages, total: the fields that tell the end.
        max_pages: more pages than this are an error.
        columns: name -> DuckDB type of every field of an item, where that is not the contract.
        optional: fields that an item may leave out; they are null then.
        json_in_strings: JSON columns whose strings hold the document; elsewhere a string is a JSON string.
        http: time-outs, attempts and limits.
    """

    location: str
    path: str
    items: str = "data"
    page_param: str | None = "page"
    first_page: int = 1
    size_param: str = "per_page"
    size: int | None = None
    next: str = "next"
    pages: str = "pages"
    total: str = "total"
    max_pages: int = 10_000
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    http: Http = PATIENT
    optional: tuple[str, ...] = ()
    json_in_strings: tuple[str, ...] = ()

    def fingerprint(self, base: str, transport: httpx.BaseTransport | None = None) -> str:
        """Reads all pages: an API tells in no other way whether it changed."""
        digest = hashlib.sha256()
        with Fetcher(self.http, None, transport) as fetcher:
            for page in self._walk(fetcher, join(base, self.path)):
                digest.update(page.mark)
        return digest.hexdigest()

    def land(self, landing: Landing) -> Landed:
        reader = RowReader(normal_types(landing.connection, landing.columns), self.optional, self.json_in_strings)
        rows, digest = TextRows(landing, "json"), hashlib.sha256()
        with Fetcher(self.http, landing.table, landing.transport) as fetcher:
            for page in self._walk(fetcher, join(landing.base, self.path)):
                notices.phase(f"reading the source, page {page.number}")
                digest.update(page.mark)
                _add(rows, page, reader, f"{self.path} page {page.number}")
            return rows.landed(digest.hexdigest(), bytes=fetcher.bytes)

    def _walk(self, fetcher: Fetcher, url: str) -> Iterator[_Page]:
        """Every page in order, each checked against all before it; the count of items once the last is reached."""
        address, seen = self._address(url, self.first_page), 0
        visited, marks, announced = {address}, dict[bytes, int](), dict[str, int]()
        for number in range(1, self.max_pages + 1):
            page = self._page(fetcher, address, number)
            if page.items and page.mark in marks:
                raise SourceError(
                    f"page {number} repeats page {marks[page.mark]}", where=page.where, fix="Ask the API's owner."
                )
            marks[page.mark] = number
            seen += len(page.items)
            for what, count in (("items", page.total), ("pages", page.pages)):
                if count is not None and announced.setdefault(what, count) != count:
                    raise SourceUnavailable(
                        f"announces {count} {what}, a page before it {announced[what]}",
                        where=page.where,
                        fix="Run again; the data changed while it was read.",
                    )
            yield page
            following = self._following(page, url, address, seen)
            if following is None:
                if seen != announced.get("items", seen):
                    raise SourceUnavailable(
                        f"{seen} items came, but {announced['items']} were announced",
                        where=page.where,
                        fix="Run again; the data may have changed while it was read.",
                    )
                return
            if following in visited:
                raise SourceError(
                    f"page {number} leads back to a page already read", where=page.where, fix="Ask the API's owner."
                )
            visited.add(following)
            address = following
        raise SourceError(
            f"more than {self.max_pages} pages", where=fetcher.where(url), fix="Check the API, or raise max_pages."
        )

    def _address(self, url: str, page: object) -> str:
        parameters = {} if self.page_param is None else {self.page_param: page}
        if self.size is not None:
            parameters[self.size_param] = self.size
        if not parameters:
            return url
        return join(url, f"?{urlencode(parameters)}")

    def _page(self, fetcher: Fetcher, address: str, number: int) -> _Page:
        fetcher.part = f"page {number}"
        where = fetcher.where(address)
        answer = fetcher.get(address)
        try:
            body = loads(answer.body)
        except JsonError as error:
            raise SourceUnavailable(str(error), where=where, fix="Run again, or ask the API's owner.") from None
        if not isinstance(body, dict) or not isinstance(body.get(self.items), list):
            raise SourceError(
                f"has no list '{self.items}'", where=where, fix="Check the source's `items`, or ask the API's owner."
            )
        items = body[self.items]
        return _Page(
            number=number,
            where=where,
            items=items,
            # Of the items alone: a page that comes again often carries another page number.
            mark=hashlib.sha256(repr(items).encode()).digest(),
            next=body.get(self.next),
            has_next=self.next in body,
            pages=_count(body, self.pages, where),
            total=_count(body, self.total, where),
        )

    def _following(self, page: _Page, url: str, address: str, seen: int) -> str | None:
        """The next page's address; None at the end."""
        if page.has_next:
            return self._linked(page, url, address)
        if page.pages is not None:
            more = page.number < page.pages
        elif page.total is not None:
            more = seen < page.total
        else:
            raise SourceError(
                f"tells no end: none of '{self.next}', '{self.pages}', '{self.total}'",
                where=page.where,
                fix="Name the API's field in the source.",
            )
        if more and not page.items:
            raise SourceError("is empty, but more was announced", where=page.where, fix="Ask the API's owner.")
        if more and self.page_param is None:
            raise SourceError("is not the last page, and the source has no page_param", where=page.where)
        return self._address(url, self.first_page + page.number) if more else None

    def _linked(self, page: _Page, url: str, address: str) -> str | None:
        if page.next is None:
            if page.pages is not None and page.number != page.pages:
                raise SourceError(
                    f"is the last page, but {page.pages} pages were announced",
                    where=page.where,
                    fix="Ask the API's owner.",
                )
            return None
        if not isinstance(page.next, str) or not page.next:
            raise SourceError(f"its '{self.next}' is neither null nor an address nor a page", where=page.where)
        if isinstance(page.next, Number) or not page.next.startswith(("http://", "https://", "/", "?")):
            return self._address(url, page.next)
        here = split(address)
        target = split(urljoin(address, page.next))
        if not same_server(here, target):
            raise SourceError(
                f"its '{self.next}' leads to another server", where=page.where, fix="Ask the API's owner."
            )
        return target._replace(netloc=here.netloc).geturl()  # with the credentials, if there are any


@dataclass(frozen=True)
class _Page:
    number: int
    where: str
    items: list[Any]
    mark: bytes
    next: Any
    has_next: bool
    pages: int | None
    total: int | None


def _count(body: Mapping[str, Any], name: str, where: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, Number) and value.isdecimal() and len(value) <= 18:
        return int(value)
    raise SourceError(f"its '{name}' is no count", where=where, fix="Check the source's fields.")


def _add(rows: TextRows, page: _Page, reader: RowReader, name: str) -> None:
    if (columns := reader.read_all(page.items)) is not None:
        rows.add_columns(columns, name, 1)
        return
    for number, item in enumerate(page.items, start=1):
        try:
            rows.add(reader.read(item), name, number)
        except NoRow as error:
            if error.kind == "fields":
                raise SourceChanged(
                    str(error),
                    where=f"{page.where}, item {number}",
                    fix="Adapt the table's contract if the change is meant, else ask the API's owner.",
                ) from None
            rows.reject("json.cast", name, number, {"_item": dumps(item), "_error": str(error)})
