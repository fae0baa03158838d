"""JSON read strictly: whole documents, no repeated keys, and numbers kept as they were written."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

DEEPEST = 100
"""Lists and objects within each other."""


class Number(str):
    """A JSON number, as the text it was written as."""

    __slots__ = ()
    __repr__ = str.__str__  # `repr` of a document tells 1 from "1"


class JsonError(ValueError):
    """Why a text is no acceptable JSON document, without quoting its values."""


def loads(text: str | bytes) -> Any:
    """Parse one document; raises JsonError. Numbers are `Number`, so that none is rounded."""
    try:
        found = _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8"))
        marks = ("[", "{") if isinstance(text, str) else (b"[", b"{")
        if text.count(marks[0]) + text.count(marks[1]) > DEEPEST:  # type: ignore[arg-type]
            _check_depth(found)
        if _ESCAPED_SURROGATE.search(text if isinstance(text, bytes) else text.encode("utf-8")):
            encode(found).encode("utf-8")
        return found
    except UnicodeEncodeError:
        raise JsonError("has half of a surrogate pair, which is no text") from None
    except UnicodeDecodeError as error:
        raise JsonError(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise JsonError(_explain(error)) from None
    except RecursionError:
        raise JsonError(f"is nested deeper than {DEEPEST} levels") from None


def dumps(value: Any) -> str:
    """The document as JSON text again, numbers exactly as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {dumps(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(dumps(part) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> Any:
    """The document with its numbers as Python has them: int, and Decimal where a point or an exponent is written."""
    if isinstance(value, Number):
        return int(value) if value.lstrip("-").isdecimal() else Decimal(value)
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def _check_depth(value: Any) -> None:
    level = [value] if type(value) in (list, dict) else []
    for _ in range(DEEPEST):
        if not level:
            return
        parts = itertools.chain.from_iterable(part.values() if type(part) is dict else part for part in level)
        level = [part for part in parts if type(part) in (list, dict)]
    if level:
        raise RecursionError


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise JsonError(f"has the key '{repeated}' twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise JsonError(f"is no JSON ({name})")


_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant, strict=True
)


def _explain(error: json.JSONDecodeError) -> str:
    if error.msg == "Extra data":
        return f"has trailing garbage after the document, at character {error.pos}"
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
        return f"ends in the middle, at character {len(error.doc)}"
    return f"is no JSON ({error.msg} at character {error.pos})"


def encode(value: Any) -> str:
    """A plain value as compact JSON on one line; decimals and dates as text, so that nothing is rounded."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
