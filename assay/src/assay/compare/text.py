"""A difference as text for a terminal: what is invisible in a value is made visible."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Mapping

from assay.compare.model import CellChange, Difference, KeyProblem, RowSample, SchemaChange
from assay.words import escaped, rows_told

_WIDTH = 60
_FLOAT = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_LONG_FLOAT = re.compile(r"-?\d+\.\d{7,}(e[+-]?\d+)?|-?\d+(\.\d+)?e[+-]?\d+")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def visible(value: str | None, *, ascii_only: bool = False) -> str:
    """A value as text in which nothing hides: NULL, '', outer spaces as `·`, control characters escaped."""
    if value is None:
        return "NULL"
    if value == "":
        return "''"
    if value == "NULL":
        return "'NULL'"
    inner = value.strip(" ")
    start = len(value) - len(value.lstrip(" ")) if inner else len(value)
    end = len(value) - len(value.rstrip(" ")) if inner else 0
    return "·" * start + "".join(_show(character, ascii_only) for character in inner) + "·" * end


def visible_pair(expected: str | None, actual: str | None) -> tuple[str, str]:
    """Two different values, so shown that they look different: the part around the first difference, escaped if alike."""
    ascii_only = expected is not None and actual is not None and _looks_like(expected) == _looks_like(actual)
    left, right = _window(expected, actual), _window(actual, expected)
    if left and right and _near(left) != _near(right):
        left, right = _number(left), _number(right)
    return visible(left, ascii_only=ascii_only), visible(right, ascii_only=ascii_only)


def render(difference: Difference, *, indent: str = "", samples: int | None = None) -> str:
    """The difference, a line per fact; empty where nothing differs and no tolerance was used.

    Args:
        samples: about how many rows are shown, of each kind at least one; None for all that were kept.
    """
    return "\n".join(indent + line for line in _lines(difference if samples is None else _fewer(difference, samples)))


def _fewer(difference: Difference, samples: int) -> Difference:
    names = ("changes", "only_expected", "only_actual")
    kinds = sum(bool(getattr(difference, name)) for name in names)
    each = max(1, samples // max(kinds, 1))
    return dataclasses.replace(difference, **{name: getattr(difference, name)[:each] for name in names})


def _near(text: str) -> str | float:
    """What is shown of a number, as one: `1.0` and `1` are the same."""
    return float(_number(text)) if _FLOAT.fullmatch(text) else text


def _number(text: str) -> str:
    """A float with six digits after the point, for the rest of them say nothing to people."""
    return f"{float(text):.6g}" if _LONG_FLOAT.fullmatch(text) else text


def _show(character: str, ascii_only: bool) -> str:
    if character in _NAMED:
        return _NAMED[character]
    shown = character.isprintable() and not (ascii_only and ord(character) > 126)
    return character if shown else escaped(character)


def _looks_like(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _window(text: str | None, other: str | None) -> str | None:
    if text is None or len(text) <= _WIDTH:
        return text
    pairs = zip(text, other or "", strict=False)
    first = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(text), len(other or "")))
    start = max(0, min(first - 20, len(text) - _WIDTH))
    stop = min(len(text), start + _WIDTH)
    return ("…" if start else "") + text[start:stop] + ("…" if stop < len(text) else "")


def _lines(difference: Difference) -> Iterator[str]:
    if difference.schema:
        yield "schema  " + "   ".join(schema_change(change) for change in difference.schema)
    for problem in difference.key_problems:
        yield "key     " + key_problem(problem)
    yield "rows    " + row_counts(difference)
    if len(difference.columns) > 1 or any(n > len(difference.changes) for n in difference.columns.values()):
        yield "columns " + "   ".join(f"~{n:,} {name}" for name, n in difference.columns.items())
    for change in difference.changes:
        yield from _changed(key_text(change.key), change.cells)
    yield from _more("changed", difference.changed, len(difference.changes))
    for sign, word, rows, total in (
        ("-", "removed", difference.only_expected, difference.removed),
        ("+", "added", difference.only_actual, difference.added),
    ):
        for row in rows:
            yield f"{sign} {row_text(row)}"
        yield from _more(word, total, sum(row.copies for row in rows))
    for use in difference.tolerance:
        if use.cells:
            yield f"tolerance {use.column}: {use.cells:,} cells within it, the largest off by {use.largest:.6g}"


def row_counts(difference: Difference) -> str:
    """`4 -> 4   +1 added  -1 removed  ~2 changed  1 same`."""
    text = f"{difference.expected_rows:,} -> {difference.actual_rows:,}"
    if difference.added is None:
        return text + "   not matched: the key is broken"
    counts = f"+{difference.added:,} added  -{difference.removed:,} removed  "
    counts += f"~{difference.changed:,} changed  " if difference.key or difference.changed else ""
    note = "" if difference.key else "  (no key: compared as a multiset)"
    return f"{text}   {counts}{difference.same:,} same{note}"


def schema_change(change: SchemaChange) -> str:
    """One schema difference: `~ amount DECIMAL(10,2) -> DOUBLE`, `+ surprise VARCHAR`, `- note VARCHAR`."""
    if change.kind == "removed":
        return f"- {visible(change.column)} {change.expected}"
    if change.kind == "added":
        return f"+ {visible(change.column)} {change.actual}"
    if change.kind == "reordered":
        return f"order {change.expected} -> {change.actual}"
    if change.kind == "renamed":
        left, right = visible_pair(change.expected, change.actual)
        return f"~ {left} renamed {right}"
    return f"~ {visible(change.column)} {change.expected} -> {change.actual}"


def key_problem(problem: KeyProblem) -> str:
    """`actual repeats its key in 3 rows: order_id=2`."""
    keys = "; ".join(key_text(sample) for sample in problem.samples[:3])
    if problem.kind == "missing":
        return f"{problem.side} has no column {', '.join(problem.samples[0])}"
    verb = "has a null key" if problem.kind == "null" else "repeats its key"
    return f"{problem.side} {verb} in {rows_told(problem.rows)}: {keys}"


def key_text(key: Mapping[str, str | None]) -> str:
    """`order_id=2 day=2017-01-01`."""
    return " ".join(f"{name}={visible(_window(value, None))}" for name, value in key.items())


def row_text(row: RowSample) -> str:
    """The key, then the other values in order."""
    rest = [
        f"{name}={visible(_window(value and _number(value), None))}"
        for name, value in row.values.items()
        if name not in row.key
    ]
    copies = f"  ({row.copies} times)" if row.copies > 1 else ""
    return "  ".join([*([key_text(row.key)] if row.key else []), *rest]) + copies


def _changed(key: str, cells: tuple[CellChange, ...]) -> Iterator[str]:
    width = max(len(cell.column) for cell in cells)
    head = f"  {key}  "
    for cell in cells:
        left, right = visible_pair(cell.expected, cell.actual)
        off = f"  ({_off(cell.delta)})" if cell.delta else ""
        yield f"{head}{cell.column:<{width}}  {left} -> {right}{off}"
        head = " " * len(head)


def _off(delta: str) -> str:
    return f"{'+' * delta.startswith('+')}{_number(delta.removeprefix('+'))}"


def _more(word: str, total: int | None, shown: int) -> Iterator[str]:
    if total and total > shown:
        yield f"  … {total - shown:,} more {word}"
