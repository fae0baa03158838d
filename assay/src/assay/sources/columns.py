"""Comparing the columns a source serves with those the table expects, and saying what moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from assay import notices
from assay.errors import SourceChanged, near_names
from assay.words import harmless

Extra = Literal["stop", "ignore", "add"]
"""What becomes of columns that nobody expects: they stop the build, are left out and told, or are taken as text and told."""
MOST_ADDED = 100
"""A source with more new columns than this has keys for names, or is another one."""
_LONGEST = 100


class Beyond:
    """The columns beside the expected ones, as a landing meets them.

    Attributes:
        added: names of columns that are taken, in the order they were met.
        left_out: names of those that are not: all, or those of which no column of that name can be made.
    """

    def __init__(self, extra: Extra, expected: Collection[str], table: str) -> None:
        self.takes, self.table, self.added, self.left_out = extra == "add", table, list[str](), set[str]()
        self._known = {name.lower() for name in expected} | {"rowid"}

    def meet(self, name: str, *, repeated: bool = False) -> None:
        """A name that nobody expects; raises SourceChanged where there are too many to be columns."""
        if name in self.added or name in self.left_out:
            return
        fits = name.isprintable() and name[:1] not in ("", "_") and len(name) <= _LONGEST
        if not self.takes or repeated or not fits or name.lower() in self._known:
            self.left_out.add(name)
            return
        if len(self.added) == MOST_ADDED:
            raise SourceChanged(
                f"the source has more than {MOST_ADDED} new columns", where=self.table, fix='Take extra="ignore".'
            )
        self.added.append(name)
        self._known.add(name.lower())

    def tell(self) -> None:
        """Say once for a landing what became of them."""
        if self.added:
            told = f"new columns, which are taken as text: {_list(sorted(self.added))}"
            notices.notice(f"{self.table}: the source has {told}")
        if self.left_out:
            told = f"more columns, which are left out: {_list(sorted(self.left_out))}"
            notices.notice(f"{self.table}: the source has {told}")


def check_names(
    found: Sequence[str],
    expected: Sequence[str],
    *,
    where: str,
    fix: str | None = None,
    beyond: Beyond | None = None,
) -> None:
    """Raise SourceChanged unless `found` holds exactly the `expected` names, in any order.

    Args:
        beyond: takes up names beside the expected ones, which are no error then.
    """
    counts, known = Counter(found), set(expected)
    repeated = sorted(name for name, count in counts.items() if count > 1 and (beyond is None or name in known))
    if repeated:
        raise SourceChanged(f"column {_list(repeated)} appears more than once", where=where, fix=fix or _ASK)
    missing = [name for name in expected if name not in counts]
    added = [name for name in counts if name not in known]
    if beyond is not None and not missing:
        for name in added:
            beyond.meet(name, repeated=counts[name] > 1)
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


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{harmless(name, keep='')[:80]}'" for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
