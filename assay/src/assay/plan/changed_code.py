"""What of the code changed since a table was built, by the names of functions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from assay.tables.code_version import SETTING

NAMED = 4
"""So many changes are named."""


def what_changed(known: Iterable[Mapping[str, str] | None], now: Mapping[str, str]) -> str:
    """The functions that differ from `known`, such as `sales in load/sales.py`.

    Args:
        known: what the published rows were made of, once for each version; None for one that was not written down.
        now: what they would be made of.
    """
    found: dict[str, None] = {}
    for then in known:
        if then is None:
            return "changed since it was built"
        moved = [part for part in {**then, **now} if then.get(part) != now.get(part)]
        found.update((_named(part, then, now), None) for part in moved)
    names = list(found)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}" if names else "changed since it was built"


def code_diff(
    known: Iterable[Mapping[str, str] | None],
    now: Mapping[str, str],
    sources: Mapping[str, str],
    ours: Mapping[str, str],
) -> tuple[str, ...]:
    """The lines that differ from `known`, with `-` as they were and `+` as they are; of a piece all versions' once.

    Args:
        sources: digest -> how that was written.
        ours: the pieces of `now` as they are written.
    """
    found: dict[str, None] = {}
    for then in filter(None, known):
        for part in (part for part in {**then, **now} if then.get(part) != now.get(part) and part != "assay"):
            before, after = sources.get(then.get(part, ""), ""), ours.get(part, "")
            lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
            found.update((line, None) for line in lines if not line.startswith("@@") and (before or part not in then))
    return tuple(found)


def _named(part: str, then: Mapping[str, str], now: Mapping[str, str]) -> str:
    if part == "assay":
        return "another version of the framework"
    if part.startswith(SETTING):
        return f"the {part}"
    module, _, name = part.partition(":")
    file = f"{module.partition('.')[2].replace('.', '/') or module}.py"
    if not name:
        return f"imports or other statements of {file}"
    how = "" if part in then and part in now else " (new)" if part in now else " (gone)"
    return f"{name} in {file}{how}"
