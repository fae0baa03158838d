"""What an engine does with rows on their way into a published table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assay.contract.profile import Profile
    from assay.tables.results import Publication


class Added(Protocol):
    """Rows on their way into a published table, in the transaction of the books."""

    def profile(self) -> Profile:
        """The table with them, in numbers."""

    def contents(self) -> Mapping[str, tuple[int, str]]:
        """Rows and content hash of each partition that is built and has rows."""

    def commit(self, publication: Publication, number: int | None) -> None:
        """The last step before the books are committed, which have it under `number`, or are not kept."""
