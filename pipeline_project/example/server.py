"""A shop's web site and marketing API on loopback: real HTTP, real rows, a port the system picks.

    /site/campaigns.html                      the campaigns, a table of a page
    /api/campaigns?page=1&per_page=1000       who was sent which campaign
    /api/coupons?page=1&per_page=1000         which coupon is good for which product

An API page is `{"data": [...], "total": 6589, "next": "/api/campaigns?page=2&per_page=1000"}`; the last has `null`.
"""

from __future__ import annotations

import json
import threading
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from pipeline_project.example.page import campaigns_page

PAGE_SIZE, LARGEST_PAGE = 1000, 10_000


class DemoServer:
    """Serves from its creation until `close()`, in a thread of its own.

    Attributes:
        address: the base URL.
    """

    def __init__(self, folder: Path) -> None:
        handler = type("Handler", (_Handler,), {"shop": Shop(folder)})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        # Asked twenty times a second whether to stop, so that a run does not end with half a second's wait.
        serving = {"poll_interval": 0.05}
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs=serving, name="demo-server", daemon=True
        )
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        """Stop and free the port. Safe to call twice."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()


class Shop:
    """The rows the server answers with, read once each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def page(self) -> bytes:
        return campaigns_page(self.folder / "campaign_descriptions.parquet").encode()

    @cached_property
    def resources(self) -> dict[str, list[dict[str, int]]]:
        import pyarrow.parquet as pq

        return {name: pq.read_table(self.folder / f"{name}.parquet").to_pylist() for name in ("campaigns", "coupons")}

    def items(self, resource: str, page: int, size: int) -> bytes:
        """One page of the API as JSON."""
        rows = self.resources[resource]
        following = None
        if page * size < len(rows):
            following = f"/api/{resource}?{urlencode({'page': page + 1, 'per_page': size})}"
        data = rows[(page - 1) * size : page * size]
        return json.dumps({"data": data, "total": len(rows), "next": following}).encode()


class _Handler(BaseHTTPRequestHandler):
    shop: ClassVar[Shop]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        url = urlsplit(self.path)
        stage, _, name = url.path.strip("/").partition("/")
        if url.path == "/site/campaigns.html":
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", self.shop.page)
        elif stage == "api" and name in ("campaigns", "coupons"):
            self._answer_items(name, parse_qs(url.query))
        else:
            self._fail(HTTPStatus.NOT_FOUND, "no such resource")

    def _answer_items(self, resource: str, query: dict[str, list[str]]) -> None:
        try:
            page = int(query.get("page", ["1"])[0])
            size = int(query.get("per_page", [str(PAGE_SIZE)])[0])
        except ValueError:
            page = size = 0
        if page < 1 or not 1 <= size <= LARGEST_PAGE:
            self._fail(HTTPStatus.BAD_REQUEST, f"page counts from 1, per_page is at most {LARGEST_PAGE}")
        else:
            self._answer(HTTPStatus.OK, "application/json", self.shop.items(resource, page, size))

    def _fail(self, status: HTTPStatus, reason: str) -> None:
        self._answer(status, "application/json", json.dumps({"error": reason}).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the run's progress is on this terminal."""
