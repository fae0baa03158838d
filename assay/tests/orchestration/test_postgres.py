"""Dagster's history on a real Postgres: the same as in files, several runs at once, and what is wrong in one line."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assay.errors import PipelineError
from assay.orchestration import history
from assay.orchestration import postgres as on_postgres
from assay.orchestration.resources import retire
from tests.little import ROOT, Little
from tests.orchestration.test_history import OTHER, QUIET, ran, told
from tests.postgres import GUARDED, execute
from tests.test_dead_runs import ENDING

ADDRESS = "DAGSTER_POSTGRES_URL"
DOCUMENT = ROOT / "docs" / "scale.md"
PASSWORD = "s3cret-7f3a"
numbers = itertools.count()


def of_dagster(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://")


def configuration() -> str:
    """The dagster.yaml that the document asks for: its blocks in place of the project's."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT.read_text(), flags=re.M | re.S)
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    del settings["event_log_storage"]
    for block in blocks:
        settings |= yaml.safe_load(block)
    assert {"storage", "concurrency"} <= settings.keys()
    return yaml.safe_dump(settings)


@pytest.fixture
def database(postgres: str) -> str:
    """A new database's URL."""
    name = f"dagster_{next(numbers)}"
    execute(postgres, f"CREATE DATABASE {name}")
    return f"{postgres.rpartition('/')[0]}/{name}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Path:
    """The folder of a Dagster instance whose history is there."""
    monkeypatch.setenv(ADDRESS, of_dagster(database))
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(configuration())
    return home


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Little:
    monkeypatch.setenv(ADDRESS, of_dagster(database))
    little = Little(tmp_path, is_new=True)
    (tmp_path / "dagster.yaml").write_text(configuration())
    return little


def statuses(little: Little) -> list[str]:
    """Of every run, oldest first."""
    with history.instance(little.root / ".dagster", bury=False) as instance:
        return [run.status.value for run in instance.get_runs()][::-1]


