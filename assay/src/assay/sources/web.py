"""Fetching over HTTP: time-outs, retries with backoff, and limits of what an answer may take, kept while it comes."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlencode

from assay.errors import SourceError, SourceUnavailable
from assay.sources.addresses import join, mask_log, shown, split
from assay.sources.auth import Auth, Keys
from assay.sources.strict_json import JsonError, loads, plain

if TYPE_CHECKING:
    import httpx

    from assay.settings import BaseSettings

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
MOST_EQUAL = 100
"""So many addresses in a row may give the very same rows: pages that repeat for ever end there."""


@dataclass(frozen=True)
class Http:
    """How patient a source is. Times in seconds, sizes in bytes.

    Attributes:
        connect: longest wait for a connection.
        read: longest silence while an answer arrives.
        deadline: longest time for one whole answer, headers included, however steadily it drips.
        attempts: how often a request is tried when it times out, or is answered 408, 425, 429 or 5xx.
        wait: first pause between attempts; doubles each time, plus as much again at random.
        longest_wait: cap of a pause, also of one that `Retry-After` asks for.
        pause: least time between two requests, where the source's owner asks for it.
        response_bytes, total_bytes: limits of one answer, unpacked, and of all answers of one landing.
    """

    connect: float = 5.0
    read: float = 30.0
    deadline: float = 300.0
    attempts: int = 5
    wait: float = 0.5
    longest_wait: float = 30.0
    pause: float = 0.0
    response_bytes: int = 64 * 1024 * 1024
    total_bytes: int = 2 * 1024 * 1024 * 1024


PATIENT = Http()
"""The defaults."""


@dataclass(frozen=True)
class Answer:
    """A successful response: its body, the address that gave it, its declared character set, and what `Link` calls next."""

    body: bytes
    url: str
    charset: str | None
    next: str | None = None

    def json(self) -> Any:
        """The body as JSON, read strictly, numbers with a point as Decimal; raises SourceUnavailable if it is none."""
        try:
            return plain(loads(self.body))
        except JsonError as error:
            raise SourceUnavailable(str(error), where=shown(self.url), fix="Run again, or ask its owner.") from None


class _Passing(Exception):
    """A failure that may pass: tell what happened, and how long the server asks to wait."""

    def __init__(self, what: str, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class Fetcher:
    """Gets documents for one landing. Use as a context manager.

    Attributes:
        part: what the next document is, for messages; its address is not shown in full.
        bytes: how much came, unpacked.

    Args:
        table: named in messages; None where whoever tells them names it already.
        transport: replaces the network.
        base: the location: addresses without a host are joined to it, and credentials go to its server alone.
        auth: credentials; not asked for where there is no network.
        headers: added to every request to the location's server.
    """

    def __init__(
        self,
        http: Http,
        table: str | None,
        transport: httpx.BaseTransport | None = None,
        *,
        base: str = "",
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        settings: BaseSettings | None = None,
    ) -> None:
        self.http, self.table, self.part, self.bytes, self.base = http, table, "", 0, base
        self._keys = Keys(auth if transport is None else None, settings, base, headers or {})
        self._last = 0.0
        self._same: tuple[bytes, set[tuple[str, bytes | None]]] = (b"", set())
        self._transport = transport
        self._clients: dict[str, httpx.Client] = {}
        self._sockets: list[socket.socket] = []
        mask_log()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._transport is None:  # one that was handed in is not ours to close
            for client in self._clients.values():
                client.close()

    def get(self, url: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """The document at `url`; raises SourceError once the attempts are used up, at once where waiting is useless.

        Args:
            parameters: of the query, encoded as an address wants it; times as ISO 8601 has them, and None is left out.
        """
        told = {name: value for name, value in (parameters or {}).items() if value is not None}
        texts = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in told.items()}
        return self._ask(f"{url}{'&' if '?' in url else '?'}{urlencode(texts)}" if texts else url)

    def post(self, url: str, body: Any) -> Answer:
        """What the address answers to `body`, sent as JSON; raises as `get`, and is repeated as it is."""
        return self._ask(url, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def save(self, url: str, file: BinaryIO) -> None:
        """Write the document at `url` into `file`, as large as all answers together may be."""
        self._ask(url, file=file)

    def _ask(
        self,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        file: BinaryIO | None = None,
    ) -> Answer:
        import stamina

        url = join(self.base, url) if self.base and "://" not in url.partition("?")[0] else url
        try:
            for attempt in stamina.retry_context(
                on=self._pause,
                attempts=self.http.attempts,
                timeout=None,
                wait_initial=self.http.wait,
                wait_max=self.http.longest_wait,
                wait_jitter=self.http.wait,
            ):
                with attempt:
                    answer = self._once(url, body, headers or {}, file)
                    self._check_for_repeats((url, body), answer.body)
                    return answer
        except _Passing as error:
            raise SourceUnavailable(
                f"{error} ({self.http.attempts} attempts)",
                where=self.where(url),
                fix="Run again later, or ask the source's owner.",
            ) from None
        raise AssertionError("a retry ends with a result or an error")

    def _check_for_repeats(self, asked: tuple[str, bytes | None], body: bytes) -> None:
        if self._same[0] != body:
            self._same = (body, set())
        self._same[1].add(asked)
        # Many may have no rows alike: it takes a list with something in it.
        if len(self._same[1]) >= MOST_EQUAL and re.search(rb"\[\s*[^\]\s]", body):
            fix = "Ask its owner: it may not know the parameter that names the page."
            raise SourceError(f"{MOST_EQUAL} addresses gave the same rows", where=self.where(asked[0]), fix=fix)

    def where(self, url: str) -> str:
        place = f"{shown(url)}, {self.part}" if self.part else shown(url)
        return f"{self.table}: {place}" if self.table else place

    def _client(self, scheme: str) -> httpx.Client:
        import httpx

        if scheme not in self._clients:
            # The environment is not asked for proxies or credentials: settings are the only place that reads it.
            # Loading the trusted certificates takes longer than most requests; plain HTTP gets an empty set.
            secure = httpx.create_ssl_context(trust_env=False) if scheme == "https" else None
            self._clients[scheme] = httpx.Client(
                transport=self._transport,
                timeout=httpx.Timeout(self.http.read, connect=self.http.connect),
                verify=secure or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                follow_redirects=False,
                trust_env=False,
                headers={"User-Agent": "dagster-assay", "Accept-Encoding": "gzip"},
            )
        return self._clients[scheme]

    def _pause(self, error: Exception) -> bool | float:
        if not isinstance(error, _Passing):
            return False
        return True if error.retry_after is None else min(error.retry_after, self.http.longest_wait)

    def _once(self, url: str, form: bytes | None, own: Mapping[str, str], file: BinaryIO | None) -> Answer:
        import httpx

        client, headers = self._client(split(url).scheme), dict(own)
        address = self._keys.add(url, headers, lambda place, form, more: self._ask(place, form, more).body)
        time.sleep(max(0.0, self._last + self.http.pause - time.monotonic()))
        self._last = time.monotonic()
        more: dict[str, Any] = {"content": form, "headers": headers, "extensions": {"trace": self._note}}
        with self._deadline() as cut:
            try:
                with client.stream("GET" if form is None else "POST", address, **more) as response:
                    self._check(response, url, headers)
                    self._keys.renewed &= "Authorization" in own  # which the request for the new token has
                    body = self._body(response, url, cut, file)
                    return Answer(body, url, response.charset_encoding, response.links.get("next", {}).get("url"))
            except httpx.TimeoutException:
                raise _Passing("no answer in time") from None
            except httpx.InvalidURL:
                raise SourceError("is no address", where=self.where(url)) from None
            except httpx.TransportError as error:
                if cut.is_set():
                    raise _Passing("the answer took too long") from None
                # A protocol error of our own making could quote a header, which may be secret.
                ours = isinstance(error, httpx.LocalProtocolError)
                detail = type(error).__name__ if ours else str(error).rstrip(".")
                raise _Passing(f"the connection failed: {detail}") from None
            except zlib.error:
                raise _Passing("the compressed answer is damaged") from None

    @contextmanager
    def _deadline(self) -> Iterator[threading.Event]:
        """Shuts the connections once the time is over: whatever is still read ends then. The event tells that it did."""
        over = threading.Event()

        def cut() -> None:
            over.set()
            for opened in self._sockets:
                with suppress(OSError):
                    # Not TLS's own, which would leave a reading thread without its session.
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)

        timer = threading.Timer(self.http.deadline, cut)
        timer.daemon = True
        timer.start()
        try:
            yield over
        finally:
            timer.cancel()
            timer.join()

    def _note(self, event: str, info: dict[str, Any]) -> None:
        """Remember the sockets that httpx opens."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._sockets = [known for known in self._sockets if known.fileno() >= 0]
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    def _check(self, response: httpx.Response, url: str, sent: Mapping[str, str]) -> None:
        status = response.status_code
        if status in (401, 403) and (self._keys.is_ours(url) or "Authorization" in sent):
            if status == 401 and self._keys.renew():
                raise _Passing("HTTP 401", 0.0)
            what, fix = self._keys.refused(status)
            raise SourceError(f"HTTP {status}: {what}", where=self.where(url), fix=fix)
        if status in PASSING:
            raise _Passing(f"HTTP {status}", _seconds(response.headers.get("Retry-After")))
        if response.is_redirect:
            raise SourceError(
                f"HTTP {status}: redirects to another address", where=self.where(url), fix="Set the final address."
            )
        if status != 200:
            raise SourceError(f"HTTP {status}", where=self.where(url), fix="Check the address and the path.")

    def _body(self, response: httpx.Response, url: str, cut: threading.Event, file: BinaryIO | None) -> bytes:
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        if coding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise SourceError(f"its content coding {coding[:40]!a} was not asked for", where=self.where(url))
        # An answer that no network brought is whole already.
        raw = [response.content] if response.is_stream_consumed else response.iter_raw()
        packed = coding not in {"", "identity"} and not response.is_stream_consumed
        parts, size, came = [], 0, 0
        largest = self.http.response_bytes if file is None else self.http.total_bytes
        if file is not None:
            file.truncate(file.seek(0))  # of an attempt before
        for arrived, part in _unpacked(raw, packed, min(largest, 2**26) + 1):
            if file is None:
                parts.append(part)
            else:
                file.write(part)
            size, came = size + len(part), came + arrived
            most = max(size, came)
            if most > largest or self.bytes + most > self.http.total_bytes:
                limit = "response_bytes" if file is None and most > largest else "total_bytes"
                raise SourceError(
                    f"the answer is larger than {getattr(self.http, limit)} bytes",
                    where=self.where(url),
                    fix=f"Check the source, or raise Http({limit}=...).",
                )
            if cut.is_set():
                break
        if cut.is_set():  # Also where the end came with it: an answer without a length ends with its connection.
            raise _Passing("the answer took too long")
        self.bytes += size
        return b"".join(parts)


def _unpacked(parts: Iterable[bytes], packed: bool, most: int) -> Iterator[tuple[int, bytes]]:
    """What the parts hold, at most `most` bytes at once, with how many bytes came for it."""
    unpacking = None
    for part in parts:
        yield len(part), b"" if packed else part
        while packed and part:
            unpacking = unpacking or zlib.decompressobj(wbits=47)
            yield 0, unpacking.decompress(part, most)
            part = unpacking.unconsumed_tail
            if unpacking.eof:
                part, unpacking = unpacking.unused_data, None
    if unpacking is not None:
        raise zlib.error("ends in the middle")


def _seconds(header: str | None) -> float | None:
    """`Retry-After` in seconds; it may also be an HTTP date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
