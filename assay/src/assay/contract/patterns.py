r"""Python's regular expressions as RE2's, which DuckDB has: the same text matches, or the pattern is refused.

To Python `\d`, `\w` and `\s` are of all scripts, to RE2 of ASCII; `{,3}` is a repetition to the one and plain text to the
other; `[[:alpha:]]` the other way round. Left as it is: `$` is the very end of the text here, and before a last line
break as well in Python, so that a rule is stricter.
"""

from __future__ import annotations

import re

FIX = "Write the classes out, or say re.compile(..., re.ASCII)."
_CLASSES = {
    "d": r"\p{Nd}",
    "w": r"\p{L}\p{N}_",
    "s": r"\t-\r\x{1c}-\x{20}\x{85}\p{Z}",
}
_ASCII = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t-\r "}


def translated(pattern: str, *, ascii_only: bool = False) -> str:
    r"""`pattern` for RE2; raises ValueError for what cannot be said there.

    Args:
        ascii_only: whether Python, too, takes `\d`, `\w`, `\s` and `\b` for ASCII's (re.ASCII).
    """
    classes = _ASCII if ascii_only else _CLASSES
    found: list[str] = []
    place, inside = 0, False
    while place < len(pattern):
        letter, rest = pattern[place], pattern[place:]
        part, step = letter, 1
        if letter == "\\" and len(rest) > 1:
            part, step = _escaped(rest[1], classes, inside=inside, ascii_only=ascii_only), 2
        elif inside:
            if letter == "[" and rest[1:2] in (":", ".", "="):
                raise ValueError(f"'{rest[:2]}' in a class")
            inside = letter != "]"
            part = "\\[" if letter == "[" else letter
        elif letter == "[":
            # A bracket that stands first is one of the class's letters.
            opening = re.match(r"\[\^?\]?", rest)
            part, step, inside = (opening[0], opening.end(), True) if opening else (letter, 1, True)
        elif open_ended := re.match(r"\{,(\d*)\}", rest):
            part, step = f"{{0,{open_ended[1]}}}", open_ended.end()
        found.append(part)
        place += step
    return "".join(found)


def _escaped(letter: str, classes: dict[str, str], *, inside: bool, ascii_only: bool) -> str:
    if letter in "bB" and not inside and not ascii_only:
        raise ValueError(rf"\{letter} is a border of ASCII words there")
    if letter in "dws":
        return classes[letter] if inside else f"[{classes[letter]}]"
    if letter in "DWS":
        if inside:
            raise ValueError(rf"\{letter} in a class")
        return f"[^{classes[letter.lower()]}]"
    if letter == "b" and inside:
        return r"\x08"
    if letter in "pPCQEz":
        raise ValueError(rf"\{letter}")
    if not letter.isalnum():
        return re.escape(letter) if letter.isascii() and letter.isprintable() and letter not in "_ " else letter
    return f"\\{letter}"
