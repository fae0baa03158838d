"""Other values in the place of classified ones: the same for the same value, of the same type and shape."""

from __future__ import annotations

import datetime as dtm
import hashlib
import hmac
import json
import string

_KEPT = " -_.,:;@/+()&'#"


class Pseudonyms:
    """Replaces values by others that nobody can take back without the salt.

    The same text always becomes the same text, in every table and column, so joins and repeats stay. Letters become
    letters, digits digits, and punctuation stays, so that an e-mail address remains one. A short value, such as an
    age bracket, may become one that really occurs; it says nothing about the row it stands in.

    Args:
        salt: who knows it can test guesses; take something that only holders of the data have.
    """

    def __init__(self, salt: str) -> None:
        self._salt = salt.encode()

    def of(self, value: str | None, type_: str) -> str | None:
        """The pseudonym of a value of a DuckDB type, as text; None stays None."""
        if value is None:
            return None
        if type_ == "BOOLEAN":
            return "true" if self._bytes(value)[0] % 2 else "false"
        if type_.startswith(("DATE", "TIMESTAMP")):
            return self._moment(value)
        if type_.endswith("]") or type_.startswith(("STRUCT", "MAP", "JSON", "BLOB")):
            return None
        changed = self._text(value, first_digit=type_ != "VARCHAR")
        return changed if changed != value or not any(map(str.isalnum, value)) else self._other(value)

    def _bytes(self, value: str, size: int = 32) -> bytes:
        digest = b""
        while len(digest) < size:
            digest += hmac.digest(self._salt, f"{len(digest)} {value}".encode(), hashlib.sha256)
        return digest

    def _text(self, value: str, *, first_digit: bool) -> str:
        noise = self._bytes(value, len(value))
        changed = []
        for place, (character, byte) in enumerate(zip(value, noise, strict=False)):
            if character.isdigit():
                leading = first_digit and not any(c.isdigit() for c in value[:place])
                # A number keeps its size: its first digit stays above 0, and 0 stays 0.
                changed.append(
                    character if leading and character == "0" else str(1 + byte % 9 if leading else byte % 10)
                )
            elif character.isalpha():
                letters = string.ascii_uppercase if character.isupper() else string.ascii_lowercase
                changed.append(letters[byte % 26])
            else:
                changed.append(character if character in _KEPT else "_")
        return "".join(changed)

    def _other(self, value: str) -> str:
        """By chance the pseudonym was the value itself: the next letter or digit then."""
        last = max(place for place, character in enumerate(value) if character.isalnum())
        alphabet = string.digits if value[last].isdigit() else string.ascii_letters
        place = alphabet.find(value[last])
        return value[:last] + alphabet[(place + 1) % len(alphabet)] + value[last + 1 :]

    def _moment(self, value: str) -> str:
        """Another day within a year before; the time of day goes."""
        day = dtm.date.fromisoformat(value[:10])
        moved = day - dtm.timedelta(days=1 + int.from_bytes(self._bytes(value)[:4]) % 365)
        return str(moved) + (" 00:00:00" if len(value) > 10 else "") + ("+00" if "+" in value[10:] else "")


def salted(parts: list[str]) -> str:
    """A salt made of facts about the captured data."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