@pytest.mark.slow
def test_the_same_history_is_written(home: Path, tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as files:
        expected = told(files, ran(files))
    with history.instance(home) as held:
        assert on_postgres.is_history_of(held)
        run_id = ran(held)
        assert told(held, run_id) == expected
    with dg.DagsterInstance.from_config(str(home)) as plain:
        assert told(plain, run_id) == expected


@pytest.mark.slow
def test_old_runs_give_up_their_page_and_the_catalog_stays(home: Path) -> None:
    with history.instance(home) as held:
        first = OTHER.execute_in_process(instance=held, run_config=QUIET).run_id
        runs = [ran(held) for _ in range(4)]
        before = told(held, runs[-1])
        retire(held, 2)
        assert set(held.get_run_ids()) == {first, *runs[-2:]}
        assert told(held, runs[-1]) == before
        materialized = held.fetch_materializations(dg.AssetKey("rows"), limit=9).records
        assert [record.run_id for record in materialized] == runs[::-1]
        assert {entry.dagster_event_type for entry in held.all_logs(runs[0])} <= {
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        }


@pytest.mark.slow
def test_runs_at_once_wait_for_the_warehouse_that_they_share_and_for_no_other(little: Little) -> None:
    """And `pipeline health` answers beside them, from the server."""
    little.table("aa")
    little.table("slow", land=ENDING)
    slow = little.start("run", "slow")
    little.until("began", slow)
    code, output, errors = little.run(
        "run", "aa", environment={"PIPELINE_WAREHOUSE": str(little.root / "other.duckdb")}
    )
    assert code == 0, output + errors
    assert statuses(little) == ["STARTED", "SUCCESS"]
    waiting = little.start("run", "aa")
    assert waiting.stderr is not None
    line = waiting.stderr.readline()
    assert line.startswith("waiting: "), line
    assert str(slow.pid) in line
    assert "1 built" in little.run("health")[1]
    (little.root / "end").write_text("")
    for process in (slow, waiting):
        output, errors = process.communicate()
        assert process.returncode == 0, output + errors
    assert statuses(little) == ["SUCCESS"] * 3
    assert not (little.root / ".dagster" / "history").exists(), "nothing of it is in files"


@pytest.mark.slow
def test_a_server_that_goes_during_a_run_is_one_line_and_what_was_published_stays(
    little: Little, postgres: str
) -> None:
    little.table("slow", land=ENDING)
    run = little.start("run")
    little.until("began", run)
    name = (little.environment[ADDRESS]).rpartition("/")[2]
    execute(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    execute(postgres, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    (little.root / "end").write_text("")
    output, errors = run.communicate()
    assert run.returncode == 2, output + errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "Dagster's history on Postgres: " in line
    assert "Traceback" not in errors
    code, output, errors = little.run("health")
    assert (code, output) == (3, "")
    assert re.fullmatch(rf"error: 127\.0\.0\.1:\d+/{name}: Dagster's history on Postgres: .*\n", errors), errors


@pytest.mark.slow
def test_the_history_of_dry_runs_stays_in_files_and_who_stays_there_loads_nothing_of_postgres(little: Little) -> None:
    """On the server it would tell of tables that were never built; also where its folder was linked before."""
    little.table("aa")
    seen = "import atexit, sys; atexit.register(lambda: print({'dagster_postgres', 'psycopg2'} & {*sys.modules}))\n"
    (little.root / "run.py").write_text(seen + (little.root / "run.py").read_text())
    dry = little.root / ".dagster" / "dry_run"
    dry.mkdir(parents=True)
    (dry / "dagster.yaml").symlink_to(little.root / "dagster.yaml")
    away = "postgresql+psycopg2://ann@127.0.0.1:1/dagster"
    code, output, errors = little.run("run", environment={"PIPELINE_ENV": "dry_run", ADDRESS: away})
    assert code == 0, output + errors
    assert output.endswith("set()\n")
    kept = yaml.safe_load((dry / "dagster.yaml").read_text())
    assert not kept.keys() & {"storage", "event_log_storage"}
    assert kept["run_launcher"]["class"] == "Launcher"
    assert (dry / "history" / "runs.db").exists()
    code, output, errors = little.run("run", environment={ADDRESS: away})
    assert code == 2
    assert re.fullmatch(r"error: 127\.0\.0\.1:1/dagster: Dagster's history on Postgres: .*\n", errors), errors
    assert statuses(little) == [], "no run of either is there"


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "no server": (lambda _: "postgresql+psycopg2://ann@127.0.0.1:1/dagster", "Connection refused. See that the server"),
    "no database": (
        lambda url: of_dagster(url) + "_not",
        r'database "\w+_not" does not exist. Make it there, with `createdb`',
    ),
    "password": (
        lambda url: of_dagster(url).replace("postgres@", f"postgres:{PASSWORD}@").rpartition("/")[0] + f"/{GUARDED}",
        'password authentication failed for user "postgres". Mend user or password',
    ),
    "no password": (lambda url: of_dagster(url).rpartition("/")[0] + f"/{GUARDED}", "no password supplied. Give"),
    "no host": (lambda _: "postgresql+psycopg2://ann@nowhere.invalid/d", "could not translate host name"),
    "a sign in it": (
        lambda _: f"postgresql+psycopg2://ann:p@{PASSWORD}@127.0.0.1/d",
        "signs in its password that end it",
    ),
    "no address": (lambda _: PASSWORD, "the address of Dagster's history on Postgres is none"),
    "no port": (lambda _: f"postgresql+psycopg2://ann@h:{PASSWORD}/d", "the address of .* is none"),
    "driver": (lambda url: url, r"begins postgresql://, .* Let it begin postgresql\+psycopg2://"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_the_address_is_one_line_without_the_password(
    home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    address, said = WRONG[wrong]
    monkeypatch.setenv(ADDRESS, address(postgres))
    with pytest.raises(PipelineError, match=said) as caught:
        history.instance(home)
    line = str(caught.value)
    assert "\n" not in line
    assert PASSWORD not in line + caplog.text
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"postgres_url": {"env": "NOBODY_SET_THIS"}}, r'"NOBODY_SET_THIS" which is not set'),
        ({"postgres_db": {"username": "ann", "hostname": "h", "db_name": "d", "password": 7077}}, "a value of type"),
        ({"postgres_db": {"hostname": "h", "db_name": "d"}}, 'Missing required config entry "username"'),
        ({"postgres_db": {"username": "ann", "hostname": "h", "db_name": "d"}}, "begins postgresql://, .*`scheme: "),
    ],
    ids=["variable", "password", "user", "scheme"],
)
def test_what_is_wrong_with_the_configuration_is_one_line(home: Path, configured: object, said: str) -> None:
    settings = yaml.safe_load((home / "dagster.yaml").read_text()) | {"storage": {"postgres": configured}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(PipelineError, match=said) as caught:
        history.instance(home)
    assert "\n" not in str(caught.value)
    assert "7077" not in str(caught.value)


def test_the_parts_of_an_address_do_as_well(home: Path, database: str) -> None:
    """Also with a password whose signs an address would not hold."""
    port, _, name = database.rpartition(":")[2].partition("/")
    parts = {
        "username": "postgres",
        "password": "p@ss/w%rd",
        "hostname": "127.0.0.1",
        "port": int(port),
        "db_name": name,
    }
    settings = yaml.safe_load((home / "dagster.yaml").read_text())
    settings["storage"] = {"postgres": {"postgres_db": {**parts, "scheme": "postgresql+psycopg2"}}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with history.instance(home) as instance:
        assert on_postgres.is_history_of(instance)


def test_two_stores_are_one_line(home: Path) -> None:
    text = (home / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(f"{text}\nrun_storage: {{module: a, class: B}}\n")
    with pytest.raises(PipelineError, match="`storage` which is incompatible with `run_storage`"):
        history.instance(home)


def test_without_the_extra_it_is_told_how_to_install_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)
    with pytest.raises(PipelineError, match=r"dagster_postgres is not installed\. .*dagster-assay\[postgres\]"):
        history.instance(home)


DEFINITIONS = """
from assay.orchestration.golden_job import golden_definitions

defs = dg.Definitions.merge(defs, golden_definitions(project))
"""
SETTINGS_TOLD = """from little.project import project
    ROOT.joinpath("told").write_text(f"{project.settings().output.name} {project.settings().keep_runs}")"""
LAUNCH = """mutation {launchRun(executionParams: {mode: "default", runConfigData: {}, selector:
 {jobName: "%s", repositoryName: "__repository__", repositoryLocationName: "little.definitions"}})
 {__typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}"""


class Server:
    """`dagster dev` of the little project."""

    def __init__(self, little: Little, **variables: str | None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "dagster", "dev", "-m", "little.definitions", "--port", str(self.port)]
        given = {**little.environment, "DAGSTER_HOME": str(little.root / ".dagster"), **variables}
        given = {name: text for name, text in given.items() if text is not None}
        self.log = little.root / "dev.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=little.root,
                env=given,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, query: str) -> Any:
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["data"]

    def until(self, found: Callable[[], object]) -> None:
        """Wait until `found` finds something."""
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(urllib.error.URLError, ConnectionError):
                if found():
                    return
            time.sleep(0.3)

    def launch(self, job: str) -> str:
        launched = self.ask(LAUNCH % job)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id: str = launched["run"]["runId"]
        return run_id

    def status(self, run_id: str) -> str:
        status: str = self.ask(f'{{runOrError(runId: "{run_id}") {{... on Run {{status}}}}}}')["runOrError"]["status"]
        return status

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(30)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.mark.slow
def test_runs_of_the_ui_wait_in_the_queue_for_the_warehouse_and_golden_does_not(little: Little) -> None:
    """The real web server and daemon: nothing less has a queue."""
    little.table("slow", land=ENDING, body=SETTINGS_TOLD)
    (little.root / "golden").mkdir()
    definitions = little.root / "little" / "definitions.py"
    definitions.write_text(definitions.read_text() + DEFINITIONS)
    (little.root / ".dagster").mkdir()
    (little.root / ".dagster" / "dagster.yaml").symlink_to(little.root / "dagster.yaml")
    with history.instance(little.root / ".dagster"):
        pass  # as `make dev` does
    # What a shell says counts before `.env` there as everywhere, in the processes that Dagster starts as well.
    (little.root / ".env").write_text("PIPELINE_OUTPUT=file\nPIPELINE_KEEP_RUNS=7\n")
    server = Server(little, PIPELINE_OUTPUT="shell", PIPELINE_ENV_FILE=None)
    try:
        loaded = "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"
        server.until(lambda: server.ask(loaded)["repositoriesOrError"].get("nodes"))
        first = server.launch("pipeline")
        server.until(lambda: (little.root / "began").exists())
        second, golden = server.launch("pipeline"), server.launch("golden")
        server.until(lambda: server.status(golden) == "SUCCESS")
        assert [server.status(run) for run in (first, second)] == ["STARTED", "QUEUED"]
        (little.root / "end").write_text("")
        server.until(lambda: server.status(second) == "SUCCESS")
        assert server.status(first) == "SUCCESS"
        built = '{assetOrError(assetKey: {path: ["slow"]}) {... on Asset {assetMaterializations {runId}}}}'
        found = server.ask(built)["assetOrError"]["assetMaterializations"]
        assert [each["runId"] for each in found] == [second, first]
        assert (little.root / "told").read_text() == "shell 7"
    finally:
        server.end()
