"""What a rule is called: its code, which is stored with rejected rows, and its text for people."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pandera.api.function_dispatch import Dispatcher
from pandera.ibis import Field

from assay.errors import did_you_mean

if TYPE_CHECKING:
    from pandera.api.checks import Check

_SHORT = {
    "equal_to": ("eq", "="),
    "not_equal_to": ("ne", "<>"),
    "greater_than": ("gt", ">"),
    "greater_than_or_equal_to": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_or_equal_to": ("le", "<="),
}


def wrong_argument(error: Exception) -> str | None:
    """What to say of an argument of `pandera.Field` that it does not know or cannot use; None for any other error."""
    if isinstance(error, re.error):
        return f"{error.pattern!r} is no regular expression: {error}"
    found = re.search(r"custom check '(\w+)' is not available", str(error))
    if found is None:
        return None

    fix = did_you_mean(found[1], inspect.signature(Field).parameters, "Its arguments: help(pandera.ibis.Field).")
    return f"pandera.Field has no argument '{found[1]}'. {fix}"


def is_builtin(check: Check) -> bool:
    """Whether the check is one of Pandera's own, such as `ge` and `isin`."""
    return isinstance(check._check_fn, Dispatcher)


def code_of(check: Check, column: str | None, own_name: bool) -> str:
    """The rule's code: `column.ge_0` for Pandera's checks, the check's own name for the model's."""
    if is_builtin(check):
        name = check._check_fn.__name__
        text = "_".join([_SHORT.get(name, (name,))[0], *_code_arguments(name, check.statistics or {})])
        return f"{column}.{text}" if column else text
    if column and not (own_name and _is_models(check)):
        return f"{column}.{check.name}"
    return str(check.name)


def _is_models(check: Check) -> bool:
    """Whether the check is a method of the model (Pandera wraps those), not a registered extension."""
    return str(getattr(check._check_fn, "__qualname__", "")).startswith("BaseCheckInfo.to_check")


def _code_arguments(name: str, statistics: Mapping[str, Any]) -> list[str]:
    if name in _SHORT:
        words = [next(iter(statistics.values()), "")]
    elif name == "in_range":
        words = [statistics["min_value"], "to", statistics["max_value"]]
    elif name == "str_length":
        words = _length_words(statistics)
    else:
        return []
    texts = [_code_text(word) for word in words]
    return texts if all(len(text) <= 32 for text in texts) else []


def _length_words(statistics: Mapping[str, Any]) -> list[Any]:
    low, high = statistics.get("min_value"), statistics.get("max_value")
    if statistics.get("exact_value") is not None:
        return [statistics["exact_value"]]
    if low is None:
        return ["max", high]
    return ["min", low] if high is None else [low, "to", high]


def _code_text(value: Any) -> str:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return re.sub(r"[^\w.:+-]+", "_", text)


def description_of(check: Check, column: str | None) -> str:
    """The rule as a sentence for people: Pandera's checks say of which column, a model's own check says it itself."""
    return f"{column} {constraint_of(check)}" if column and is_builtin(check) else constraint_of(check)


def constraint_of(check: Check) -> str:
    """What the check demands, in a few words for people."""
    own = check.description or check.title
    if own:
        return str(own)
    if not is_builtin(check):
        return str(check.error or check.name).replace("_", " ")
    name, statistics = check._check_fn.__name__, check.statistics or {}
    if name in _SHORT:
        return f"{_SHORT[name][1]} {next(iter(statistics.values()), '')}"
    if name == "in_range":
        low = ">=" if statistics.get("include_min", True) else ">"
        high = "<=" if statistics.get("include_max", True) else "<"
        return f"{low} {statistics['min_value']} and {high} {statistics['max_value']}"
    if name == "isin":
        return f"in {_listed(statistics['allowed_values'])}"
    if name == "notin":
        return f"not in {_listed(statistics['forbidden_values'])}"
    if name == "str_length":
        return " ".join(str(word) for word in ["length", *_length_words(statistics)])
    argument = next(iter(statistics.values()), "")
    return f"{name.removeprefix('str_')} {argument.pattern if isinstance(argument, re.Pattern) else argument}"


def _listed(values: Iterable[Any]) -> str:
    texts = [str(value) for value in values]
    shown = ", ".join(texts[:12])
    return f"{shown}, and {len(texts) - 12} more" if len(texts) > 12 else shown
