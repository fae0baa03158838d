"""What a benchmark is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """One call of `python -m benchmarks`.

    Attributes:
        repeat: how often each measurement is repeated; peers that take minutes run once.
        rows: use only so many rows of the promotions (for trying things out).
        millions: sizes of the scaling benchmark.
        peer_seconds, peer_gb: when a peer is stopped.
        folder: for databases and files, emptied at the end.
    """

    repeat: int
    rows: int | None
    millions: tuple[int, ...]
    peer_seconds: float
    peer_gb: float
    folder: Path
