"""How messages count rows, and how a text becomes a sentence."""

from __future__ import annotations


def rows_told(count: int, verb: str | None = None) -> str:
    """`1 row`, `2,000 rows`; with a verb, as of many, `1 row repeats`, `2,000 rows repeat`, `1 row has`."""
    said = f"{count:,} row" if count == 1 else f"{count:,} rows"
    if verb is None:
        return said
    return f"{said} {verb}" if count != 1 else f"{said} {'has' if verb == 'have' else f'{verb}s'}"


def sentence(text: str) -> str:
    """`text` with a capital at its beginning and a full stop at its end."""
    first = " ".join(text.split())
    return first[:1].upper() + first[1:] + ("" if first.endswith((".", "!", "?")) else ".")
