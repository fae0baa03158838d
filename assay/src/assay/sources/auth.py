"""Who may read: credentials that the settings keep, sent to the location's own server and to nobody else.

A source names the fields of the project's settings, never a value: `auth=Bearer("shop_token")` sends what
`PIPELINE_SHOP_TOKEN` holds.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus, urlencode

from assay.errors import SourceError
from assay.settings import secret
from assay.sources.addresses import join, same_server, split

if TYPE_CHECKING:
    from assay.settings import BaseSettings

Post = Callable[[str, bytes, dict[str, str]], bytes]
"""Sends a form to an address and returns the answer's body."""


class Auth(Protocol):
    """What is added to a request: headers, and parameters of its address."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The settings' fields it reads."""
        ...

    def credentials(self, settings: BaseSettings | None, post: Post) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and parameters; raises SettingsError where a field is not set."""
        ...


@dataclass(frozen=True)
class Bearer:
    """`Authorization: Bearer ...`, the token from the settings' field `token`."""

    token: str

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.token,)

    def credentials(self, settings: BaseSettings | None, post: Post) -> tuple[dict[str, str], dict[str, str]]:
        return {"Authorization": f"Bearer {secret(settings, self.token)}"}, {}


@dataclass(frozen=True)
class ApiKey:
    """A key from the settings' field `key`, in a header, or in a parameter of the address where one is named."""

    key: str
    header: str = "X-Api-Key"
    parameter: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.key,)

    def credentials(self, settings: BaseSettings | None, post: Post) -> tuple[dict[str, str], dict[str, str]]:
        key = secret(settings, self.key)
        return ({}, {self.parameter: key}) if self.parameter else ({self.header: key}, {})


@dataclass(frozen=True)
class Basic:
    """A user's name and password (RFC 7617) from the settings' fields `user` and `password`."""

    user: str
    password: str

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.user, self.password)

    def credentials(self, settings: BaseSettings | None, post: Post) -> tuple[dict[str, str], dict[str, str]]:
        return {"Authorization": _basic(secret(settings, self.user), secret(settings, self.password))}, {}


@dataclass(frozen=True)
class ClientCredentials:
    """A token that is asked for first (OAuth 2.0, RFC 6749, section 4.4), anew once it is refused.

    Args:
        token_url: who gives tokens: an address, or a path under the location. The client's secret goes there alone.
        client_id, client_secret: fields of the settings.
        scope: what the token shall be good for, if the server asks.
    """

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.client_id, self.client_secret)

    def credentials(self, settings: BaseSettings | None, post: Post) -> tuple[dict[str, str], dict[str, str]]:
        who, word = (quote_plus(secret(settings, name)) for name in self.fields)
        form = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        headers = {"Authorization": _basic(who, word), "Content-Type": "application/x-www-form-urlencoded"}
        try:
            token = json.loads(post(self.token_url, urlencode(form).encode(), headers))["access_token"]
            return {"Authorization": f"Bearer {token}"}, {}
        except (ValueError, KeyError, TypeError):  # whatever else came may hold a secret
            raise SourceError("gave no access_token", where="the token's server", fix="Check token_url.") from None


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class Keys:
    """What one landing sends with its requests: a source's headers and credentials, to the location's server alone.

    Attributes:
        renewed: whether a token was asked for anew since the last request that went well.
    """

    def __init__(self, auth: Auth | None, settings: BaseSettings | None, base: str, headers: Mapping[str, str]) -> None:
        self.auth, self.settings, self.base, self.headers = auth, settings, base, headers
        self.renewed = False
        self._known: tuple[dict[str, str], dict[str, str]] | None = None

    def is_ours(self, url: str) -> bool:
        """Whether the address is of the location's server."""
        return not self.base or ("://" in self.base and same_server(split(url), split(self.base)))

    def add(self, url: str, headers: dict[str, str], post: Post) -> str:
        """The address with the credentials' parameters; their headers are added to `headers`."""
        if not self.is_ours(url) or "Authorization" in headers:  # the request for a token has its own
            return url
        headers.update({name: value for name, value in self.headers.items() if name not in headers})
        if self.auth is None:
            return url
        if self._known is None:
            self._known = self.auth.credentials(self.settings, post)
        headers.update(self._known[0])
        return join(url, f"?{urlencode(self._known[1])}") if self._known[1] else url

    def renew(self) -> bool:
        """Whether to ask once more with a new token: the one that was refused may have grown old."""
        if not isinstance(self.auth, ClientCredentials) or self.renewed or self._known is None:
            return False
        self._known, self.renewed = None, True
        return True

    def refused(self, status: int) -> tuple[str, str]:
        """What HTTP 401 and 403 mean, and what to do."""
        if self.auth is None:
            return (
                "asks for credentials",
                "Name a secret of the settings as the source's `auth`, or check the location.",
            )
        prefix = "" if self.settings is None else self.settings.prefix
        named = " and ".join(f"{prefix}{name.upper()}" for name in self.auth.fields)
        what = "refuses" if status == 401 else "is not allowed with"
        return f"{what} {named}", "Check that setting, or ask the source's owner."
