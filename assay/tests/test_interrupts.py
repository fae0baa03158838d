"""Ctrl-C and SIGTERM end a run soon, publish nothing of what was being built, and say so with an exit code of their own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from assay.orchestration import history, processes
from tests.little import ROOT, Little

ENDLESS = "SELECT md5(range::VARCHAR) AS m FROM range(1000000000000)"
LANDING = f'landing.connection.execute("CREATE TEMP TABLE t AS {ENDLESS}")'
LAZY = f"return Landed(\"SELECT 1::BIGINT AS n, min(m) AS who FROM ({ENDLESS})\", '1')"


def tables(file: Path) -> list[str]:
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'extract'").fetchall()
    return [name for (name,) in found]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "land"),
    [(signal.SIGINT, 130, LANDING), (signal.SIGTERM, 143, LAZY), (signal.SIGINT, 130, "time.sleep(1000)")],
)
def test_an_interrupted_run_publishes_nothing_more_and_is_not_tried_again(
    tmp_path: Path, number: signal.Signals, code: int, land: str
) -> None:
    little = Little(tmp_path)
    little.table("aa")
    little.table("bb", land=f"ROOT.joinpath('slow').write_text(''); {land}")
    little.table("cc")
    process = little.start("run", environment={"PIPELINE_TABLES_AT_ONCE": "1"})
    little.until("slow", process)
    process.send_signal(number)
    output, errors = process.communicate()
    assert process.returncode == code, output + errors
    assert "1 published, 0 failed, 2 skipped" in output
    assert errors.splitlines()[-1].startswith("error: interrupted while building bb; nothing of it was published.")
    assert "Traceback" not in errors
    assert tables(little.warehouse) == ["aa"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_tables_side_by_side_are_interrupted_together_and_history_knows_what_was_built_ahead(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    little = Little(tmp_path)
    # Dagster asks for `aa`, which does not end, before `cc`; in its thread `cc` was built, and after it `dd` began.
    little.table("aa", land=f"ROOT.joinpath('query').write_text(''); {LANDING}")
    little.table("cc")
    little.table("dd", land="ROOT.joinpath('python').write_text(''); time.sleep(1000)")
    process = little.start("run")
    for name in ("query", "python"):
        little.until(name, process)
    process.send_signal(number)
    output, errors = process.communicate()
    assert process.returncode == code, output + errors
    assert "1 published, 0 failed, 2 skipped" in output
    assert "error: interrupted while building aa and dd; nothing of it was published." in errors
    assert "Traceback" not in errors
    assert tables(little.warehouse) == ["cc"]
    with history.instance(tmp_path / ".dagster") as instance:
        known = {name: instance.get_latest_materialization_event(dg.AssetKey(name)) for name in ("aa", "cc", "dd")}
        assert [name for name, event in known.items() if event is not None] == ["cc"]
        event = known["cc"] and known["cc"].asset_materialization
        assert event is not None
        assert event.tags is not None
        assert event.metadata["dagster/row_count"].value == 1
        assert event.tags["dagster/data_version"]


@pytest.mark.slow
def test_an_exception_of_a_tables_code_names_its_line_and_no_value(tmp_path: Path) -> None:
    little = Little(tmp_path)
    body = "import os; found = source.to_pandas().who[0]; _ = {'ben@example.org': os.environ}[found]"
    file = little.table("aa", body=body)
    line = file.read_text().partition("import os")[0].count("\n") + 1
    little.table("bb")
    little.table("cc", body="import os; os.environ['NOPE']")
    code, output, errors = little.run("run")
    assert code == 2, errors
    assert f"extract.aa ({file}:{line}): KeyError: '***'. Nothing was published" in output
    assert f"extract.cc ({file.with_name('cc.py')}:{line}): KeyError: 'NOPE'. Nothing was published" in output
    assert "1 published, 2 failed, 0 skipped" in output
    assert "ann@example.org" not in output + errors
    assert "Traceback" not in errors
    # It is an error of code: nothing tries it again, and the history quotes no value either.
    assert all(b"ann@example.org" not in path.read_bytes() for path in (tmp_path / ".dagster").rglob("*.db"))
    _, _, errors = little.run("run", "aa", "--traceback")
    assert "Traceback (most recent call last)" in errors
    assert "KeyError: 'ann@example.org'" in errors


@pytest.mark.slow
def test_terminate_ends_a_run_that_dagster_launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the button in the UI does: the run's launcher is asked to end it."""
    monkeypatch.setenv("PIPELINE_TABLES_AT_ONCE", "1")
    little = Little(tmp_path)
    little.table("bb", land=f"ROOT.joinpath('slow').write_text(''); {LANDING}")
    little.table("cc")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    home = tmp_path / ".dagster"
    (home / "dagster.yaml").write_text(
        (tmp_path / "dagster.yaml").read_text().replace("\nrun_coordinator:", "\n_:").partition("\n_:")[0]
        + "\nrun_launcher: {module: assay.orchestration.history, class: Launcher}\n"
    )
    target = ModuleTarget("little.definitions", None, str(tmp_path), "little")
    with history.instance(home) as instance, WorkspaceProcessContext(instance, target) as process:
        workspace = process.create_request_context()
        job = workspace.get_code_location("little").get_repository("__repository__").get_full_job("pipeline")
        run = create_run_for_test(
            instance,
            job_name="pipeline",
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
        )
        instance.launch_run(run.run_id, workspace)
        little.until("slow")
        assert instance.run_launcher.terminate(run.run_id)
        while not (found := instance.get_run_by_id(run.run_id)) or not found.is_finished:
            time.sleep(0.05)
        kinds = [entry.dagster_event_type for entry in instance.all_logs(run.run_id)]
        assert found.status is dg.DagsterRunStatus.CANCELED
        assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds
        assert dg.DagsterEventType.ASSET_MATERIALIZATION not in kinds
        assert processes.PROCESS in found.tags
    assert tables(little.warehouse) == []
