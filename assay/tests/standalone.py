"""A standalone cluster of Spark on loopback, a master and two workers, with Iceberg for its sessions."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

WORKERS = 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Standalone:
    """A master with its workers, each a process of its own."""

    def __init__(self, folder: Path, workers: int = WORKERS) -> None:
        self.folder, self.processes, self._started = folder, list[subprocess.Popen[bytes]](), 0
        port = free_port()
        self.address = f"spark://127.0.0.1:{port}"
        self._start("Master", "--port", str(port), "--webui-port", "0")  # two free ports might be one
        for _ in range(workers):
            self.start_worker()
        self._wait(workers)

    def start_worker(self) -> None:
        """Start one more, which registers in its time."""
        room = ("--cores", "2", "--memory", "3g", "--webui-port", "0")
        self._start("Worker", *room, "--work-dir", str(self.folder / f"work{self._started}"), self.address)

    def kill_worker(self, number: int) -> None:
        """End the worker with that process number, and what computes for it, without a word."""
        (worker,) = (each for each in self.processes if each.pid == number)
        os.killpg(number, signal.SIGKILL)
        worker.wait()
        self.processes.remove(worker)

    def _start(self, kind: str, *arguments: str) -> None:
        home = str(Path(find_spec("pyspark").origin).parent)
        environment = {
            **os.environ,
            "SPARK_HOME": home,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
            "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        }
        command = [f"{home}/bin/spark-class", f"org.apache.spark.deploy.{kind.lower()}.{kind}", "--host", "127.0.0.1"]
        self._started += 1
        with (self.folder / f"{kind}{self._started}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [*command, *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
                )
            )

    def _wait(self, workers: int) -> None:
        until = time.monotonic() + 120
        while self.alive() < workers:
            if time.monotonic() > until or any(process.poll() is not None for process in self.processes):
                self.stop()
                logs = "\n".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))
                raise AssertionError(f"the cluster did not start:\n{logs}")
            time.sleep(0.1)

    def state(self) -> dict[str, list[dict[str, object]]]:
        """What the master tells of workers and applications."""
        pages = re.search(r"MasterWebUI.* started at http://\S+:(\d+)", (self.folder / "Master1.log").read_text())
        with suppress(OSError, ValueError):
            if pages is not None:
                with urllib.request.urlopen(f"http://127.0.0.1:{pages[1]}/json/", timeout=5) as page:
                    return json.load(page)
        return {"workers": [], "activeapps": []}

    def alive(self) -> int:
        return sum(worker["state"] == "ALIVE" for worker in self.state()["workers"])

    def stop(self) -> None:
        """End all of it: workers end their executors."""
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()


def missing() -> str | None:
    """Why there is no Spark on this machine; None where there is."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return "there is no Java"
    return "pyspark is not installed: make spark" if find_spec("pyspark") is None else None


def iceberg() -> str:
    """Iceberg's runtime for Spark 3.5, as a wheel has it."""
    found = find_spec("snowpark_connect_deps_iceberg")
    assert found is not None
    assert found.submodule_search_locations
    (jar,) = Path(found.submodule_search_locations[0], "jars").glob("iceberg-spark-runtime-3.5_2.12-*.jar")
    return str(jar)


POSTGRES = "/usr/share/java/postgresql.jar"
"""Debian's driver of a catalog in Postgres: libpostgresql-jdbc-java."""


@contextmanager
def started(folder_of: Callable[[str], Path], *, alone: bool) -> Iterator[Standalone]:
    """The cluster; skips without Java or pyspark, but not in CI where only these tests run."""
    if (why := missing()) is not None:
        if os.environ.get("CI") and alone:
            pytest.fail(f"in CI `make spark` skips nothing: {why}")
        pytest.skip(why)
    from assay.spark.session import LITTLE

    folder = folder_of("spark")
    defaults = {f"spark.{side}.extraClassPath": f"{iceberg()}:{POSTGRES}" for side in ("driver", "executor")} | LITTLE
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in defaults.items()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))  # for this process, and for those that tests start
        found = Standalone(folder)
        try:
            yield found
        finally:
            found.stop()
