"""The tiny pipeline as a project in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources

ORDERS = """order_id,email,ordered_on,amount
1,ann@example.org,2026-03-01,10.00
2,bob@example.org,2026-03-01,20.50
3,cem@example.org,2026-03-02,7.25
4,dee@example.org,2026-03-03,-1.00
5,eva@example.org,2026-03-04,99.99
"""
"""Five orders; the fourth breaks `amount.ge_0`."""


def shop_project(root: Path, *, env: str = "dev") -> Project:
    """The tiny pipeline, with its files, warehouse and output under `root`."""
    inputs = root / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    if not (inputs / "orders.csv").exists():
        (inputs / "orders.csv").write_text(ORDERS)
    return Project(
        package="tests.shop",
        stages=("extract", "transform", "load", "checks"),
        root=root,
        settings=lambda: BaseSettings.read(
            {"PIPELINE_ENV": env, "PIPELINE_LOCK_TIMEOUT": "1", "PIPELINE_THREADS": "1"}, root=root
        ),
        sources=lambda _: Sources({"shop_files": str(inputs)}),
    )
