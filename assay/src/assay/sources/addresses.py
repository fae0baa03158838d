"""Addresses: joining them, telling where they lead, and the one way to show them, which gives no secret away."""

from __future__ import annotations

import logging
import re
from urllib.parse import SplitResult, urlsplit

from assay.errors import SourceError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
# What may begin a secret inside a path, percent-encoded or not: parameters, and a user's password that held a slash.
_PARAMETER = re.compile(r"[;=&]|%(3b|3d|26|3f|40|00)", re.IGNORECASE)


def shown(address: str) -> str:
    """Scheme, host and path of the address, as far as each is surely that; a folder's path as it is."""
    address = "".join(mark if mark.isprintable() else "?" for mark in address)
    if address.startswith("jdbc:"):
        return f"jdbc:{shown(address.removeprefix('jdbc:'))}"
    if (scheme := _SCHEME.match(address)) is None:
        # A folder; or an address without its scheme, with whatever is in it.
        is_folder = not address.startswith("//") and "://" not in address and "@" not in address.partition("/")[0]
        known = address.partition("?")[0] if is_folder else ""
        return f"{known}{'...' if known != address else ''}"
    rest = address[scheme.end() :]
    authority = re.split(r"[/?#\\]", rest[2:], maxsplit=1)[0]
    behind = rest[2 + len(authority) :]
    hosts = authority.rpartition("@")[2]
    if not rest.startswith("//") or "@" in behind or not all(map(_HOST.fullmatch, hosts.split(","))):
        return f"{scheme[0]}//..."
    path = re.split(r"[?#\\]", behind, maxsplit=1)[0]
    known = _PARAMETER.split(path, maxsplit=1)[0]
    return f"{scheme[0]}//{hosts}{known}{'...' if known != path else ''}"


def split(address: str) -> SplitResult:
    """The address's parts; raises SourceError unless it is one of HTTP, with a host."""
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        sound = False
    if sound and " " in address:
        fix = "Give what stands in a query as parameters, which are encoded: get(path, {...}); else write %20."
        raise SourceError("has a blank in it", where=shown(address), fix=fix)
    if not sound or not all(mark.isprintable() and mark != " " for mark in address):
        raise SourceError(
            "is no http address", where=shown(address), fix="Set the location to http://... or https://..."
        )
    return parts


def join(base: str, path: str) -> str:
    """The address of `path` under `base`, with the query of both."""
    parts = split(base)
    if not path:
        return base
    path, _, query = path.partition("?")
    queries = "&".join(part for part in (query, parts.query) if part)
    whole = f"{parts.path.rstrip('/')}/{path.lstrip('/')}" if path else parts.path
    return parts._replace(path=whole, query=queries).geturl()


def same_server(one: SplitResult, other: SplitResult) -> bool:
    """Whether both lead to the same port of the same host in the same way."""
    port = {"http": 80, "https": 443}
    return (one.scheme, one.hostname, one.port or port[one.scheme]) == (
        other.scheme,
        other.hostname,
        other.port or port[other.scheme],
    )


class _Mask(logging.Filter):
    """httpx logs every request with its whole address; what may be secret in it is cut out."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(shown(str(part)) if "://" in str(part) else part for part in record.args)
        return True


_MASK = _Mask()


def mask_log() -> None:
    """Have httpx's log show addresses as `shown` does."""
    logging.getLogger("httpx").addFilter(_MASK)
