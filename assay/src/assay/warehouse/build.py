"""What is to be published: one table's new version, computed but not yet written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.warehouse.parts import Parts

if TYPE_CHECKING:
    import ibis

    from assay.contract.contract import Contract
    from assay.sources.base import Landed
    from assay.tables.nodes import InvariantDef, MetricDef, TableDef
    from assay.tables.partitions import PartitionRange
    from assay.tables.run import Run


@dataclass(frozen=True, kw_only=True)
class Build:
    """One table's new version, computed but not yet written.

    Attributes:
        expression: the rows, lazily, with the contract's columns.
        upstream: the tables the node and its invariants read, by name.
        partition: the partitions to replace, the table's own; None replaces everything.
        aligned: the inputs of which a partition reads nothing but the same partition.
        carried: columns of the input that the table preserves -> its own that hold their values unchanged.
    """

    table: TableDef
    contract: Contract
    expression: ibis.Table
    run: Run
    upstream: Mapping[str, TableDef]
    invariants: tuple[InvariantDef, ...] = ()
    metrics: tuple[MetricDef, ...] = ()
    partition: PartitionRange | None = None
    landed: Landed | None = None
    code_version: str = ""
    upstream_versions: Mapping[str, str] = field(default_factory=dict)
    aligned: frozenset[str] = frozenset()
    lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    carried: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @property
    def where(self) -> str:
        return f"{self.table.stage}.{self.table.name}"

    @property
    def source_version(self) -> str | None:
        """The fingerprint of what was read, if the table has a source."""
        return self.landed.fingerprint if self.landed else None

    @property
    def parts(self) -> Parts | None:
        """The partitions it builds; None where the table has none."""
        return Parts.of(self.table, self.partition, self.run.now)
