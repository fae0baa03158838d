from __future__ import annotations

import logging
import socket
from dataclasses import replace

import pytest

from assay.errors import SourceError
from assay.sources import web
from assay.sources.web import Fetcher, Http, join, shown

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


@pytest.mark.parametrize("address", ["ftp://host", "host:80", "/folder", ""])
def test_a_location_that_is_no_http_address(address):
    with pytest.raises(SourceError, match="is no http address"):
        join(address, "a")


def test_joining():
    assert join("http://h/api/", "/a") == join("http://h/api", "a") == "http://h/api/a"
    assert join("http://h/page", "") == "http://h/page"


def test_secrets_are_cut_out_of_addresses():
    url = "https://ann:pw@host:8080/a?page=12&token=s3cret&per_page=500&key=123456789"
    assert shown(url) == "https://host:8080/a?page=12&token=...&per_page=500&key=..."


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
    assert logging.getLogger("httpx").filters.count(web._MASK) == 1
