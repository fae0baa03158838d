"""Which partitions of a published table call for a build: each is judged by what it was itself made from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from assay.plan.model import Reason, ReasonKind
from assay.tables.partitions import PartitionRange, Partitions
from assay.warehouse import versions
from assay.warehouse.parts import Parts
from assay.words import plural

if TYPE_CHECKING:
    from assay.tables.nodes import TableDef
    from assay.warehouse.ops import PartitionRecord
    from assay.warehouse.session import Session

TOLD = 4
"""How many ranges a reason names."""
BUILDS = 10
"""How many ranges a plan builds one by one; where there are more, the nearest ones are built with what lies between."""


def stale(
    session: Session,
    table: TableDef,
    upstream: Mapping[str, TableDef],
    known: Mapping[str, PartitionRecord],
    parts: Parts,
    *,
    code: str,
    said: Callable[[Iterable[str]], str],
    source: str | None,
    changed: Collection[str],
) -> tuple[list[Reason], list[str]]:
    """Why partitions must be built, and their keys in order.

    Args:
        known: the table's partitions as published.
        parts: those to look at.
        code, source: the versions of now; None for a source that was not asked.
        said: what of the code differs from those versions, in words.
        changed: names of tables that this plan would change.
    """
    keys = parts.keys
    there = [key for key in keys if key in known]
    reasons: list[Reason] = []
    chosen: set[str] = set()

    def add(kind: ReasonKind, detail: str, which: Iterable[str]) -> None:
        mine = list(which)
        if mine:
            chosen.update(mine)
            where = f": {told(parts.partitions, keys, mine)}" if len(mine) < len(keys) else ""
            reasons.append(Reason(kind, detail + where))

    made_by = {known[key].code_version for key in there}
    others = said(sorted(made_by - {code}))
    how = f"some partitions were made by code of before: {others}" if code in made_by else others
    add("code", how, (key for key in there if known[key].code_version != code))
    for name in table.inputs:
        then = {key: known[key].upstream.get(name, "") for key in there}
        now: dict[str, str] = {}
        for aligned in {version.startswith(versions.SAME) for version in then.values()}:
            mine = [key for key in there if then[key].startswith(versions.SAME) == aligned]
            now |= zip(mine, versions.versions(session, upstream[name], parts, mine, aligned), strict=True)
        add(
            "upstream",
            f"{name} {'would change' if name in changed else 'changed'}",
            (key for key in there if now[key] != then[key]),
        )
    if source is not None:
        assert table.source is not None
        add(
            "source",
            f"{table.source.location} changed",
            (key for key in there if known[key].source_version != source),
        )
    add(
        "partition",
        "never built" if known else f"no versions are kept by {parts.partitions.noun} yet",
        (k for k in keys if k not in known),
    )
    return reasons, [key for key in keys if key in chosen]


def told(partitions: Partitions, keys: Sequence[str], chosen: Collection[str]) -> str:
    """The partitions in words: `days 2026-01-03, 2026-01-05..2026-01-07`."""
    found = [str(each) for each in ranges(partitions, keys, chosen)]
    noun = plural(len(chosen), partitions.noun)
    return f"{noun} {', '.join(found[:TOLD])}" + (f" and {len(found) - TOLD} more ranges" if len(found) > TOLD else "")


def ranges(
    partitions: Partitions, keys: Sequence[str], chosen: Collection[str], most: int | None = None
) -> list[PartitionRange]:
    """`chosen` of the table's `keys` as ranges, in order.

    Args:
        most: how many there may be; above it the smallest gaps are filled.
    """
    wanted = set(chosen)
    if partitions.names:
        return [PartitionRange(names=tuple(key for key in keys if key in wanted))] if wanted else []
    places = [place for place, key in enumerate(keys) if key in wanted]
    gaps = sorted(after - before for before, after in pairwise(places) if after - before > 1)
    filled = gaps[-most] if most is not None and len(gaps) >= most else 1
    found: list[list[int]] = []
    for place in places:
        if found and place - found[-1][1] <= filled:
            found[-1][1] = place
        else:
            found.append([place, place])
    return [partitions.between(keys[first], keys[last]) for first, last in found]
