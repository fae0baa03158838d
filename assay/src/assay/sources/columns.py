"""Comparing the columns a source serves with those the table expects, and saying what moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from assay import notices
from assay.errors import SourceChanged, near_names
from assay.words import harmless

Extra = Literal["stop", "ignore"]
"""What becomes of columns that nobody expects: they stop the build, or are left out and told."""


def check_names(
    found: Sequence[str],
    expected: Sequence[str],
    *,
    where: str,
    fix: str | None = None,
    left_out: set[str] | None = None,
) -> None:
    """Raise SourceChanged unless `found` holds exactly the `expected` names, in any order.

    Args:
        left_out: takes up names beside the expected ones, which are no error then.
    """
    counts, known = Counter(found), set(expected)
    repeated = sorted(name for name, count in counts.items() if count > 1 and (left_out is None or name in known))
    if repeated:
        raise SourceChanged(f"column {_list(repeated)} appears more than once", where=where, fix=fix or _ASK)
    missing = [name for name in expected if name not in counts]
    added = [name for name in counts if name not in known]
    if left_out is not None and not missing:
        left_out.update(added)
        return
    problems = []
    for name in list(missing):
        if (near := _renamed(name, missing, added)) is not None:
            problems.append(f"expected column '{name}', found {_list([near])} (renamed?)")
            missing.remove(name)
            added.remove(near)
    if missing:
        problems.append(f"missing column {_list(missing)}")
    if added:
        problems.append(f"unexpected column {_list(added)}")
    if problems:
        raise SourceChanged("; ".join(problems), where=where, fix=fix or _ASK)


def check_types(found: Mapping[str, str], expected: Mapping[str, str], *, where: str) -> None:
    """Raise SourceChanged unless every expected column has exactly the expected type."""
    wrong = [
        f"column '{name}' is {found[name]}, expected {kind}" for name, kind in expected.items() if found[name] != kind
    ]
    if wrong:
        raise SourceChanged(
            "; ".join(wrong), where=where, fix="Change the contract or the source's `columns`, or ask its owner."
        )


_ASK = "Adapt the table's contract (or the source's `columns`) if the change is meant, else ask the source's owner."


_LIKELY = 500
"""Of more unexpected columns than this none is taken for a renamed one."""


def _renamed(name: str, missing: Sequence[str], added: Sequence[str]) -> str | None:
    if len(added) > _LIKELY:
        return None
    near = near_names(name, added, most=1)
    return near[0] if near else added[0] if len(missing) == len(added) == 1 else None


def tell_left_out(names: Collection[str], table: str) -> None:
    """Say once for a landing which columns were left out of it."""
    if names:
        notices.notice(f"{table}: the source has more columns, which are left out: {_list(sorted(names))}")


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{harmless(name, keep='')[:80]}'" for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
