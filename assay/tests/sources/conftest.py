"""A landing to read into, and a real HTTP server to read from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assay.sources.base import Landing, Source
from assay.sources.delimited import Csv
from tests.memory import connected


@dataclass
class Result:
    """What a source landed: rows without their places, places, and malformed rows by reason."""

    rows: list[tuple[Any, ...]]
    places: list[tuple[str, int]]
    malformed: list[tuple[str, str, int, str]]
    landed: Any

    @property
    def reasons(self) -> list[tuple[str, int]]:
        return [(reason, line) for reason, _, line, _ in self.malformed]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connected() as opened:
        yield opened


@pytest.fixture
def land(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> Callable[..., Result]:
    """Lands a source and reads everything it found."""

    def run(
        source: Source,
        base: object,
        columns: Mapping[str, str],
        *,
        offsets: Mapping[int, int] | None = None,
        **more: Any,
    ) -> Result:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        before = connection.execute("SELECT name, value FROM duckdb_settings() ORDER BY name").fetchall()
        landed = source.land(Landing("sold", str(base), columns, connection, scratch, offsets or {}, **more))
        assert connection.execute("SELECT name, value FROM duckdb_settings() ORDER BY name").fetchall() == before
        found = connection.execute(landed.sql)
        names = [column[0] for column in found.description or []]
        assert names[: len(columns)] == list(columns)
        lines = found.fetchall()
        malformed = connection.execute(f"{landed.malformed} ORDER BY 2, 3").fetchall() if landed.malformed else []
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall():
            connection.execute(f"DROP TABLE {name}")
        width = len(columns)
        return Result([line[:width] for line in lines], [line[width:] for line in lines], malformed, landed)

    return run


@dataclass
class Server:
    """A loopback server: `answers` maps a path with query to a function, or to (status, headers, body)s in turn."""

    url: str
    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, *turns: Any) -> None:
        """Answer the path with each of the turns, then with the last of them for ever."""
        self.answers[path] = list(turns)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(self.path)

        def do_POST(self) -> None:
            served.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(f"POST {self.path}")

        def answer(self, path: str) -> None:
            served.requests.append(path)
            served.headers.append(dict(self.headers))
            turns = served.answers.get(path, [(404, {}, b"")])
            turn = turns.pop(0) if len(turns) > 1 else turns[0]
            if callable(turn):
                turn(self)
                return
            status, headers, body = turn if isinstance(turn, tuple) else (200, {}, turn)
            body = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    class Loopback(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients of these tests hang up; that is the point."""

    with Loopback(("127.0.0.1", 0), Handler) as httpd:
        served = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield served
        served.released.set()
        httpd.shutdown()
        thread.join()


@pytest.fixture(params=["duckdb", "lines"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read a CSV file must give the same."""
    if request.param == "lines":
        monkeypatch.setattr(Csv, "_fast", lambda *_: False)
