from __future__ import annotations

import gzip
import logging
import socket
import tracemalloc
import zlib
from dataclasses import replace

import pytest

from assay.errors import SourceError
from assay.sources import addresses
from assay.sources.web import Fetcher, Http

SHORT = Http(attempts=3, wait=0.001, longest_wait=0.01)
IMPATIENT = replace(SHORT, read=0.15)


def get(url: str, http: Http = SHORT) -> bytes:
    with Fetcher(http, "sold") as fetcher:
        return fetcher.get(url).body


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(server, status):
    server.serve("/a", (status, {}, b""), (status, {}, b""), b"at last")
    assert get(f"{server.url}/a") == b"at last"
    assert len(server.requests) == 3


def test_a_lasting_failure_ends_after_the_attempts(server):
    server.serve("/a", (500, {}, b""))
    with pytest.raises(SourceError, match=rf"sold: {server.url}/a: HTTP 500 \(3 attempts\)\. Run again later"):
        get(f"{server.url}/a")
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_final_answer_is_not_asked_for_again(server, status):
    server.serve("/a", (status, {}, b""))
    with pytest.raises(SourceError, match=f"HTTP {status}"):
        get(f"{server.url}/a")
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed(server):
    server.serve("/a", (302, {"Location": f"{server.url}/b"}, b""))
    with pytest.raises(SourceError, match="HTTP 302: redirects to another address"):
        get(f"{server.url}/a")


@pytest.mark.parametrize(
    ("header", "pause"),
    [("7", 7.0), ("3600", 30.0), (None, True), ("soon", True), ("Fri, 11 May 2018 09:00:00 GMT", 0.0)],
)
def test_retry_after_is_honoured_up_to_a_limit(server, monkeypatch, header, pause):
    pauses = []
    ask = Fetcher._pause

    def record(self, error):
        pauses.append(ask(self, error))
        return 0.0

    monkeypatch.setattr(Fetcher, "_pause", record)
    server.serve("/a", (429, {"Retry-After": header} if header else {}, b""), b"x")
    assert get(f"{server.url}/a", Http()) == b"x"
    assert pauses == [pause]
    assert type(pauses[0]) is type(pause)


def test_a_hang_is_a_time_out(server):
    server.serve("/a", lambda _: server.released.wait())
    with pytest.raises(SourceError, match=r"no answer in time \(3 attempts\)"):
        get(f"{server.url}/a", IMPATIENT)


