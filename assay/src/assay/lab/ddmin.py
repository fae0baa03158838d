"""Delta debugging: the fewest items that still show a failure (Zeller and Hildebrandt, 2002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def ddmin(items: Sequence[T], fails: Callable[[Sequence[T]], bool], *, max_tests: int = 2_000) -> list[T]:
    """A part of `items` that fails and of which no single item can be left out; the order is kept.

    Args:
        items: fail together, which is not tested again.
        fails: whether a part shows the same failure.
        max_tests: after so many tests the smallest part found so far is given.
    """
    kept = list(items)
    parts, tests = 2, 0
    while len(kept) >= 2 and tests < max_tests:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            tests += 1
            if fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                return kept
            parts = min(len(kept), parts * 2)
    if len(kept) == 1 and tests < max_tests and fails([]):
        return []
    return kept
