"""The same tables on Spark, in a lake, and in DuckDB: what it costs, and whether the rows are the same."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import job
from benchmarks.measure import HEAD, ROOT, Measured, Series, child, process, say, table
from benchmarks.options import Options

BESIDE = ROOT / ".venv" / "spark"
"""Where `make spark` puts pyspark and Iceberg's runtime."""
JAR = "snowpark_connect_deps_iceberg/jars/iceberg-spark-runtime-3.5_2.12-*.jar"
NAMES = (
    "raw_products",
    "raw_promotions",
    "raw_demographics",
    "raw_transactions",
    "products",
    "promotions",
    "transactions",
    "purchases",
    "department_weekly_sales",
)
INTRODUCTION = f"""
`pipeline run` of the {len(NAMES)} tables that are made of the retailer's files, on one machine: 20.9 million promotions, of which
repeats are set aside, and three tables of 1.5 million lines, every check included. *Spark* is `PIPELINE_ENGINE=spark` with
`local[2]`: rows in Apache Iceberg, the books in DuckDB. Processor seconds are those of Python and of its Java process. The bar:
at most 12 times DuckDB's; below a hundred million lines that is the answer to whether to move.
""".strip()


def measure(options: Options) -> str:
    """Markdown: both, in turns, and how their rows and rejects differ."""
    if not any(BESIDE.glob(JAR)) or shutil.which("java") is None:
        raise SystemExit("the benchmark of Spark needs Java 17, and what `make spark` installs")
    environment = surroundings(options.folder)
    engines = {"duckdb": {}, "spark": {"PIPELINE_ENGINE": "spark", **environment}}
    runs: dict[str, list[Measured]] = {name: [] for name in engines}
    with job.sources(options.folder) as places:
        if options.rows is not None:
            child(shorten, source=places["retail_files"], target=str(options.folder / "files"), rows=options.rows)
            places["retail_files"] = str(options.folder / "files")
        for number in range(min(options.repeat, 2)):
            for name, added in engines.items():
                runs[name].append(ours(options.folder / name, places, added))
            said = ", ".join(f"{name} {found[-1].failure or f'{found[-1].cpu:.0f} s'}" for name, found in runs.items())
            say(f"run {number + 1}: {said}")
    one, other = (str(job.warehouse(options.folder / name)) for name in engines)
    found = child(differences, one=one, other=other, environment=environment)
    facts = found.facts
    told = found.failure or (
        f"Of {len(NAMES)} tables with {facts['rows']:,} rows differ in a row, column or type: {', '.join(facts['differing']) or 'none'}. "
        f"The {facts['rejects']:,} rejected rows are {'the same' if facts['same_rejects'] else 'NOT the same'}, by table and reason."
    )
    series = {name: Series(tuple(found)) for name, found in runs.items()}
    base = series["duckdb"]
    costs = (
        "" if series["spark"].failure else f"Spark takes {series['spark'].cpu / base.cpu:.1f} times the processor time."
    )
    return "\n\n".join(
        [
            "## Spark",
            INTRODUCTION,
            table(["", *HEAD], [[name, *found.cells(base)] for name, found in series.items()]),
            f"{costs} {told}".strip(),
        ]
    )


def shorten(source: str, target: str, rows: int) -> dict[str, Any]:
    """The retail files, those with more rows cut to so many."""
    import duckdb

    Path(target).mkdir()
    with duckdb.connect() as connection:
        for file in Path(source).glob("*.parquet"):
            read = f"FROM read_parquet('{file}') LIMIT {rows}"
            connection.execute(f"COPY ({read}) TO '{target}/{file.name}' (FORMAT parquet)")
    return {"rows": rows}


def surroundings(folder: Path) -> dict[str, str]:
    """Variables with which a process finds pyspark and Iceberg's runtime, and takes two processors and 6 GB."""
    (jar,) = BESIDE.glob(JAR)
    conf = folder / "conf"
    conf.mkdir()
    settings = {
        "spark.driver.extraClassPath": jar,
        "spark.driver.memory": "6g",
        "spark.sql.shuffle.partitions": 8,
    }
    (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    path = os.pathsep.join(filter(None, (str(BESIDE), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "SPARK_CONF_DIR": str(conf), "PIPELINE_SPARK": "local[2]"}


def ours(folder: Path, places: dict[str, str], environment: Mapping[str, str]) -> Measured:
    """`pipeline run` into a new warehouse."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run, own = job.command(folder, places, "run", list(NAMES))
    return process(run, environment={**own, **environment})


def differences(one: str, other: str, environment: dict[str, str]) -> dict[str, Any]:
    """Tables whose columns, types or rows differ between DuckDB's warehouse and the lake, and rejected rows of each by reason."""
    os.environ.update(environment)
    sys.path.insert(0, str(BESIDE))
    from assay.settings import BaseSettings
    from assay.sql import literal, quoted
    from assay.warehouses import warehouse_of
    from pipeline_project.project import project

    settings = BaseSettings.read({**os.environ, "PIPELINE_ENGINE": "spark", "PIPELINE_WAREHOUSE": other}, root=ROOT)
    differing: list[str] = []
    rows = 0
    with warehouse_of(settings).session() as session:
        session.connection.execute(f"ATTACH {literal(one)} AS one (READ_ONLY)")
        for name in NAMES:
            node = project.graph.tables[name]
            sides = f"one.{node.stage}.{name}", session.scan(node)
            described = [session.connection.execute(f"DESCRIBE FROM {side}").fetchall() for side in sides]
            columns = [[row[:2] for row in found] for found in described]
            hashed = f"hash({', '.join(quoted(column) for column, _ in columns[0])})"
            counts = [
                session.connection.execute(f"SELECT count(*), sum({hashed}), bit_xor({hashed}) FROM {side}").fetchall()
                for side in sides
            ]
            rows += counts[0][0][0]
            if columns[0] != columns[1] or counts[0] != counts[1]:
                differing.append(name)
        reasons = [
            session.connection.execute(
                f"SELECT table_name, reason_codes, count(*) FROM {books}.quarantine.rejects GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            for books in ("one", quoted(session.catalog))
        ]
    rejects = sum(count for *_, count in reasons[0])
    return {"rows": rows, "differing": differing, "rejects": rejects, "same_rejects": reasons[0] == reasons[1]}
