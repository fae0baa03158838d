"""The day's letter to the shop's owner."""

from __future__ import annotations

from pandera.typing.ibis import Table

from assay import Run, export
from tests.shop.load.daily_sales import DailySales


@export("letter.txt")
def letter(daily_sales: Table[DailySales], run: Run) -> str:
    """How many days had sales, and what this run built."""
    built = ", ".join(publication.table for publication in run.publications)
    return f"{daily_sales.count().execute()} days; built {built}\n"
