"""Pages from `templates/`: every value is escaped, what hides in it is shown, and the page needs nothing else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from assay.compare.text import key_problem, key_text, row_counts, schema_change, visible, visible_pair
from assay.words import harmless, plural, rows_told

_HERE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """The page as text."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "style": Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        "key_problem": key_problem,
        "key_text": key_text,
        "marked": marked,
        "more": more,
        "row_counts": row_counts,
        "schema_change": schema_change,
        "visible_pair": visible_pair,
    }
    environment.filters |= {"visible": visible, "rows_told": rows_told, "plural": plural}
    return environment


def marked(left: str, right: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Both texts as what stands before the part in which they differ, that part, and what stands after it."""
    shorter = min(len(left), len(right))
    start = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), shorter)
    end = 0
    while end < shorter - start and left[len(left) - 1 - end] == right[len(right) - 1 - end]:
        end += 1
    if start + end == 0:
        return (left, "", ""), (right, "", "")
    first, second = ((text[:start], text[start : len(text) - end], text[len(text) - end :]) for text in (left, right))
    return first, second


def more(total: int | None, shown: int) -> int:
    """How many are not shown."""
    return max((total or 0) - shown, 0)


def _shown(value: Any) -> Any:
    """What Jinja writes for a value, before it is escaped."""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value
