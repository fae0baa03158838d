"""A run whose process was killed is marked as failed by the next one; one that lives is never touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus

from assay.orchestration import history, processes
from tests.little import Little

ENDING = "while not ROOT.joinpath('end').exists(): time.sleep(0.05)"


def statuses(root: Path) -> list[tuple[str, str]]:
    """Every run, oldest first: its status and the last thing said of it."""
    with dg.DagsterInstance.from_config(str(root / ".dagster")) as instance:
        return [(run.status.value, instance.all_logs(run.run_id)[-1].message) for run in instance.get_runs()][::-1]


@pytest.mark.slow
def test_the_next_run_notices_those_that_were_killed_and_leaves_those_that_live(tmp_path: Path) -> None:
    little = Little(tmp_path)
    little.table("aa")
    little.table("slow", land=ENDING)
    living = little.start("run", "slow")
    little.until("began", living)
    (tmp_path / "began").unlink()
    elsewhere = {"PIPELINE_WAREHOUSE": str(tmp_path / "other.duckdb")}
    killed = little.start("run", "slow", environment=elsewhere)
    little.until("began", killed)
    killed.kill()
    killed.communicate()
    assert [status for status, _ in statuses(tmp_path)] == ["STARTED", "STARTED"]
    code, output, errors = little.run("run", "aa", environment=elsewhere)
    assert code == 0, output + errors
    (first, _), (second, told), (third, _) = statuses(tmp_path)
    assert (first, second, third) == ("STARTED", "FAILURE", "SUCCESS")
    assert f"The process of this run, {killed.pid} on " in told
    assert "is gone: it was killed" in told
    (tmp_path / "end").write_text("")
    living.communicate()
    assert living.returncode == 0
    assert statuses(tmp_path)[0][0] == "SUCCESS"


def test_a_process_is_known_by_more_than_its_number() -> None:
    own = processes.identity()
    assert own is not None
    host, boot, namespace, pid, start = own.split(" ")
    assert int(pid) == os.getpid()
    assert not processes.is_dead(own, here=True)
    assert processes.is_dead(f"{host} {boot} {namespace} {pid} {int(start) - 1}", here=False)
    assert processes.is_dead(f"{host} another-boot {namespace} {pid} {start}", here=True)
    # What cannot be told is no death.
    assert not processes.is_dead(f"{host} another-boot {namespace} {pid} {start}", here=False)
    assert not processes.is_dead(f"other another-boot {namespace} {pid} {start}", here=True)
    assert not processes.is_dead(f"{host} {boot} pid:[1] {pid} 1", here=True)
    assert not processes.is_dead("", here=True)


def test_a_process_that_nobody_has_waited_for_is_dead() -> None:
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    recorded = processes.identity(program.pid)
    assert recorded is not None
    assert not processes.is_dead(recorded, here=True)
    program.kill()
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    assert processes.is_dead(recorded, here=True)
    program.communicate()
    assert processes.is_dead(recorded, here=True)


def test_dagsters_monitor_is_told_of_the_dead_and_of_nobody_else(tmp_path: Path) -> None:
    """A run that is executed again inherits the tags of the first, whose process is another one."""
    (tmp_path / "dagster.yaml").write_text((Path(__file__).parents[2] / "dagster.yaml").read_text())
    own = processes.identity()
    assert own is not None
    gone = f"{own.rpartition(' ')[0]} 1"
    with history.instance(tmp_path) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, history.Launcher)

        def health(run_id: str, tags: dict[str, str]) -> WorkerStatus:
            run = dg.DagsterRun(job_name="j", run_id=run_id, status=dg.DagsterRunStatus.STARTED, tags=tags)
            instance.add_run(run)
            return launcher.check_run_worker_health(run).status

        assert health("a", {processes.PROCESS: f"a {gone}"}) is WorkerStatus.FAILED
        assert health("b", {processes.PROCESS: f"a {gone}"}) is WorkerStatus.RUNNING
        assert health("c", processes.process_tag("c")) is WorkerStatus.RUNNING
        assert health("d", {}) is WorkerStatus.RUNNING
        history.bury_the_dead(instance)
        assert {run.run_id: run.status.value for run in instance.get_runs()} == {
            "a": "FAILURE",
            "b": "STARTED",
            "c": "STARTED",
            "d": "STARTED",
        }
