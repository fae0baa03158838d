"""`/health` on loopback: 200 while the pipeline is well, 503 where it is not or nobody can tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from assay.errors import PipelineError
from assay.health.verdict import Verdict


def server(port: int, look: Callable[[], Verdict], *, strict: bool = False) -> ThreadingHTTPServer:
    """A server on 127.0.0.1 that looks anew at each request; port 0 takes a free one.

    Raises:
        PipelineError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.split("?")[0] != "/health":
                self._send(404, json.dumps({"error": "only /health is served"}))
                return
            try:
                verdict = look()
            except PipelineError as error:
                self._send(503, json.dumps({"status": "unknown", "error": str(error)}))
                return
            self._send(503 if verdict.exit_code(strict=strict) else 200, verdict.as_json())

        def _send(self, code: int, text: str) -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """A monitor asks every few seconds; nobody wants to read that."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise PipelineError(
            f"cannot listen: {error.strerror}", where=f"127.0.0.1:{port}", fix="Give another port: --serve PORT."
        ) from None
