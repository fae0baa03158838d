"""Paged JSON APIs, read to their announced end: no page twice, none left out, no item lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlencode, urljoin

from assay import notices
from assay.errors import SourceChanged, SourceError, SourceUnavailable
from assay.sources.addresses import join, same_server, split
from assay.sources.auth import Auth
from assay.sources.base import Landed, Landing, ReadWhole
from assay.sources.casts import normal_types
from assay.sources.columns import Extra
from assay.sources.objects import NoRow, RowReader
from assay.sources.rows import TextRows
from assay.sources.strict_json import JsonError, Number, dumps, loads
from assay.sources.web import PATIENT, Fetcher, Http

if TYPE_CHECKING:
    import httpx

    from assay.settings import BaseSettings


_Request = tuple[str, str | None]
"""An address, and what is posted to it."""


@dataclass(frozen=True)
class PagedJson(ReadWhole):
    """The items of all pages of a JSON API.

    Each page holds a list of items and at least one sign of where the end is: `next` (null, an address on the same
    server, or the next page's name), `pages` (how many there are), `total` (how many items there are), with `link=True` the
    header `Link`, with `until_empty=True` a page without items. All that a page announces must agree with what came,
    and a page that was read already ends the landing with an error. Items whose values are not of the columns' types
    become malformed rows with the reason `json.cast`; missing or unexpected fields stop the landing.

    Args:
        location: the name under which settings know the API.
        path: the resource under it.
        items: the field that holds the list of items, `data.orders` for one inside another; empty where the page is the list.
        page_param, first_page: how the first page is asked for; None asks for none, as for a cursor that `next` names.
        size_param, size: how many items a page shall have; None leaves it to the API.
        next, pages, total: the fields that tell the end; `meta.next` for one inside another.
        max_pages: more pages than this are an error.
        columns: name -> DuckDB type of every field of an item, where that is not the contract.
        optional: fields that an item may leave out; they are null then.
        json_in_strings: JSON columns whose strings hold the document; elsewhere a string is a JSON string.
        http: time-outs, attempts, limits, and a pause between requests.
        auth: credentials, such as `Bearer("shop_token")`, a secret of the settings; sent to the location's server alone.
        headers, parameters: added to every request.
        post: sends this JSON object, with the page's parameters in it, instead of getting the address.
        counts: what `page_param` counts: pages, or items (an offset, then `first_page` is usually 0).
        link: whether the header `Link` names the next page; without one it is the last.
        until_empty: whether a page without items is the end.
        extra: what becomes of fields that nobody expects; see `Files`.
    """

    location: str
    path: str
    items: str = "data"
    page_param: str | None = "page"
    first_page: int | None = 1
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
    auth: Auth | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    post: Mapping[str, Any] | None = field(default=None, hash=False)
    counts: Literal["pages", "items"] = "pages"
    link: bool = False
    until_empty: bool = False
    extra: Extra = "stop"
    told_by_landing: ClassVar[bool] = True  # that a plan asks once, where it builds

    def fingerprint(
        self, base: str, transport: httpx.BaseTransport | None = None, settings: BaseSettings | None = None
    ) -> str:
        """Reads all pages: an API tells in no other way whether it changed."""
        digest = hashlib.sha256()
        with self._fetcher(None, base, transport, settings) as fetcher:
            for page in self._walk(fetcher, join(base, self.path)):
                digest.update(page.mark)
        return digest.hexdigest()

    def land(self, landing: Landing) -> Landed:
        rows, digest, types = (
            TextRows(landing, "json", self.extra),
            hashlib.sha256(),
            normal_types(landing.connection, landing.columns),
        )
        reader = RowReader(types, self.optional, self.json_in_strings, rows.beyond)
        with self._fetcher(landing.table, landing.base, landing.transport, landing.settings) as fetcher:
            for page in self._walk(fetcher, join(landing.base, self.path)):
                notices.phase(f"reading the source, page {page.number}")
                digest.update(page.mark)
                _add(rows, page, reader, f"{self.path} page {page.number}")
            return rows.landed(digest.hexdigest(), bytes=fetcher.bytes)

    def _fetcher(
        self,
        table: str | None,
        base: str,
        transport: httpx.BaseTransport | None,
        settings: BaseSettings | None,
    ) -> Fetcher:
        return Fetcher(self.http, table, transport, base=base, auth=self.auth, headers=self.headers, settings=settings)

    def _walk(self, fetcher: Fetcher, url: str) -> Iterator[_Page]:
        """Every page in order, each checked against all before it; the count of items once the last is reached."""
        request, seen = self._request(url, self.first_page), 0
        visited, marks, announced = {request}, dict[bytes, int](), dict[str, int]()
        for number in range(1, self.max_pages + 1):
            page = self._page(fetcher, request, number)
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
            following = self._following(page, url, request, seen)
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
            request = following
        raise SourceError(
            f"more than {self.max_pages} pages", where=fetcher.where(url), fix="Check the API, or raise max_pages."
        )

    def _request(self, url: str, page: object) -> _Request:
        parameters = {} if self.page_param is None or page is None else {self.page_param: page}
        if self.size is not None:
            parameters[self.size_param] = self.size
        if self.post is not None:
            return join(url, f"?{urlencode(self.parameters)}"), dumps({**self.post, **parameters})
        every = {**self.parameters, **parameters}
        return (join(url, f"?{urlencode(every)}") if every else url), None

    def _page(self, fetcher: Fetcher, request: _Request, number: int) -> _Page:
        fetcher.part = f"page {number}"
        address, posted = request
        where = fetcher.where(address)
        answer = fetcher.get(address) if posted is None else fetcher.post(address, json.loads(posted))
        try:
            body = loads(answer.body)
        except JsonError as error:
            raise SourceUnavailable(str(error), where=where, fix="Run again, or ask the API's owner.") from None
        _, items = _at(body, self.items)
        if not isinstance(items, list):
            what = f"has no list '{self.items}'" if self.items else "is no list"
            raise SourceError(what, where=where, fix="Check the source's `items`, or ask the API's owner.")
        has_next, following = (True, answer.next) if self.link else _at(body, self.next)
        return _Page(
            number=number,
            where=where,
            items=items,
            # Of the items alone: a page that comes again often carries another page number.
            mark=hashlib.sha256(repr(items).encode()).digest(),
            next=following,
            has_next=has_next,
            pages=_count(body, self.pages, where),
            total=_count(body, self.total, where),
        )

    def _following(self, page: _Page, url: str, request: _Request, seen: int) -> _Request | None:
        """The next page's request; None at the end."""
        if page.has_next:
            return self._linked(page, url, request)
        if page.pages is not None:
            more = page.number < page.pages
        elif page.total is not None:
            more = seen < page.total
        elif self.until_empty:
            more = bool(page.items)
        else:
            raise SourceError(
                f"tells no end: none of '{self.next}', '{self.pages}', '{self.total}'",
                where=page.where,
                fix="Name the API's field in the source, or say link=True or until_empty=True.",
            )
        if more and not page.items:
            raise SourceError("is empty, but more was announced", where=page.where, fix="Ask the API's owner.")
        if more and self.page_param is None:
            raise SourceError("is not the last page, and the source has no page_param", where=page.where)
        before = seen if self.counts == "items" else page.number
        return self._request(url, (self.first_page or 0) + before) if more else None

    def _linked(self, page: _Page, url: str, request: _Request) -> _Request | None:
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
            return self._request(url, page.next)
        address, posted = request
        here = split(address)
        target = split(urljoin(address, page.next))
        if not same_server(here, target):
            raise SourceError(
                f"its '{self.next}' leads to another server", where=page.where, fix="Ask the API's owner."
            )
        return target._replace(netloc=here.netloc).geturl(), posted  # with the credentials, if there are any


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


def _at(body: Any, path: str) -> tuple[bool, Any]:
    """Whether the document has the field, and its value; an empty path is the document itself."""
    if isinstance(body, dict) and path in body:
        return True, body[path]
    for name in path.split(".") if path else ():
        if not isinstance(body, dict) or name not in body:
            return False, None
        body = body[name]
    return True, body


def _count(body: Any, name: str, where: str) -> int | None:
    _, value = _at(body, name)
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
