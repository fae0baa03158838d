"""Sources served from a folder, for golden cases and tests: an HTTP transport without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORIGIN = "http://fixture"
_TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8"}


class FixtureTransport(httpx.BaseTransport):
    """Answers `http://fixture/<location>/<path>` from files of `folder`.

    A request for `/retail_api/coupons?page=2&size=500` is answered with the first file there is of
    `retail_api/coupons/page=2&size=500.json`, `retail_api/coupons/page=2.json`, `retail_api/coupons/size=500.json`
    (each also as `.html`), `retail_api/coupons`, `retail_api/coupons.json` and `retail_api/coupons.html`; else 404.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @staticmethod
    def address(location: str) -> str:
        """The base address under which `location`'s files are served."""
        return f"{_ORIGIN}/{location}"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for name in _candidates(request.url):
            file = (self.folder / name).resolve()
            if file.is_relative_to(self.folder) and file.is_file():
                headers = {"Content-Type": _TYPES.get(file.suffix, "application/octet-stream")}
                return httpx.Response(200, headers=headers, content=file.read_bytes(), request=request)
        return httpx.Response(404, request=request)


def _candidates(url: httpx.URL) -> Iterator[str]:
    path = unquote(url.path).strip("/")
    query = url.query.decode()
    for part in dict.fromkeys([query, *query.split("&")]):
        if part:
            yield f"{path}/{part}.json"
            yield f"{path}/{part}.html"
    yield from (path, f"{path}.json", f"{path}.html")
