"""The retailer's six tables as dbt models over dbt-duckdb, against `pipeline run` of the same six: whole commands, in turn.

dbt comes from the package registry into an environment of its own, `build/peers`; its project is made of `plain_pipeline.sql`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb

from benchmarks import job
from benchmarks.measure import HEAD, ROOT, Measured, Series, child, process, say, seconds, table
from benchmarks.options import Options
from benchmarks.plain_pipeline import SQL, fetch

SIX = ("products", "promotions", "transactions", "purchases", "campaign_performance", "department_weekly_sales")
PEERS = {
    "dbt v2": ["dbt==2.0.9"],
    "dbt-core 1.12": ["dbt-core==1.12.6", "dbt-duckdb==1.11.1", f"duckdb=={duckdb.__version__}"],
}
"""What is compared, newest first, and what is installed for it. dbt v2 brings its own DuckDB adapter."""
LEFT_OUT = "dbt-core-experimental-parser ; python_version < '3'"
"""An optional part of dbt-core 1.12 that it downloads from elsewhere than the registry, and that nothing here uses."""
ENVIRONMENTS = ROOT / "build" / "peers"
INTRODUCTION = f"""
{", ".join(SIX)}, and what they read: raw tables, campaigns, coupons, redemptions and exchange rates. *This framework* is
`pipeline run` of these tables, with contracts, quarantine, profiles and Dagster's history; it fetches the page, the API and
the log itself. dbt finds them on the disk, reads Parquet through views, where this framework copies it, and runs two models
at once. *With the same rules*: as `dbt build`, the checks of `plain_pipeline.sql` as singular tests. Each begins with a new
process and an empty database; ratios are against the first row, CPU's in brackets. The bar: 17 s where dbt v2 takes 18.5.
""".strip()
PROJECT = """
name: peers
version: "1.0"
profile: peers
flags: {send_anonymous_usage_stats: false}
on-run-start:
  - "CREATE OR REPLACE MACRO week_of(day) AS (day - DATE '2016-12-26') // 7 + 1"
  - "CREATE OR REPLACE MACRO must_be_none(what, failing) AS CASE WHEN failing > 0 THEN error(failing || ' rows: ' || what) END"
  - "CREATE OR REPLACE MACRO must_be_equal(what, a, b) AS CASE WHEN a IS DISTINCT FROM b THEN error(a || ' is not ' || b || ': ' || what) END"
"""
STAGES = "{% macro generate_schema_name(stage, node) %}{{ stage or target.schema }}{% endmacro %}"
# The script finds repeats first, for it wants the rejects: over views of Parquet that takes 43 s of the processor, this 28.
PROMOTIONS = """SELECT product_id, store_id, week, display_location, mailer_location FROM extract.raw_promotions
QUALIFY row_number() OVER (PARTITION BY product_id, store_id, week ORDER BY display_location DESC, mailer_location DESC) = 1"""


def measure(options: Options) -> str:
    """Markdown: the peers, each once with and once without rules, and this framework, in turns."""
    told, commands = dict[str, str](), dict[str, Path]()
    for name, packages in PEERS.items():
        try:
            commands[name] = installed(name.replace(" ", "_"), packages)
        except subprocess.CalledProcessError as error:
            told[name] = reason(error.stderr)
            say(f"{name} cannot be installed: {told[name]}")
    with job.sources(options.folder) as places:
        models, tests = project(options.folder / "dbt", places)
        found: dict[str, list[Measured]] = {}
        differing = {}
        for number in range(options.repeat):
            found.setdefault("this framework", []).append(job.ours(options.folder, places, models))
            for name, dbt in commands.items():
                for verb, label in (("run", name), ("build", f"{name}, with the same rules")):
                    found.setdefault(label, []).append(peer(dbt, verb, options.folder / "dbt"))
                compared = child(
                    job.differences,
                    one=str(options.folder / "dbt" / "peer.duckdb"),
                    other=str(job.warehouse(options.folder)),
                )
                differing[name] = compared.failure or compared.facts["differing"] or "none"
                differing[name] += f" of {compared.facts.get('tables', '?')}"
            say(f"round {number + 1}: " + ", ".join(f"{each} {runs[-1].seconds:.1f} s" for each, runs in found.items()))
    series = {name: Series(tuple(runs)) for name, runs in found.items()}
    base, rows = series["this framework"], []
    for name, each in series.items():
        cells = each.cells(base)
        cells[3] = cells[3] and f"{seconds(each.cpu)} ({each.cpu / base.cpu:.2f}x)"
        rows.append([name, *cells])
    said = [f"Tables that differ between {name} and this framework: {tables}." for name, tables in differing.items()]
    said += [f"{name} could not be installed here: {why}" for name, why in told.items()]
    head = f"## The six tables beside dbt\n\n{INTRODUCTION}\n\n{table(['', *HEAD], rows)}"
    return "\n\n".join([head, *said, f"dbt has {len(models)} models and {tests} tests."])


def installed(name: str, packages: list[str]) -> Path:
    """The command `dbt` of an environment with these packages; raises CalledProcessError."""
    folder = ENVIRONMENTS / name
    done = folder / "installed.json"
    if not done.exists() or json.loads(done.read_text()) != packages:
        shutil.rmtree(folder, ignore_errors=True)
        python = str(folder / "bin" / "python")
        overrides = ENVIRONMENTS / "overrides.txt"
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "uv"],  # pip cannot leave a dependency out
            [python, "-m", "uv", "pip", "install", "--python", python, "--override", str(overrides), *packages],
        ):
            ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
            overrides.write_text(f"{LEFT_OUT}\n")
            subprocess.run(command, check=True, capture_output=True, text=True)
        done.write_text(json.dumps(packages))
    return folder / "bin" / "dbt"


def reason(errors: str) -> str:
    """The line of an installer's output that says why."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return next((line for line in lines if "failed to download http" in line), lines[-1] if lines else "no output")


