"""Golden cases computed on a cluster, and one clear line for whatever stands in the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pandera.typing.ibis import Table

from assay import public, table
from assay.golden import text
from assay.golden.case import read_cases
from assay.golden.inputs import build_names, find_inputs
from assay.golden.runner import built_tables, run_golden
from assay.project import Project
from assay.report.golden_page import page
from assay.settings import BaseSettings
from assay.spark import session
from assay.spark.engine import SparkEngine
from assay.spark.load import refusals
from assay.tables.graph import Graph
from assay.terminal import unstyled
from tests.golden.tree import Tree
from tests.standalone import WORKERS, Standalone

PROJECT = next((file.parent.name for file in Path(__file__).parents[3].glob("*/definitions.py")), None)
"""The project that stands beside the framework; none where only the framework is checked out."""


def on_spark(tree: Tree, address: str) -> Tree:
    """The tree, whose settings tell where Spark is."""
    told = {"PIPELINE_SPARK": address}
    settings = lambda: BaseSettings.read(told, root=tree.project.root)  # noqa: E731
    return Tree(dataclasses.replace(tree.project, settings=settings))


def computed_in_sql(project: Project) -> int:
    """How many tables the project's cases build of whose rows a function's expression tells."""
    count = 0
    for case in read_cases(project.golden):
        given = find_inputs(case, project.graph).returned
        names = [name for name in build_names(case, project.graph, case.subjects) if name not in given]
        stopped = set(case.expects_error)
        count += sum(project.graph.tables[name].engine != "python" for name in names if name not in stopped)
    return count


@pytest.mark.skipif(PROJECT is None, reason="there is no project beside the framework")
def test_every_case_of_the_project_is_equal_on_the_cluster(engine: SparkEngine) -> None:
    project: Project = import_module(f"{PROJECT}.project").project
    refused = list(refusals(project.graph, built_tables(project), engine, project.settings()))
    assert refused == []
    before = engine.tables
    result = run_golden(project, engine=engine)
    told = "\n".join([*text.details(result), *text.summary(result)])
    assert result.exit_code == 0, unstyled(told)
    assert engine.tables - before == computed_in_sql(project) > 0
    assert engine.cluster.executors >= WORKERS
    assert f"computed by spark {engine.cluster.version} (spark://127.0.0.1:" in told
    assert result.as_dict()["engine"] == engine.name
    assert f"computed by {engine.name}," in page(result)


def test_a_row_that_the_golden_does_not_have_is_told(tree: Tree, engine: SparkEngine) -> None:
    folder = tree.accepted()
    assert run_golden(tree.project, engine=engine).exit_code == 0
    given = folder / "inputs" / "shop_files" / "orders.csv"
    given.write_text(given.read_text().replace("20.50", "20.51"))
    result = run_golden(tree.project, engine=engine)
    assert result.exit_code == 1
    assert next((each.table, each.status) for each in result.tables) == ("orders", "differs")


def pipeline(address: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`pipeline golden --engine spark` of the project beside the framework."""
    told = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.Popen(
        [sys.executable, "-m", str(PROJECT), "golden", "--engine", "spark", *arguments],
        env={**told, "PIPELINE_SPARK": address, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def small_cases(count: int) -> list[str]:
    """Cases of the project with few tables."""
    project: Project = import_module(f"{PROJECT}.project").project
    return [case.name for case in sorted(read_cases(project.golden), key=lambda case: len(case.subjects))[:count]]


def group(process: subprocess.Popen[str]) -> dict[int, str]:
    """The living processes of its group, by number, each with its command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            state, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(number) == process.pid and state != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_text()
    return found


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ended with all they started, whatever becomes of the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.skipif(PROJECT is None, reason="there is no project beside the framework")
def test_the_command_names_the_engine_and_leaves_no_process(
    cluster: Standalone, ended: list[subprocess.Popen[str]]
) -> None:
    process = pipeline(cluster.address, *small_cases(1))
    ended.append(process)
    stdout, stderr = process.communicate()
    assert (process.returncode, stderr) == (0, "")
    assert f"({cluster.address}): " in stdout.splitlines()[-1]
    assert "all contracts; compared by DuckDB" in stdout.splitlines()[-1]
    assert group(process) == {}


@pytest.mark.slow
@pytest.mark.skipif(PROJECT is None, reason="there is no project beside the framework")
def test_spark_dies_under_the_command(cluster: Standalone, ended: list[subprocess.Popen[str]]) -> None:
    """One line for all the cases that could not be computed any more, and no process is left; a cluster's end is in `test_run`."""
    process = pipeline(cluster.address, *small_cases(4))
    ended.append(process)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ok"), process.communicate()
    (java,) = (number for number, command in group(process).items() if "java" in command)
    os.kill(java, signal.SIGKILL)
    _, stderr = process.communicate()
    assert process.returncode == 2
    (line,) = stderr.splitlines()
    assert line.startswith(f"error: {cluster.address}: ")
    assert "Java process has ended" in line
    assert group(process) == {}


class Rows(pa.DataFrameModel):
    id: dt.Int64 = pa.Field(unique=True, metadata=public, description="A number")
    text: dt.String = pa.Field(metadata=public, description="A text")

    class Config:
        strict = True


class Few(pa.DataFrameModel):
    text: dt.String = pa.Field(unique=True, metadata=public, description="A text")

    class Config:
        strict = True

    @pa.dataframe_check(name="texts_do_not_differ_much")
    def texts_do_not_differ_much(cls, data: Any) -> Any:
        return data.table.text.levenshtein("a") < 3


@table(engine="python")
def rows() -> Table[Rows]:
    """Rows."""
    raise AssertionError("it is not called")


@table()
def few(rows: Table[Rows]) -> Table[Few]:
    """The text that comes most often."""
    return rows.agg(text=rows.text.mode())


def test_what_spark_computes_otherwise_is_refused_by_table_with_what_to_write(engine: SparkEngine) -> None:
    graph = Graph.of([rows, few])
    assert list(refusals(graph, ["rows"], engine)) == []
    of_function, of_rule = map(str, refusals(graph, ["rows", "few"], engine))
    where = f"spark.few ({__file__}): "
    assert of_function.startswith(f"{where}Spark does not compute Mode as DuckDB does: ")
    assert of_function.endswith("; count by group, and take argmax")
    assert of_rule.startswith(f"{where}texts_do_not_differ_much: nobody has tried whether Spark computes Levenshtein")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("yarn", "PIPELINE_SPARK: 'yarn' is no address of Spark. Give local[2] or spark://host:7077."),
        ("spark://127.0.0.1:1", "spark://127.0.0.1:1: no Spark master answers. Start it, or set PIPELINE_SPARK."),
    ],
)
def test_nobody_is_at_the_address(monkeypatch: pytest.MonkeyPatch, tree: Tree, address: str, told: str) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: name)
    monkeypatch.setattr("shutil.which", lambda name, path=None: name)
    assert refused(tree, address) == told


