"""What it costs to enforce a contract on 20.9 million promotions, against writing them and against Pandera."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import HEAD, Measured, Series, child, say, table
from benchmarks.options import Options

SHARES = (0, 1, 250)
"""Failing rows per thousand."""
INTRODUCTION = """
Promotions with the rules of the example's contract: types, nulls, three ranges, two value sets; the rows come from a
table of the same database file. *This framework* does all of it: schema, row rules, rejected rows into the quarantine
with reasons and payload, profile, content hash, publishing. The peers only judge: they write no table and keep no
rejected rows. CPU is that of the measured part, and its ratio, which other work on the machine changes less. The bars: at
most 1.3x, 1.4x and 2.5x `CREATE TABLE AS` with 0%, 0.1% and 25% failing; profile.md says where the time goes.
""".strip()


def measure(options: Options) -> str:
    """Markdown: enforcement at each share, then uniqueness."""
    parts = ["## Enforcing a contract", INTRODUCTION]
    for share in SHARES:
        database = options.folder / f"source_{share}.duckdb"
        made = child(make_source, database=str(database), per_thousand=share, limit=options.rows)
        say(f"{share / 10:g}% failing: {made.facts['rows']:,} rows")
        parts += [f"### {share / 10:g}% failing, {made.facts['rows']:,} rows", _compared(options, database)]
    parts += ["### Uniqueness, apart", _uniqueness(options, options.folder / "source_0.duckdb")]
    return "\n\n".join(parts)


def _compared(options: Options, database: Path) -> str:
    ours: dict[str, list[Measured]] = {"write": [], "publish": []}
    for _ in range(options.repeat):
        ours["write"].append(_once(options, write, database))
        ours["publish"].append(_once(options, publish, database))
    base = Series(tuple(ours["write"]))
    limits = {"timeout": options.peer_seconds, "memory_gb": options.peer_gb}
    rows = [
        ["plain `CREATE TABLE AS`, nothing checked", *_cells(base, base)],
        ["this framework", *_cells(Series(tuple(ours["publish"])), base)],
    ]
    for name, peer in (("Pandera, pandas backend", pandera_pandas), ("Pandera, Ibis backend", pandera_ibis)):
        measured = Series((_once(options, peer, database, **limits),))
        rows.append([f"{name} (one run)", *_cells(measured, base)])
        say(f"{name}: {rows[-1][1]}")
    return table(["", *HEAD], rows)


def _uniqueness(options: Options, database: Path) -> str:
    forms = {
        "`QUALIFY row_number() = 1` into a new table": qualify,
        "repeated keys found by `GROUP BY`, nothing written": group_by,
        "this framework: all of the above and the key, repeats set aside": publish_keyed,
        "this framework without the key": publish,
    }
    found: dict[str, list[Measured]] = {name: [] for name in forms}
    for _ in range(options.repeat):
        for name, form in forms.items():
            found[name].append(_once(options, form, database))
    series = {name: Series(tuple(runs)) for name, runs in found.items()}
    base = next(iter(series.values()))
    rows = [[name, *_cells(runs, base)] for name, runs in series.items()]
    return table(["keep one row per (product, store, week)", *HEAD], rows)


def _cells(series: Series, base: Series) -> list[str]:
    best, median, ratio, cpu, memory = series.cells(base)
    by_cpu = f" ({series.cpu / base.cpu:.2f}x)" if ratio else ""
    return [best, median, ratio, f"{cpu}{by_cpu}", memory]


def _once(options: Options, target: Any, database: Path, **limits: float) -> Measured:
    # On a copy: what one run writes must not be there for the next.
    copy = options.folder / "run.duckdb"
    shutil.copyfile(database, copy)
    measured = child(target, database=str(copy), **limits)
    copy.unlink()
    copy.with_suffix(".duckdb.wal").unlink(missing_ok=True)
    return measured


def make_source(database: str, per_thousand: int, limit: int | None) -> dict[str, Any]:
    """A table `source`, in which so many rows of a thousand have a negative product."""
    import duckdb

    from pipeline_project.example.demo import retail_folder

    with duckdb.connect(database) as connection:
        some = f"LIMIT {limit}" if limit else ""
        connection.execute(
            f"""CREATE TABLE source AS
                SELECT CASE WHEN hash(file_row_number) % 1000 < {per_thousand} THEN -product_id ELSE product_id END
                           AS product_id, store_id, week, display_location, mailer_location
                FROM read_parquet('{retail_folder()}/promotions.parquet', file_row_number = true) {some}"""
        )
        found = connection.execute("SELECT count(*), count(*) FILTER (product_id < 0) FROM source").fetchall()[0]
    return {"rows": found[0], "failing": found[1]}


def write(database: str) -> dict[str, Any]:
    """The least anybody can do."""
    return _timed(database, "CREATE TABLE target AS SELECT * FROM source")


def qualify(database: str) -> dict[str, Any]:
    """Deduplicate in one statement."""
    return _timed(
        database,
        """CREATE TABLE target AS SELECT * FROM source QUALIFY row_number() OVER (
               PARTITION BY product_id, store_id, week ORDER BY display_location DESC, mailer_location DESC) = 1""",
    )


def group_by(database: str) -> dict[str, Any]:
    """Only find what repeats."""
    return _timed(
        database, "SELECT count(*) FROM (SELECT 1 FROM source GROUP BY product_id, store_id, week HAVING count(*) > 1)"
    )


def _timed(database: str, sql: str) -> dict[str, Any]:
    import duckdb

    connection = duckdb.connect(database)
    started, cpu = time.perf_counter(), time.process_time()
    connection.execute(sql).fetchall()
    connection.close()
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}


def publish(database: str) -> dict[str, Any]:
    """Stage, split, audit, profile and publish through the framework."""
    from benchmarks.promotion_rows import promotion_rows

    return _publish(database, promotion_rows)


def publish_keyed(database: str) -> dict[str, Any]:
    """The same with the key."""
    from benchmarks.promotion_rows import keyed_promotion_rows

    return _publish(database, keyed_promotion_rows)


def _publish(database: str, definition: Any) -> dict[str, Any]:
    from assay.contract.contract import Contract
    from assay.tables.run import Run
    from assay.warehouse.builds import Build
    from assay.warehouse.publish import publish as publish_table
    from assay.warehouse.warehouse import DuckDBWarehouse

    folder = Path(database).parent
    contract = Contract.of(definition.model)
    warehouse = DuckDBWarehouse(Path(database), output=folder / "output", scratch=folder / "scratch")
    opened = warehouse.session()
    session = opened.__enter__()
    started, cpu = time.perf_counter(), time.process_time()
    expression = session.backend.table("source", database=(session.catalog, "main"))  # as a table that was published
    build = Build(
        table=definition, contract=contract, expression=expression, run=Run.start(), upstream={}, started=started
    )
    publication = publish_table(session, build)
    opened.__exit__(None, None, None)
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "rows": publication.rows,
        "rejected": publication.rejected,
    }


def pandera_ibis(database: str) -> dict[str, Any]:
    """Judge the rows with Pandera's own Ibis backend."""
    import ibis
    from pandera.errors import SchemaErrors

    from benchmarks.promotion_rows import PromotionRows

    source = ibis.duckdb.connect(database).table("source")
    started, cpu = time.perf_counter(), time.process_time()
    try:
        PromotionRows.validate(source, lazy=True)
        failing = 0
    except SchemaErrors as error:
        failing = len(error.failure_cases)
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "failing": failing}


def pandera_pandas(database: str) -> dict[str, Any]:
    """Judge the rows with Pandera's pandas backend; reading them into pandas is part of it."""
    import duckdb
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    schema = pa.DataFrameSchema(
        {
            "product_id": pa.Column("int64", pa.Check.gt(0)),
            "store_id": pa.Column("int64", pa.Check.gt(0)),
            "week": pa.Column("int64", [pa.Check.ge(1), pa.Check.le(53)]),
            "display_location": pa.Column(str, pa.Check.isin(list("012345679A"))),
            "mailer_location": pa.Column(str, pa.Check.isin(list("0ACDFHJLPXZ"))),
        },
        strict=True,
    )
    connection = duckdb.connect(database)
    started, cpu = time.perf_counter(), time.process_time()
    frame = connection.execute("FROM source").df()
    try:
        schema.validate(frame, lazy=True)
        failing = 0
    except SchemaErrors as error:
        failing = len(error.failure_cases)
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "failing": failing}
