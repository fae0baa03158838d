"""A lake's table as somebody sees it who has no Spark: read by pyiceberg."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from assay.spark.lake import RECORD


class Seen:
    """One table of a lake whose folder is its catalog."""

    def __init__(self, lake: Path, stage: str, name: str) -> None:
        self.folder = lake / stage / name / "metadata"

    def table(self) -> Any:
        """As it is committed now."""
        from pyiceberg.table import StaticTable

        try:
            newest = int((self.folder / "version-hint.text").read_text())
        except FileNotFoundError:  # for a moment of each commit there is none
            newest = max(int(each.name[1:].partition(".")[0]) for each in self.folder.glob("v*.metadata.json"))
        return StaticTable.from_metadata(str(self.folder / f"v{newest}.metadata.json"))

    def rows(self) -> pa.Table:
        """The rows of the newest version."""
        return self.table().scan().to_arrow()

    def record(self) -> dict[str, Any]:
        """What the newest commit says of itself."""
        return self.record_of(self.table())

    def record_of(self, table: Any) -> dict[str, Any]:
        """What the commit says that a table was read at."""
        return dict(json.loads(table.current_snapshot().summary[RECORD]))
