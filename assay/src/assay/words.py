"""How messages count rows, how a text becomes a sentence, and what hides in it is shown."""

from __future__ import annotations


def plural(count: int, word: str) -> str:
    """`word` as it stands beside `count`: `row`, `rows`."""
    return word if count == 1 else f"{word}s"


def rows_told(count: int, verb: str | None = None) -> str:
    """`1 row`, `2,000 rows`; with a verb, as of many, `1 row repeats`, `2,000 rows repeat`, `1 row has`."""
    said = f"{count:,} {plural(count, 'row')}"
    if verb is None:
        return said
    return f"{said} {verb}" if count != 1 else f"{said} {'has' if verb == 'have' else f'{verb}s'}"


def sentence(text: str) -> str:
    """`text` with a capital at its beginning and a full stop at its end."""
    first = " ".join(text.split())
    return first[:1].upper() + first[1:] + ("" if first.endswith((".", "!", "?")) else ".")


def harmless(text: str, keep: str = "\n\t") -> str:
    """`text` in which nothing acts or hides: what is not printable but in `keep` is escaped, as Python writes it."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else escaped(c) for c in text)


def escaped(character: str) -> str:
    """`\\u202e`, `\\U000e0001`."""
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"
