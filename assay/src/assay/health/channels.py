"""Where alerts go: addresses of Apprise, by owner. An address holds secrets, so no message and no error shows one."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import SettingsError
from assay.health.alerts import ALL, Message

if TYPE_CHECKING:
    from apprise import Apprise

ENTRY = re.compile(r"(?:(?P<owner>[^=\s/]+)=)?(?P<address>[a-zA-Z][\w+.-]*://\S+)")
HOW = "Write addresses as Apprise has them, with a blank between: mailto://... team:shop=slack://..., or name a file."
WHERE = "PIPELINE_ALERTS"


def channels(setting: str, owners: Collection[str], *, root: Path) -> dict[str, list[str]]:
    """Route (an owner, or `all`) -> addresses, from the setting or the file it names, one entry a line there.

    Raises:
        SettingsError: an entry is no address, an owner is none of the project's, or nobody is `all`.
    """
    text, where = setting, WHERE
    if "://" not in setting:
        file = root / Path(setting).expanduser()
        try:
            text, where = file.read_text(encoding="utf-8-sig"), str(file)
        except (OSError, UnicodeDecodeError) as error:
            told = getattr(error, "strerror", "it is not UTF-8")
            raise SettingsError(f"the file of alerts cannot be read: {told}", where=str(file), fix=HOW) from None
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found: dict[str, list[str]] = {}
    for number, entry in enumerate(" ".join(lines).split(), start=1):
        match = ENTRY.fullmatch(entry)
        if match is None:
            raise SettingsError(f"entry {number} is no address", where=where, fix=HOW)
        owner = match["owner"] or ALL
        if owner != ALL and owner not in owners:
            listed = ", ".join(sorted(owners)) or "none"
            raise SettingsError(
                f"entry {number} is for '{owner}', who owns nothing here", where=where, fix=f"Owners: {listed}."
            )
        found.setdefault(owner, []).append(match["address"])
    if ALL not in found:
        raise SettingsError("nobody is told of what has no owner", where=where, fix="Add an address without an owner.")
    return found


class Channels:
    """Sends messages; an address that is none is refused when it is made.

    Raises:
        SettingsError: Apprise knows no such channel.
    """

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        # It would log parts of addresses, and on Python 3.11 and 3.12 it imports what is gone in 3.13.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.routes = {owner: [_channel(address) for address in each] for owner, each in addresses.items()}

    def send(self, message: Message) -> bool:
        """Whether the channel took it; one that is down or slow is no error."""
        channel = self.routes[message.route][message.channel]
        return bool(channel.notify(title=message.title, body=message.body))


def _channel(address: str) -> Apprise:
    import apprise

    channel = apprise.Apprise()
    if not channel.add(address):
        scheme = address.partition("://")[0]
        raise SettingsError(f"an address that begins {scheme}:// is no channel", where=WHERE, fix=HOW)
    return channel
