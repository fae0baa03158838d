"""Sources served from a folder, for golden cases and tests: an HTTP transport without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORIGIN = "http://fixture"
_TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8"}

_ENDINGS = (".json", ".html", ".http")


class FixtureTransport(httpx.BaseTransport):
    """Answers `http://fixture/<location>/<path>` from files of `folder`.

    A request for `/retail_api/coupons?page=2&size=500` is answered with the first file there is of
    `retail_api/coupons/page=2&size=500.json`, `retail_api/coupons/page=2.json`, `retail_api/coupons/size=500.json`
    (each also as `.html`), `retail_api/coupons`, `retail_api/coupons.json` and `retail_api/coupons.html`; else 404. What is
    posted as a JSON object counts as parameters. A file `.http` begins with headers and an empty line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @staticmethod
    def address(location: str) -> str:
        """The base address under which `location`'s files are served."""
        return f"{_ORIGIN}/{location}"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for name in _candidates(request):
            file = (self.folder / name).resolve()
            if file.is_relative_to(self.folder) and file.is_file():
                headers, content = (
                    {"Content-Type": _TYPES.get(file.suffix, "application/octet-stream")},
                    file.read_bytes(),
                )
                if file.suffix == ".http":
                    head, _, content = content.partition(b"\n\n")
                    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
                return httpx.Response(200, headers=headers, content=content, request=request)
        return httpx.Response(404, request=request)


def _candidates(request: httpx.Request) -> Iterator[str]:
    path, query = unquote(request.url.path).strip("/"), request.url.query.decode()
    parts = [query, *query.split("&")]
    if request.content:
        posted = {name: value for name, value in json.loads(request.content).items() if isinstance(value, str | int)}
        parts += ["&".join(f"{name}={value}" for name, value in posted.items())]
        parts += [f"{name}={value}" for name, value in posted.items()]
    for part in dict.fromkeys(parts):
        if part:
            yield from (f"{path}/{part}{ending}" for ending in _ENDINGS)
    yield from (path, *(f"{path}{ending}" for ending in _ENDINGS))
