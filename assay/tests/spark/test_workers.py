"""What computes for a driver is killed while it does: the build goes on with what is left of the cluster."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from assay.spark.lake import Lake
from assay.spark.session import Cluster
from tests.spark.driver import built
from tests.spark.test_drivers import after, seen, warehouse
from tests.standalone import Standalone


def until(what: Callable[[], Any]) -> Any:
    """Wait for it; a machine that is busy may take its time."""
    ends = time.monotonic() + 240
    while not (found := what()):
        assert time.monotonic() < ends, what
        time.sleep(0.02)
    return found


def executors(spark: Cluster) -> dict[str, int]:
    """The processes that compute for this driver, by the numbers that it knows them by."""
    found, app = {}, f"--app-id\0{spark.spark.sparkContext.applicationId}\0"
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_text()
        except OSError:
            continue
        if app in command and (number := re.search(r"--executor-id\0(\d+)\0", command)):
            found[number[1]] = int(file.parent.name)
    return found


def busy(spark: Cluster) -> str | None:
    """The number of one that has a task."""
    told = str(spark.spark.sparkContext._jsc.sc().taskScheduler().runningTasksByExecutors())
    found = re.search(r"(\d+) -> [1-9]", told)
    return found and found[1]


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


class Killing:
    """At a call of one of the lake's methods executors stand still until one has the task, and that one is killed.

    Args:
        call: the how manieth.
        dies: the `executor`, or its `worker` with it.
    """

    def __init__(self, spark: Cluster, cluster: Standalone, method: str, call: int, dies: str) -> None:
        self.spark, self.cluster, self.call, self.dies = spark, cluster, call, dies
        self.real = getattr(Lake, method)
        self.calls = 0
        self.killed: str | None = None

    def method(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls != self.call:
            return self.real(*arguments, **options)
        processes = executors(self.spark)
        killer = threading.Thread(target=self._kill, args=(processes,))
        for process in processes.values():
            os.kill(process, signal.SIGSTOP)
        killer.start()
        found = self.real(*arguments, **options)
        killer.join()
        return found

    def _kill(self, processes: dict[str, int]) -> None:
        try:
            one: str = until(lambda: busy(self.spark))
            if self.dies == "worker":
                self.cluster.kill_worker(parent(processes[one]))
            else:
                os.kill(processes[one], signal.SIGKILL)
            self.killed = one
        finally:
            for process in processes.values():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)


@pytest.mark.slow
def test_a_build_goes_on_when_what_computes_it_is_killed(
    spark: Cluster, cluster: Standalone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it stages rows, counts them, and commits them by days: nobody sees that it was done twice."""
    assert built(warehouse(spark, tmp_path), 1, ["d"]) == []
    moments = [("replace", 1, "executor"), ("replace", 2, "worker"), ("all", 1, "executor")]
    moments += [("overwrite", 1, "worker"), ("overwrite", 1, "executor")]
    for number, (method, call, dies) in enumerate(moments, start=2):
        until(lambda: cluster.alive() == 2 and spark.executors == len(executors(spark)) == 2)
        killing, before = Killing(spark, cluster, method, call, dies), seen(tmp_path / "lake", "d")
        with monkeypatch.context() as patch:
            patch.setattr(Lake, method, lambda *arguments, k=killing, **options: k.method(*arguments, **options))
            assert built(warehouse(spark, tmp_path), number, ["d"]) == []
        assert killing.killed is not None, (method, call)
        assert seen(tmp_path / "lake", "d") == after(before[0], number, "d")
        with warehouse(spark, tmp_path).session() as session:
            assert session.lake.tables("warehouse") == ["d"]
        if dies == "worker":
            cluster.start_worker()
    until(lambda: cluster.alive() == 2 and spark.executors == 2)  # for whoever is next
