"""What an engine does with the rows of one build. The steps, the budget and the verdicts are `publish`'s, for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from assay.warehouse.added import Added

if TYPE_CHECKING:
    import datetime as dtm

    from assay.contract.contract import Contract
    from assay.tables.nodes import Reference
    from assay.tables.results import CheckResult, Publication
    from assay.warehouse.merging import Merged
    from assay.warehouse.preserved import Preserved
    from assay.warehouse.references import Orphans
    from assay.warehouse.shrinking import Replaced
    from assay.warehouse.staging import Staged


class Staging(Added, Protocol):
    """The rows of one build, labelled and written once, that nobody sees before `swap` and `commit`.

    Attributes:
        merged: what became of them beside the published ones, of an incremental table or a history.
        whole: what stands in a FROM of the engine's SQL: the table as it would be, with the published rows that stay.
        target: the table's name in the engine's SQL.
    """

    staged: Staged
    merged: Merged | None
    target: str

    @property
    def whole(self) -> str: ...

    def strip(self) -> None:
        """Leave the contract's columns alone; the transaction that publishes, or records why not, has begun."""

    def broken_before(self) -> Mapping[str, int]:
        """Published rows that stay and break the contract as it is now, by reason."""

    def unique_key(self, *, proven: bool) -> CheckResult:
        """The verdict on the keys of the table as it would be (`verdicts.keys`).

        Args:
            proven: repeats of the first key were set aside, and no published row stays.
        """

    def replaced(self) -> Replaced:
        """The published rows that the staged ones would take the place of."""

    def preserved(self, upstream: Contract, key: Mapping[str, str], how: str) -> Preserved:
        """How the input that the table preserves compares with what became of its rows, rejected ones included.

        Args:
            key: columns of the input's key -> the table's; empty where rows can only be counted.
            how: what is compared, in words.
        """

    def orphans(self, declared: Reference) -> Orphans:
        """The rows whose columns are not null and in no row of the table they refer to."""

    def days(self, names: Sequence[str]) -> Mapping[dtm.date, tuple[int, ...]]:
        """Of each day that is built (of longer partitions their first): its rows, and values of `names` that are not null."""

    def present(self, names: Sequence[str]) -> tuple[int, ...]:
        """Staged rows, and their values of the columns `names` that are not null."""

    def refuse(self, outcome: Publication) -> Publication:
        """Nothing is published: keep the rows where a failed check's SQL would otherwise look for them in vain."""

    def swap(self) -> str:
        """Make the staged rows the published ones, or prepare it for `commit`; returns the publication's action."""

    def keep_rejects(self, *, published: bool) -> int:
        """Move the rejected rows into the quarantine; returns how many it has of them."""
