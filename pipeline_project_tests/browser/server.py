"""`make dev` as a person starts it, on a free port of loopback, with a warehouse and a history of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_project_tests.repository import ROOT

RUNS = "{runsOrError(limit:20){... on Runs{results{runId status pipelineName}}}}"

BUILT = "{assetNodes {assetKey {path} assetMaterializations(limit: 1) {runId}}}"
BACKFILLS = "{partitionBackfillsOrError{... on PartitionBackfills{results{status error{message}}}}}"


@dataclass
class DevServer:
    """Dagster's UI at `address`; `home` holds its history, warehouse, output and source files.

    `environment` has the variables by which `pipeline run` uses the same ones.
    """

    address: str
    home: Path
    environment: dict[str, str]

    def ask(self, query: str) -> Any:
        """The data that Dagster's GraphQL answers."""
        request = urllib.request.Request(
            f"{self.address}/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["data"]

    def runs(self) -> list[dict[str, str]]:
        """Runs, newest first."""
        found: list[dict[str, str]] = self.ask(RUNS)["runsOrError"]["results"]
        return found

    def built(self) -> dict[str, str]:
        """Every asset that was materialized, with the last run that did it."""
        nodes = self.ask(BUILT)["assetNodes"]
        return {
            node["assetKey"]["path"][-1]: node["assetMaterializations"][0]["runId"]
            for node in nodes
            if node["assetMaterializations"]
        }

    def launched(self, job: str, known: set[str], seconds: float = 60) -> str:
        """The id of the run of `job` that is not among `known`, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for run in self.runs():
                if run["runId"] not in known and run["pipelineName"] == job:
                    return run["runId"]
            time.sleep(0.5)
        raise AssertionError(f"no run of {job} was launched within {seconds:g} s: {self.runs()}")

    def wait_for_run(self, run_id: str, seconds: float = 300) -> dict[str, str]:
        """The run, once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run = next(run for run in self.runs() if run["runId"] == run_id)
            if run["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
                return run
            time.sleep(1)
        raise AssertionError(f"the run did not end within {seconds:g} s: {self.runs()}")

    def wait_for_backfill(self, *statuses: str, seconds: float = 420) -> None:
        """Wait until the newest backfill has one of `statuses`."""
        deadline = time.monotonic() + seconds
        found = []
        while time.monotonic() < deadline:
            found = self.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
            if found and found[0]["status"] in statuses:
                return
            assert not (found and found[0]["error"]), found[0]["error"]
            time.sleep(1)
        raise AssertionError(f"no backfill {' or '.join(statuses)} within {seconds:g} s: {found}")


@contextmanager
def running(home: Path, files: Path) -> Iterator[DevServer]:
    """Start `make dev`, wait until its code location is loaded, and end all of its processes afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {
        "DAGSTER_HOME": str(home / "dagster"),
        "PIPELINE_WAREHOUSE": str(home / "warehouse.duckdb"),
        "PIPELINE_OUTPUT": str(home / "output"),
        "PIPELINE_SOURCE_RETAIL_FILES": str(files),
    }
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "MAKE"))},
        "PYTHONPATH": str(Path(__file__).parent / "daemon"),
        **own,
    }
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    with (home / "make_dev.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "dev", f"PORT={port}", f"PYTHON={sys.executable}"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        server = DevServer(f"http://127.0.0.1:{port}", home, own)
        try:
            _wait_until_loaded(server, process)
            yield server
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """End the whole group as Ctrl-C does, and what is left of it by force: make ends before the servers it started."""
    os.killpg(process.pid, signal.SIGINT)
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody is left
    process.wait()


def _wait_until_loaded(server: DevServer, process: subprocess.Popen[bytes], seconds: float = 180) -> None:
    query = "{workspaceOrError{... on Workspace{locationEntries{loadStatus locationOrLoadError{__typename ... on PythonError{message}}}}}}"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            entries = server.ask(query)["workspaceOrError"]["locationEntries"]
        except (urllib.error.URLError, ConnectionError, KeyError):
            time.sleep(0.5)
            continue
        if entries and all(entry["loadStatus"] == "LOADED" for entry in entries):
            for entry in entries:
                assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry
            return
        time.sleep(0.5)
    raise AssertionError((server.home / "make_dev.log").read_text(errors="replace")[-3000:])
