"""The shop's project in a temporary folder, whose golden cases a test writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from assay.golden.mask import FILE
from assay.testing.tree import GoldenTree
from assay.testing.tree import with_graph as with_graph
from tests.shop.project import ORDERS

FIVE_ORDERS = {
    "case.yml": "description: Five orders\ntables: [orders, daily_sales]\n",
    "inputs/shop_files/orders.csv": ORDERS,
}
"""A case of the shop: its fourth order breaks `amount.ge_0` and is set aside."""


FIVE = Path(__file__).parent / "five"
"""The same case with its goldens, as accepted."""


class Tree(GoldenTree):
    """Its case `five` is there without being run."""

    def accepted(self, name: str = "five", files: dict[str, str | bytes] | None = None) -> Path:
        """A case whose goldens are accepted as they come; without `files`, the five orders'."""
        if files is not None:
            return super().accepted(name, files)
        self.golden.mkdir(parents=True, exist_ok=True)
        (self.golden / FILE).write_text("the key of the tests' goldens\n")
        shutil.copytree(FIVE, self.golden / name)
        return self.golden / name
