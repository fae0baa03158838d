"""1, 10 and 100 million transaction lines through their contracts and into the marts."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks import job
from benchmarks.measure import child, say, seconds, table
from benchmarks.options import Options

BUILT = ("raw_transactions", "transactions", "purchases", "department_weekly_sales", "campaign_performance")
MEMORY_LIMIT = "3.5GB"
"""DuckDB's share, which a large join or a large table's blocks fill whatever it is; Python, Arrow and what DuckDB allocates beside
its buffers come on top."""
INTRODUCTION = f"""
The real lines, repeated with other baskets and households, from one Parquet file through `raw_transactions`,
`transactions`, `purchases` (joined to products, 20.9 million promotions and demographics) and both marts, every check
included. DuckDB's limit is {MEMORY_LIMIT}; peak memory is the whole process's. The bar: 100 million lines within 4.5 GB
and 3.0 s per million.
""".strip()


def measure(options: Options) -> str:
    """Markdown: time, time per million lines and peak memory at each size. Each runs once: the largest takes long."""
    rows = []
    with job.sources(options.folder) as places:
        addresses = {name: address for name, address in places.items() if name != "server"}
        ready = options.folder / "ready"
        made = child(build, folder=str(ready), addresses=addresses, names=None)
        say(f"everything else: {made.failure or seconds(made.seconds)}")
        for millions in options.millions:
            files, folder = options.folder / f"files_{millions}", options.folder / f"warehouse_{millions}"
            child(make_lines, source=places["retail_files"], target=str(files), lines=millions * 1_000_000)
            shutil.copytree(ready, folder)
            measured = child(
                build,
                folder=str(folder),
                addresses=addresses | {"retail_files": str(files)},
                names=list(BUILT),
                environment={"PIPELINE_MEMORY_LIMIT": MEMORY_LIMIT},
            )
            facts = measured.facts
            times = [seconds(facts["tables"][name]) if not measured.failure else "" for name in BUILT]
            total = measured.failure or seconds(measured.seconds)
            rate = "" if measured.failure else seconds(measured.seconds / millions)
            rows.append([f"{millions} million", total, rate, f"{measured.peak_mb / 1000:.1f} GB", *times])
            say(f"{millions} million: {total}, {measured.peak_mb / 1000:.1f} GB")
            shutil.rmtree(files)
            shutil.rmtree(folder)
    head = ["lines", "seconds", "per million", "peak memory", *(f"`{name}`" for name in BUILT)]
    return "\n\n".join(["## Scale", INTRODUCTION, table(head, rows)])


def make_lines(source: str, target: str, lines: int) -> dict[str, Any]:
    """The retail files with so many transaction lines; the other files are links."""
    import duckdb

    folder = Path(target)
    folder.mkdir()
    for file in Path(source).glob("*.parquet"):
        if file.name != "transactions.parquet":
            (folder / file.name).symlink_to(file)
    with duckdb.connect(config={"memory_limit": "4GB", "preserve_insertion_order": False}) as connection:
        connection.execute(f"CREATE TABLE one AS FROM read_parquet('{source}/transactions.parquet')")
        row = connection.execute("SELECT count(*), max(basket_id), max(household_id) FROM one").fetchone()
        assert row is not None
        rows, basket, household = row
        repeats = -(-lines // rows)
        connection.execute(
            f"""COPY (
                SELECT one.* REPLACE (basket_id + copy * {basket} AS basket_id,
                                      household_id + copy * {household} AS household_id)
                FROM range({repeats}) AS copies(copy), one LIMIT {lines}
            ) TO '{folder}/transactions.parquet' (FORMAT parquet)"""
        )
    return {"lines": lines}


def build(
    folder: str, addresses: dict[str, str], names: list[str] | None, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Build tables in a warehouse in `folder`: `names`, or everything but what is measured and what needs it."""
    os.environ.update(
        PIPELINE_WAREHOUSE=f"{folder}/warehouse.duckdb",
        PIPELINE_OUTPUT=folder,
        **{f"PIPELINE_SOURCE_{name.upper()}": address for name, address in addresses.items()},
        **(environment or {}),
    )
    from assay.build import Progress
    from assay.build import build as build_tables
    from assay.tables.run import Run
    from assay.warehouse.warehouse import DuckDBWarehouse
    from pipeline_project.project import project

    settings, graph = project.settings(), project.graph
    if names is None:
        later = set(graph.downstream(list(BUILT)))
        names = [name for name in graph.tables if name not in later]
    times: dict[str, float] = {}

    def note(progress: Progress) -> None:
        if progress.publication is not None:
            times[progress.node.name] = progress.publication.seconds

    started = time.perf_counter()
    with project.sources(settings) as sources, DuckDBWarehouse.of(settings).session() as session:
        result = build_tables(graph, names, session, Run.start(), sources, on_progress=note)
    elapsed = time.perf_counter() - started
    if result.errors:
        raise SystemExit("; ".join(map(str, result.errors.values())))
    return {"seconds": elapsed, "tables": times}