def refused(tree: Tree, address: str = "local[2]") -> str:
    if not tree.golden.exists():
        tree.accepted()
    found = on_spark(tree, address).cli("--engine", "spark")
    assert (found.exit_code, found.stdout) == (2, "")
    return found.stderr.removeprefix("error: ").strip()


def test_there_is_no_pyspark(monkeypatch: pytest.MonkeyPatch, tree: Tree) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    assert refused(tree) == "pyspark is not installed. Install the extra: dagster-assay[spark]."


def test_there_is_no_java(monkeypatch: pytest.MonkeyPatch, tree: Tree, tmp_path: Path) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: name)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(tree) == "PATH: Spark needs Java, and there is none. Install Java 17, or set JAVA_HOME."
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert refused(tree).startswith(f"JAVA_HOME={tmp_path}: Spark needs Java, and there is none.")


@pytest.mark.slow
def test_nothing_of_spark_is_imported_where_duckdb_computes(tree: Tree) -> None:
    script = """
import sys
from pathlib import Path
from tests.golden.tree import Tree
from tests.shop.project import shop_project
assert Tree(shop_project(Path(sys.argv[1]))).cli("five").exit_code == 0
print([name for name in sys.modules if name.partition(".")[0] in ("pyspark", "py4j") or "assay.spark" in name])
"""
    tree.accepted()
    done = subprocess.run(
        [sys.executable, "-c", script, str(tree.project.root)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
