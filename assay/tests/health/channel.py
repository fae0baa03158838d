"""A channel that alerts go to: a server on loopback."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Channel:
    """A server that takes JSON, and answers with `codes` first and 200 then; 0 is no answer at all."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.over = threading.Event()
        self.together: threading.Barrier | None = None
        """Those who come first wait here for the others, if not for long."""
        self.got: list[dict[str, Any]] = []
        channel = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if channel.together is not None:
                    with suppress(threading.BrokenBarrierError):
                        channel.together.wait(3)
                code = channel.codes.pop(0) if channel.codes else 200
                if code == 0:
                    channel.over.wait(60)
                    return
                if code == 200:
                    channel.got.append(json.loads(body))
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.address = f"json://127.0.0.1:{self.server.server_address[1]}/canary-secret"
