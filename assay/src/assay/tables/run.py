"""The run a table is built in: its clock, seed and identity, injected so that a run can be repeated."""

from __future__ import annotations

import datetime as dtm
import uuid
from dataclasses import dataclass, field

from assay.tables.declared import Declared
from assay.tables.partitions import PartitionRange
from assay.tables.results import Past, Publication


@dataclass(frozen=True)
class Run:
    """One run of the pipeline.

    Attributes:
        id: names the run in the warehouse, the quarantine and Dagster.
        now: the run's moment, an aware datetime in UTC; frozen in golden cases.
        partition: the days to build of partitioned tables; None means all of them.
        full: whether incremental tables take all rows, whatever their watermarks.
        publications: what this run has published so far, in order.
        settings: what the function that is given this run declares to read of the project's settings.
        past: what the books say of builds and days before; for exports, and nothing in golden cases.
    """

    id: str
    now: dtm.datetime
    seed: int = 20180511
    partition: PartitionRange | None = None
    full: bool = False
    publications: list[Publication] = field(default_factory=list, compare=False)
    settings: Declared = field(default=Declared(), compare=False)
    past: Past = field(default=Past(), compare=False)

    @classmethod
    def start(cls, *, id: str | None = None, partition: PartitionRange | None = None, full: bool = False) -> Run:
        """A run that begins now."""
        return cls(id=id or str(uuid.uuid4()), now=dtm.datetime.now(dtm.UTC), partition=partition, full=full)