def test_a_hang_in_the_middle_is_a_time_out(server):
    def half(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        server.released.wait()

    server.serve("/a", half)
    with pytest.raises(SourceError, match="no answer in time"):
        get(f"{server.url}/a", IMPATIENT)


def test_a_drip_ends_at_the_deadline(server):
    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not server.released.wait(0.01):
            handler.wfile.write(b"x")

    server.serve("/a", drip)
    with pytest.raises(SourceError, match="the answer took too long"):
        get(f"{server.url}/a", Http(deadline=0.1, attempts=2, wait=0.001))


def _head(handler, *lines: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"".join(line + b"\r\n" for line in lines))


def _for_ever(server, handler, piece: bytes) -> None:
    while not server.released.wait(0.005):
        handler.wfile.write(piece)


EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
DRIPS = {
    "a body without a length": ([b"Connection: close", b""], b"", b"x"),
    "status": ([], b"", b""),
    "headers": ([b"X: y"], b"", b"X: y\r\n"),
    "one header": ([b"X: y"], b"Y: ", b"y"),
    "continues": (None, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "chunk extensions": ([b"Transfer-Encoding: chunked", b""], b"1;", b"x=y;"),
    "chunks": ([b"Transfer-Encoding: chunked", b""], b"", b"1\r\nx\r\n"),
    "empty gzip blocks": (
        [b"Content-Encoding: gzip", b"Content-Length: 100000000", b""],
        gzip.compress(b"", mtime=0)[:10],
        EMPTY_BLOCK,
    ),
}


@pytest.mark.parametrize("kind", DRIPS)
def test_whatever_drips_ends_at_the_deadline(server, kind):
    lines, begin, piece = DRIPS[kind]

    def drip(handler):
        if lines is not None:
            _head(handler, *lines)
        handler.wfile.write(begin)
        _for_ever(server, handler, piece)

    server.serve("/a", drip)
    with pytest.raises(SourceError, match=r"the answer took too long \(2 attempts\)|peer|headers|bytes"):
        get(f"{server.url}/a", Http(deadline=0.2, attempts=2, wait=0.001))


def test_after_a_deadline_the_next_attempt_begins_anew(server):
    def drip(handler):
        _head(handler, b"Content-Length: 1000", b"")
        _for_ever(server, handler, b"x")

    server.serve("/a", drip, b"whole")
    assert get(f"{server.url}/a", Http(deadline=0.2, wait=0.001)) == b"whole"


class TestPacked:
    """What comes out is counted while it comes out."""

    def answer(self, server, body: bytes, coding: str = "gzip") -> bytes:
        server.serve("/a", (200, {"Content-Encoding": coding}, body))
        return get(f"{server.url}/a", Http(response_bytes=1_000_000, attempts=1))

    @pytest.mark.parametrize(
        ("coding", "pack"),
        [("gzip", gzip.compress), ("X-GZIP", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
    )
    def test_it_is_unpacked(self, server, coding, pack):
        content = bytes(range(256)) * 3900
        assert self.answer(server, pack(content), coding) == content

    def test_members_follow_each_other(self, server):
        assert self.answer(server, gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b")) == b"ab"

    def test_a_bomb(self, server):
        bomb = gzip.compress(bytes(100_000_000), 1)
        tracemalloc.start()
        with pytest.raises(SourceError, match="larger than 1000000 bytes"):
            self.answer(server, bomb)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()

    @pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "identity, gzip"])
    def test_what_was_not_asked_for(self, server, coding):
        with pytest.raises(SourceError, match=f"its content coding '{coding}' was not asked for"):
            self.answer(server, gzip.compress(gzip.compress(b"x")), coding)

    def test_one_that_ends_in_the_middle(self, server):
        with pytest.raises(SourceError, match="the compressed answer is damaged"):
            self.answer(server, gzip.compress(bytes(range(256)) * 100)[:-9])


def test_a_body_shorter_than_announced(server):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    server.serve("/a", cut)
    with pytest.raises(SourceError, match=r"the connection failed: peer closed connection.*\(3 attempts\)"):
        get(f"{server.url}/a")
    assert len(server.requests) == 3


def test_damaged_compression(server):
    server.serve("/a", (200, {"Content-Encoding": "gzip"}, b"no gzip"))
    with pytest.raises(SourceError, match="the compressed answer is damaged"):
        get(f"{server.url}/a")


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError, match=r"the connection failed: .*refused"):
            get(f"http://127.0.0.1:{taken.getsockname()[1]}/a")


def test_an_answer_may_not_be_larger_than_its_limit(server):
    server.serve("/a", b"x" * 1001)
    with pytest.raises(SourceError, match=r"larger than 1000 bytes.*Http\(response_bytes=\.\.\.\)"):
        get(f"{server.url}/a", Http(response_bytes=1000))
    assert len(get(f"{server.url}/a", Http(response_bytes=1001))) == 1001


def test_all_answers_together_may_not_be_larger_than_theirs(server):
    server.serve("/a", b"x" * 600)
    with Fetcher(Http(total_bytes=1000), "sold") as fetcher:
        fetcher.get(f"{server.url}/a")
        with pytest.raises(SourceError, match=r"larger than 1000 bytes.*Http\(total_bytes=\.\.\.\)"):
            fetcher.get(f"{server.url}/a")


def test_secrets_reach_neither_messages_nor_logs(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.serve("/a?token=s3cret", (500, {}, b""))
    address = server.url.replace("http://", "http://ann:pw@") + "/a?token=s3cret"
    with pytest.raises(SourceError) as error:
        get(address)
    assert "Authorization" in server.headers[0]
    told = str(error.value) + caplog.text + repr([record.__dict__ for record in caplog.records])
    assert "HTTP Request" in told
    for secret in ("s3cret", "pw@", ":pw"):
        assert secret not in told


def test_the_environment_gives_no_proxy(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.serve("/a", b"x")
    assert get(f"{server.url}/a") == b"x"


def test_the_log_is_masked_once():
    for _ in range(3):
        Fetcher(SHORT, "sold").__exit__()
    assert logging.getLogger("httpx").filters.count(addresses._MASK) == 1
