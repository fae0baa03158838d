"""Golden and pending files that belong to no case and table: found by looking at the tree, not at what ran."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.golden import store
from assay.golden.case import Case
from assay.golden.pending import PendingStore
from assay.golden.yaml_file import shown


def orphaned(golden: Path, cases: Iterable[Case], pending: Path | None) -> list[Path]:
    """Files of goldens that no case has under test any more, and pending files that nothing can accept."""
    found: list[Path] = []
    known: dict[str, set[str]] = {}
    for case in cases:
        names = {name for table in case.tables for name in (table, f"{table}{store.REJECTS}")}
        known[case.name] = names
        for path in sorted(case.expected.iterdir()) if case.expected.is_dir() else []:
            name = path.name.removesuffix(".ndjson").removesuffix(".schema.yml")
            if name not in names or name == path.name:
                found.append(path)
    if pending is not None:
        waiting = PendingStore(pending)
        found += [waiting.path(case, name) for case, name in waiting.names() if name not in known.get(case, set())]
    return found


def find_orphans(golden: Path, cases: Iterable[Case], pending: Path | None) -> tuple[str, ...]:
    """The orphaned files, as people read them."""
    return tuple(shown(path) for path in orphaned(golden, cases, pending))
