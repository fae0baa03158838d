"""One build of one table on its way to be published, and which published rows stay beside it."""

from __future__ import annotations

import datetime as dtm
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.sql import quoted
from assay.tables.loads import History, Incremental
from assay.warehouse.parts import Parts

if TYPE_CHECKING:
    import ibis

    from assay.contract.contract import Contract
    from assay.sources.base import Landed
    from assay.tables.nodes import InvariantDef, MetricDef, TableDef
    from assay.tables.partitions import PartitionRange
    from assay.tables.run import Run
    from assay.warehouse.session import Session

REPLACED = "__replaced"
"""The temporary table of the published rows that an incremental build takes away: `__row`, their columns, and more that begins with `__`."""

GONE = "__gone"
"""The temporary table of the keys that an incremental build was told are gone, each with its cursor."""


@dataclass(frozen=True)
class Since:
    """From where a build takes rows of its source and inputs.

    Attributes:
        watermark: the largest cursor published so far, as text.
        start: SQL of the smallest cursor to take: the watermark less the lookback.
        value: the same for Python: an aware or naive datetime, a date or a number.
    """

    watermark: str
    start: str
    value: Any


@dataclass(frozen=True, kw_only=True)
class Build:
    """One table's new version, computed but not yet written.

    Attributes:
        expression: the rows, lazily, with the contract's columns.
        upstream: the tables the node and its invariants read, by name.
        partition: the partitions to replace, the table's own; None replaces everything.
        since: from where an incremental build takes rows; None takes all.
        anew: whether a source that adds rows is read from its start, and so replaces what is published.
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
    since: Since | None = None
    anew: bool = False
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

    @property
    def cursor(self) -> str | None:
        """The column whose largest value is the watermark; None where the table has none."""
        return self.table.load.cursor if isinstance(self.table.load, Incremental) else None

    @property
    def incremental(self) -> Incremental:
        """How the table takes what is new, where it does."""
        assert isinstance(self.table.load, Incremental)
        return self.table.load

    @property
    def history(self) -> History:
        """How the table keeps versions, where it does."""
        assert isinstance(self.table.load, History)
        return self.table.load

    def moment(self, kind: str) -> str:
        """The run's moment as the text of a value of that DuckDB type."""
        zoned = kind == "TIMESTAMP WITH TIME ZONE"
        return (self.run.now if zoned else self.run.now.astimezone(dtm.UTC).replace(tzinfo=None)).isoformat()

    @property
    def taken(self) -> tuple[str, ...]:
        """SQL: the rows it takes, apart from each other; a row that cannot be placed is taken too, and judged.

        Empty where it takes all. Two plain conditions: of a file's or a table's rows DuckDB then reads the parts that
        may hold such rows, and with an OR between them every part.
        """
        if self.since is not None and self.cursor:
            cursor = quoted(self.cursor)
            return f"{cursor} >= {self.since.start}", f"{cursor} IS NULL"
        return (self.parts.judged(),) if self.parts is not None and self.parts.asked is not None else ()

    def seen_again(self, session: Session) -> str | None:
        """SQL over rejects: those that a build of some rows takes again, or whose key is published, or gone, as of later; None for all."""
        load = self.table.load
        if self.anew:
            return "true"
        if self.since is None or load is None or (isinstance(load, History) and load.complete):
            return None
        texts = zip(self.contract.columns, self.contract.from_payload_sql("payload"), strict=True)
        value = {column.name: f"TRY({sql.removesuffix(f' AS {quoted(column.name)}')})" for column, sql in texts}
        if isinstance(load, History):  # what a failed build saw, its source has still
            key, last, later, taken = load.names(self.contract.key), load.valid_from, ">=", "NOT set_aside"
        else:
            key, last, later = self.contract.key, load.cursor, ">"
            taken = f"({value[last]} >= {self.since.start} OR {value[last]} IS NULL)"
        if not key:
            return taken
        # Under other names, for a table may have a column `payload`.
        shown = ", ".join(f"{quoted(name)} AS __{place}" for place, name in enumerate([*key, last]))
        met = " AND ".join(f"__{place} = {value[name]}" for place, name in enumerate(key))
        told = [session.relation(self.table), *([GONE] if isinstance(load, Incremental) and load.deleted else [])]
        known = " UNION ALL ".join(f"SELECT {shown} FROM {each}" for each in told)
        return f"({taken} OR EXISTS (FROM ({known}) WHERE {met} AND __{len(key)} {later} {value[last]}))"

    @property
    def adds(self) -> bool:
        """Whether the published rows stay but for those it names."""
        return (self.table.appends and not self.anew) or self.since is not None

    def keeps_existing(self, session: Session) -> bool:
        """Whether published rows stay beside the staged ones."""
        return (self.adds or self.partition is not None) and session.exists(self.table)

    def kept_sql(self, session: Session) -> str:
        """The published rows that stay."""
        existing = session.relation(self.table)
        if self.since is not None:
            return f"(SELECT * FROM {existing} WHERE rowid NOT IN (SELECT __row FROM {REPLACED}))"
        return existing if self.table.appends else f"(SELECT * FROM {existing} WHERE NOT ({self.in_partition}))"

    def whole(self, session: Session, relation: str) -> str:
        """The table as it would be after publishing: the rows of `relation`, and the existing ones that stay."""
        if not self.keeps_existing(session):
            return relation
        return f"(SELECT * FROM {relation} UNION ALL BY NAME FROM {self.kept_sql(session)})"

    @property
    def in_partition(self) -> str:
        """SQL: the rows of the partitions that are built."""
        assert self.parts is not None
        # A partition column is never null: the contract says so, and the graph refuses one that does not.
        return self.parts.rows