def project(folder: Path, places: Mapping[str, str]) -> tuple[list[str], int]:
    """Write the dbt project of the six tables and what they read; returns the names of its models, and how many tests."""
    landing = folder / "landing"
    for each in (landing, folder / "models", folder / "tests", folder / "macros"):
        each.mkdir(parents=True)
    fetch(places["server"], landing)
    with zipfile.ZipFile(f"{places['ecb_files']}/eurofxref-hist.zip") as archive:
        archive.extract("eurofxref-hist.csv", landing)
    shutil.copyfile(f"{places['retail_events']}/redemptions.ndjson", landing / "redemptions.ndjson")
    text = SQL.read_text()
    for name, place in (("retail", places["retail_files"]), ("landing", str(landing))):
        text = text.replace(f"getvariable('{name}')", f"'{place}'")
    made = dict(made_by(text))
    models = needed(made)
    for name in models:
        stage, sql = made[name]
        kind = "view" if "read_parquet" in sql else "table"
        config = f"{{{{ config(materialized='{kind}', schema='{stage}') }}}}\n"
        (folder / "models" / f"{name}.sql").write_text(config + _referring(sql))
    tests = 0
    for sql in re.findall(r"^SELECT must_be_.*?(?=;)", text, re.DOTALL | re.MULTILINE):
        # dbt sets no rejects aside, which these would count.
        sql = re.sub(r",\s*must_be_equal\('\w+ and their rejects.*?\n(?=FROM)", "\n", sql, flags=re.DOTALL)
        if {name for _, name in _references(sql)} <= {*models}:
            (folder / "tests" / f"rule_{tests}.sql").write_text(
                f"SELECT 1 FROM ({_referring(sql)}) AS said WHERE length(said::VARCHAR) = 0"
            )
            tests += 1
    (folder / "macros" / "stages.sql").write_text(STAGES)
    (folder / "dbt_project.yml").write_text(PROJECT)
    output = {
        "type": "duckdb",
        "path": str(folder / "peer.duckdb"),
        "threads": 2,
        "settings": {"TimeZone": "UTC", "preserve_insertion_order": False},
    }
    (folder / "profiles.yml").write_text(json.dumps({"peers": {"target": "dev", "outputs": {"dev": output}}}))
    return models, tests


def made_by(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Table -> its stage and its SELECT."""
    found = re.finditer(r"^CREATE TABLE (extract|transform|load)\.(\w+) AS\n(.*?);$", text, re.DOTALL | re.MULTILINE)
    for match in found:
        yield match[2], (match[1], PROMOTIONS if match[2] == "promotions" else match[3])


def _references(sql: str) -> list[tuple[str, str]]:
    return re.findall(r"\b(extract|transform|load)\.(\w+)", sql)


def _referring(sql: str) -> str:
    return re.sub(r"\b(?:extract|transform|load)\.(\w+)", r"{{ ref('\1') }}", sql)


def needed(made: Mapping[str, tuple[str, str]]) -> list[str]:
    """The six tables, and those that they are made from."""
    found, left = set[str](), [*SIX]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [other for _, other in _references(made[name][1])]
    return [name for name in made if name in found]


def peer(dbt: Path, verb: str, folder: Path) -> Measured:
    """`dbt run`, or `dbt build`, which tests as well, into a new database."""
    (folder / "peer.duckdb").unlink(missing_ok=True)
    options = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet"]
    return process([str(dbt), verb, *options], folder=folder)
