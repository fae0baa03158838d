"""Fetching over HTTP: time-outs, retries with backoff, size limits, and addresses that are safe to show."""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from assay.errors import SourceError, SourceUnavailable

if TYPE_CHECKING:
    import httpx

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Http:
    """How patient a source is. Times in seconds, sizes in bytes.

    Attributes:
        connect: longest wait for a connection.
        read: longest silence while an answer arrives.
        deadline: longest time for one whole answer, however steadily it drips.
        attempts: how often a request is tried when it times out, or is answered 408, 425, 429 or 5xx.
        wait: first pause between attempts; doubles each time, plus as much again at random.
        longest_wait: cap of a pause, also of one that `Retry-After` asks for.
        response_bytes, total_bytes: limits of one answer and of all answers of one landing.
    """

    connect: float = 5.0
    read: float = 30.0
    deadline: float = 300.0
    attempts: int = 5
    wait: float = 0.5
    longest_wait: float = 30.0
    response_bytes: int = 64 * 1024 * 1024
    total_bytes: int = 2 * 1024 * 1024 * 1024


PATIENT = Http()
"""The defaults."""


@dataclass(frozen=True)
class Answer:
    """A successful response: its body, the address that gave it, and its declared character set."""

    body: bytes
    url: str
    charset: str | None


class _Passing(Exception):
    """A failure that may pass: tell what happened, and how long the server asks to wait."""

    def __init__(self, what: str, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class Fetcher:
    """Gets documents for one landing. Use as a context manager.

    Args:
        http: limits.
        table: named in messages; None where whoever tells them names it already.
        transport: replaces the network.
    """

    def __init__(self, http: Http, table: str | None, transport: httpx.BaseTransport | None = None) -> None:
        self.http, self.table, self.bytes = http, table, 0
        self._transport = transport
        self._clients: dict[str, httpx.Client] = {}
        _mask_log()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._transport is None:  # one that was handed in is not ours to close
            for client in self._clients.values():
                client.close()

    def get(self, url: str) -> Answer:
        """The document at `url`; raises SourceError once the attempts are used up, at once where waiting is useless."""
        import stamina

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
                    return self._once(url)
        except _Passing as error:
            raise SourceUnavailable(
                f"{error} ({self.http.attempts} attempts)",
                where=self.where(url),
                fix="Run again later, or ask the source's owner.",
            ) from None
        raise AssertionError("a retry ends with a result or an error")

    def where(self, url: str) -> str:
        return f"{self.table}: {shown(url)}" if self.table else shown(url)

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

    def _once(self, url: str) -> Answer:
        import httpx

        try:
            with self._client(urlsplit(url).scheme).stream("GET", url) as response:
                self._check(response, url)
                body = self._body(response, url)
                return Answer(body, url, response.charset_encoding)
        except httpx.TimeoutException:
            raise _Passing("no answer in time") from None
        except httpx.InvalidURL as error:
            raise SourceError(f"is no address ({error})", where=self.where(url)) from None
        except httpx.TransportError as error:
            # A protocol error of our own making could quote a header, which may be secret.
            ours = isinstance(error, httpx.LocalProtocolError)
            detail = type(error).__name__ if ours else str(error).rstrip(".")
            raise _Passing(f"the connection failed: {detail}") from None
        except httpx.DecodingError:
            raise _Passing("the compressed answer is damaged") from None

    def _check(self, response: httpx.Response, url: str) -> None:
        status = response.status_code
        if status in _PASSING:
            raise _Passing(f"HTTP {status}", _seconds(response.headers.get("Retry-After")))
        if response.is_redirect:
            raise SourceError(
                f"HTTP {status}: redirects to another address", where=self.where(url), fix="Set the final address."
            )
        if status != 200:
            raise SourceError(f"HTTP {status}", where=self.where(url), fix="Check the address and the path.")

    def _body(self, response: httpx.Response, url: str) -> bytes:
        parts, size, end = [], 0, time.monotonic() + self.http.deadline
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > self.http.response_bytes or self.bytes + size > self.http.total_bytes:
                limit = "response_bytes" if size > self.http.response_bytes else "total_bytes"
                raise SourceError(
                    f"the answer is larger than {getattr(self.http, limit)} bytes",
                    where=self.where(url),
                    fix=f"Check the source, or raise Http({limit}=...).",
                )
            if time.monotonic() > end:
                raise _Passing("the answer took too long")
        self.bytes += size
        return b"".join(parts)


def join(base: str, path: str) -> str:
    """The address of `path` under `base`."""
    if urlsplit(base).scheme not in {"http", "https"}:
        raise SourceError("is no http address", where=shown(base), fix="Set the location to http://... or https://...")
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base


def shown(url: str) -> str:
    """The address without user, password and query values, which may be secrets; page numbers stay."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(_shown_parameter(part) for part in parts.query.split("&")) if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{'?' + query if query else ''}"


def _shown_parameter(part: str) -> str:
    name, _, value = part.partition("=")
    return part if value.isdecimal() and len(value) <= 6 else f"{name}=..."


def _seconds(header: str | None) -> float | None:
    """`Retry-After` in seconds; it may also be an HTTP date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


class _Mask(logging.Filter):
    """httpx logs every request with its whole address; what may be secret in it is cut out."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(shown(str(part)) if "://" in str(part) else part for part in record.args)
        return True


_MASK = _Mask()


def _mask_log() -> None:
    logging.getLogger("httpx").addFilter(_MASK)
