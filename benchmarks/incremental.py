"""What an incremental load of 1% costs, against building the table whole."""

from __future__ import annotations

import datetime as dtm
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import HEAD, Measured, Series, child, table
from benchmarks.options import Options

ROWS = 10_000_000
INTRODUCTION = """
10 million promotions, each with a number as key and a time of its last change, in a Parquet file: a contract of types,
nulls, three ranges, two value sets and the key. *Whole* reads all of the file and replaces the table; *1%* is the same
table's next build after 100,000 rows of the file changed or came: since the watermark, merged by the key, audited, the
watermark committed. *The newest*, which the bar is for: half of them are new, half are changes of the last twentieth of the
table. *Anywhere*: all are changes, spread over the table, so that DuckDB reads every key twice. Times are of the load alone. The
bar: less than 0.05x of the processor's time.
""".strip()
KINDS = {"the newest": "newest", "anywhere": "anywhere"}


def measure(options: Options) -> str:
    """Markdown: a whole build and two incremental ones, in turns."""
    found: dict[str, list[Measured]] = {"whole": [], **{kind: [] for kind in KINDS}}
    for number in range(options.repeat):
        folder = options.folder / str(number)
        (folder / "files").mkdir(parents=True)
        child(make_source, folder=str(folder), rows=options.rows or ROWS)
        found["whole"].append(child(load, folder=str(folder)))
        for kind, change in KINDS.items():
            changed = options.folder / f"{number}_{change}"
            shutil.copytree(folder, changed)
            child(change_source, folder=str(changed), kind=change)
            found[kind].append(child(load, folder=str(changed)))
            shutil.rmtree(changed)
        shutil.rmtree(folder)
    series = {name: Series(tuple(runs)) for name, runs in found.items()}
    base = series["whole"]
    rows = [[name if name == "whole" else f"1%, {name}", *runs.cells(base)] for name, runs in series.items()]
    told = [
        f"{name}: {runs.runs[0].facts.get('changes')}, {runs.cpu / base.cpu:.3f}x of the processor's time"
        for name, runs in series.items()
        if name != "whole" and not runs.failure and not base.failure
    ]
    return "\n\n".join(["## An incremental load", INTRODUCTION, table(["", *HEAD], rows), "Loaded " + "; ".join(told)])


def make_source(folder: str, rows: int) -> dict[str, Any]:
    """`files/promotions.parquet`: so many rows in the order of their times."""
    import duckdb

    from pipeline_project.example.demo import retail_folder

    few = Path(folder) / "few"
    few.mkdir()
    duckdb.execute(
        f"""COPY (SELECT file_row_number AS id, product_id, store_id, week, display_location, mailer_location,
                         TIMESTAMP '2026-01-01' + to_seconds(file_row_number) AS updated_at
                  FROM read_parquet('{retail_folder()}/promotions.parquet', file_row_number = true) LIMIT {rows})
            TO '{folder}/files/promotions.parquet'"""
    ).fetchall()
    duckdb.execute(f"COPY (FROM '{folder}/files/promotions.parquet' LIMIT 9) TO '{few}/promotions.parquet'").fetchall()
    return {"seconds": 0.0}


def change_source(folder: str, kind: str) -> dict[str, Any]:
    """1% of the rows get a later time at the file's end."""
    import duckdb

    file = f"{folder}/files/promotions.parquet"
    count = duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall()[0][0]
    some = count // 100
    moved = f"hash(id) % 100 = 0 AND id < {count}"
    shifted = "id"
    if kind == "newest":
        # Of the last twentieth every tenth row: half a per cent; and as many new ones.
        moved = f"id >= {count - count // 20} AND id % 10 = 0"
        shifted = f"unnest([id, id + {count}])"
    duckdb.execute(
        f"""COPY (SELECT * FROM '{file}' WHERE NOT ({moved}) UNION ALL
                  SELECT {shifted} AS id, product_id, store_id, week, 'A', mailer_location,
                         updated_at + INTERVAL 20 YEARS FROM '{file}' WHERE {moved})
            TO '{file}.new' (FORMAT parquet)"""
    ).fetchall()
    Path(f"{file}.new").replace(file)
    return {"seconds": 0.0, "rows": some}


def load(folder: str) -> dict[str, Any]:
    """Build the table from what is there."""
    from assay.build import build_node
    from assay.sources.base import Sources
    from assay.tables.graph import Graph
    from assay.tables.run import Run
    from assay.warehouse.warehouse import DryRunWarehouse, DuckDBWarehouse
    from benchmarks.promotion_rows import numbered_promotions

    graph = Graph.of([numbered_promotions])
    home = Path(folder)
    run = Run("benchmark", dtm.datetime(2100, 1, 1, tzinfo=dtm.UTC))

    def build(warehouse: Any, files: str) -> Any:
        with warehouse.session() as session:
            return build_node(numbered_promotions, graph, session, run, Sources({"files": str(home / files)}))

    # What is imported and compiled late is no part of either.
    build(DryRunWarehouse(None, scratch=home / "scratch", in_memory=True), "few")
    started, before = time.perf_counter(), time.process_time()
    publication = build(DuckDBWarehouse(home / "w.duckdb", output=home / "out", scratch=home / "scratch"), "files")
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - before,
        "rows": publication.rows,
        "changes": ", ".join(f"{count:,} {name}" for name, count in publication.changes.items() if count),
    }
