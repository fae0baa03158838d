"""The whole, on a real Dagster instance and with real processes: what happened is found, told once, and resolved."""

from __future__ import annotations

import datetime as dtm
import importlib
import json
import os
import re
import sqlite3
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.storage.dagster_run import DagsterRunStatus

from assay.health.alerts import Memory, Silence
from assay.health.draw import outline
from assay.health.verdict import Verdict
from assay.orchestration import alerting, history
from assay.orchestration.jobs import health_sensors
from assay.orchestration.origin import repository
from assay.orchestration.records import of_instance
from assay.orchestration.state import look, recall
from tests.health.channel import Channel
from tests.little import Little

CANARY = "canary-7f3a@example.org"
DASHBOARD = '''"""All that a page can know of the tables' past."""

from assay import Run, export
from little.extract.numbers import Numbers
from pandera.typing.ibis import Table


@export("dashboard.txt")
def dashboard(numbers: Table[Numbers], run: Run) -> str:
    """The last builds and days, and what was told of this run."""
    assert run.past.builds
    return repr((run.past, run.publications))
'''


@pytest.mark.slow
def test_a_malformed_source_is_told_once_without_a_value_and_resolved_when_mended(
    little: Little, channel: Channel
) -> None:
    """And a canary in a personal column, or in the channel's address, is nowhere: no message, page, setting, answer or book."""
    told = {"PIPELINE_ALERTS": channel.address, "PIPELINE_LAKE_CATALOG": "jdbc:db://ann:canary-secret@host/books"}
    (little.root / "little" / "extract" / "dashboard.py").write_text(DASHBOARD)
    assert little.run("run")[0] == 0
    code, out, _ = little.run("health", "--notify", environment=told)
    assert (code, channel.got) == (0, [])
    assert out.startswith("LEARNING"), "never a pass"
    with duckdb.connect(str(little.warehouse), read_only=True) as connection:
        before = connection.execute("FROM extract.numbers").fetchall()
    rejecting = "return source.mutate(n=source.n.nullif(1), who=__import__('ibis').literal('" + CANARY + "'))"
    little.table("numbers", body=rejecting)
    assert little.run("run")[0] == 1
    code, out, errors = little.run("health", "--notify", environment=told)
    assert code == 2
    assert "extract.numbers.rows_valid is red" in out
    assert "pipeline quarantine list --table numbers" in out
    assert "told all: little: FAIL extract.numbers.rows_valid is red" in errors
    assert max(map(len, out.splitlines())) <= 80
    assert little.run("health", "--notify", environment=told)[0] == 2
    assert len(channel.got) == 1
    with duckdb.connect(str(little.warehouse), read_only=True) as connection:
        assert connection.execute("FROM extract.numbers").fetchall() == before, "the old rows stay"
    shown = little.run("settings", environment=told)[1]
    as_json = little.run("health", "--json", environment=told)[1]
    assert json.loads(as_json)["findings"][0]["key"] == "check:numbers.rows_valid"
    with _serving(little, told) as address:
        with pytest.raises(urllib.error.HTTPError, match="503") as answer:
            urllib.request.urlopen(address, timeout=60)
        answered = answer.value.read().decode()
    assert json.loads(answered)["status"] == "fail"
    little.table("numbers", body="return source.mutate(who=__import__('ibis').literal('" + CANARY + "'))")
    assert little.run("run")[0] == 0
    code, out, _ = little.run("health", "--notify", environment=told)
    assert code == 0
    assert channel.got[-1]["title"] == "little: RESOLVED extract.numbers.rows_valid is red"
    assert len(channel.got) == 2
    with duckdb.connect(str(little.warehouse), read_only=True) as connection:
        metrics = str(connection.execute("FROM ops.metrics").fetchall())
        assert (CANARY,) in connection.execute("SELECT who FROM extract.numbers").fetchall(), "where it belongs it is"
    page = (little.root / "data" / "dashboard.txt").read_text()
    assert "rows" in page
    everything = [json.dumps(channel.got), shown, as_json, answered, page, out, errors, metrics]
    everything += [*_storage(little.root / ".dagster"), (little.root / ".dagster" / "outline.json").read_text()]
    for canary in (CANARY, "canary-secret"):
        assert not [text[:200] for text in everything if canary in text]


@contextmanager
def _serving(little: Little, environment: dict[str, str]) -> Iterator[str]:
    """The address of `/health`."""
    serving = little.start("health", "--serve", "0", environment=environment)
    assert serving.stdout is not None
    line = serving.stdout.readline()
    address = re.search(r"http://127.0.0.1:\d+/health", line)
    assert address is not None, line
    try:
        yield address[0]
    finally:
        serving.terminate()
        serving.communicate(timeout=60)


TRAINING = "import random\n\ndef weight():\n    return random.Random({seed}).getrandbits(40)\n"
REPEATS = '''"""The model can be had again."""

import ibis.expr.types as ir
from assay import invariant
from little.extract.model import Numbers
from little.training import weight
from pandera.typing.ibis import Table


@invariant()
def the_same_rows_train_the_same_model(model: Table[Numbers]) -> ir.Table:
    """Trained again, it is the same."""
    return model.filter(model.n != weight())
'''


@pytest.mark.slow
def test_a_model_without_a_seed_is_red_and_told_and_resolved_when_seeded(little: Little, channel: Channel) -> None:
    told = {"PIPELINE_ALERTS": channel.address}
    package = little.root / "little"
    (package / "checks").mkdir()
    (package / "checks" / "__init__.py").write_text("")
    project = package / "project.py"
    project.write_text(project.read_text().replace('("extract",)', '("extract", "checks")'))
    (package / "checks" / "repeats.py").write_text(REPEATS)
    little.table(
        "model", body="from little.training import weight; return source.mutate(n=ibis.literal(weight(), 'int64'))"
    )
    outcomes = []
    for seed in ("7", "", "7"):
        (package / "training.py").write_text(TRAINING.replace("{seed}", seed))
        done = little.many(["run", "model"], *[["health", "--notify"]] * 2, environment=told)
        outcomes.append([code for code, _, _ in done])
    assert outcomes == [[0, 0, 0], [1, 2, 2], [0, 0, 0]]
    red = "extract.model.the_same_rows_train_the_same_model is red"
    assert [each["title"] for each in channel.got] == [f"little: FAIL {red}", f"little: RESOLVED {red}"]


def _storage(home: Path) -> Iterator[str]:
    files = [file for file in home.rglob("*.db") if file.is_file()]
    assert files
    for file in files:
        with sqlite3.connect(file) as connection:
            yield "\n".join(connection.iterdump())


@pytest.mark.slow
def test_a_killed_run_is_named_and_its_death_is_not_hidden_by_looking(little: Little) -> None:
    file = little.table("sleeper", land="import time; ROOT.joinpath('sleeps').write_text(''); time.sleep(600)")
    process = little.start("run")
    little.until("sleeps", process)
    process.kill()
    process.wait()
    file.unlink()
    code, out, _ = little.run("health")
    assert code == 2
    assert re.search(r"FAIL  run \w{8} of pipeline is dead", out)
    assert f"The process of this run, {process.pid} on" in " ".join(out.split())
    assert little.run("health")[0] == 2, "looking changes nothing"
    assert little.run("run")[0] == 0
    assert little.run("health")[0] == 0, "a run that got through since says that it is over"


@pytest.mark.slow
def test_health_answers_while_a_run_holds_the_warehouse(little: Little) -> None:
    """And `/health` with it: 200 while it is well."""
    assert little.run("run")[0] == 0
    held = duckdb.connect(str(little.warehouse))
    held.execute("BEGIN; CREATE TABLE t (x INT)")
    try:
        code, out, _ = little.run("health", environment={"PIPELINE_LOCK_TIMEOUT": "600"})
        assert (code, out.split()[0]) == (0, "LEARNING")
        with _serving(little, {}) as address:
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert answer.status == 200
                assert json.load(answer)["status"] == "learning"
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address.removesuffix("health"), timeout=30)
    finally:
        held.close()


@pytest.fixture
def project(little: Little) -> Iterator[object]:
    sys.path.insert(0, str(little.root))
    for name in [name for name in sys.modules if name.split(".")[0] == "little"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    yield importlib.import_module("little.project").project
    sys.path.remove(str(little.root))
    for name in [name for name in sys.modules if name.split(".")[0] == "little"]:
        del sys.modules[name]


def test_a_run_in_the_queue_and_a_failed_one_are_read_from_the_instance(little: Little, project: Any) -> None:
    now = dtm.datetime.now(dtm.UTC)
    with history.instance(_home(little)) as instance:
        instance.run_storage.add_run(_queued(project))
        assert _look(instance, project, now).status == "learning"
        later = _look(instance, project, now + dtm.timedelta(minutes=6))
        assert [each.key for each in later.findings] == ["queued:" + "q" * 36]
        assert later.exit_code() == 2


def _look(instance: dg.DagsterInstance, project: Any, now: dtm.datetime) -> Verdict:
    return look(of_instance(instance), outline(project.graph, project.fresh), project, now)


def _queued(project: Any) -> dg.DagsterRun:
    place = repository(project).get_job_origin("pipeline")
    return dg.DagsterRun(
        "pipeline",
        run_id="q" * 36,
        status=DagsterRunStatus.QUEUED,
        remote_job_origin=place,
        job_code_origin=None,
    )


def _home(little: Little) -> Path:
    home = little.root / ".dagster"
    home.mkdir(exist_ok=True)
    return home


def test_the_state_is_under_one_key_of_dagsters_storage(little: Little) -> None:
    """Of an old and a new key in one call Dagster 1.13 loses the new one: a new minor must be looked at."""
    assert dg.__version__.startswith("1.13."), "see whether set_cursor_values keeps an old and a new key by now"
    with history.instance(_home(little)) as instance:
        storage = instance.daemon_cursor_storage
        storage.set_cursor_values({"old": "1"})
        storage.set_cursor_values({"old": "2", "new": "2"})
        found = storage.get_cursor_values({"old", "new"})
        assert found != {"old": "2", "new": "2"}, "mended in Dagster: KEY may be several keys now"
        project: Any = SimpleNamespace(package="little")
        alerting.remember(
            instance, project, lambda known: Memory(known.told, known.silences, {"events": dtm.datetime.now(dtm.UTC)})
        )
        assert "events" in recall(of_instance(instance), project).unread


def test_a_silence_given_while_a_sweep_writes_is_not_lost(little: Little) -> None:
    project: Any = SimpleNamespace(package="meanwhile")
    until = dtm.datetime.now(dtm.UTC) + dtm.timedelta(hours=1)

    def silence(pattern: str) -> None:
        given = Silence(pattern, until, "ann", "planned")
        alerting.remember(instance, project, lambda known: Memory(known.told, (*known.silences, given), known.unread))

    def swept(known: Memory) -> Memory:
        other.start()
        other.join(0.5)  # by then it would have written, if nothing kept it from that
        return Memory(known.told, known.silences, {"events": until})

    with history.instance(_home(little)) as instance:
        other = threading.Thread(target=silence, args=["raw_*"])
        alerting.remember(instance, project, swept)
        other.join()
        found = recall(of_instance(instance), project)
    assert ([each.pattern for each in found.silences], list(found.unread)) == (["raw_*"], ["events"])


@pytest.mark.slow
def test_silences_are_given_listed_and_ended_on_the_command_line(little: Little) -> None:
    code, _, errors = little.run("health", "silence", "extract.*")
    assert (code, errors.count("\n")) == (2, 1)
    assert "a silence has an end and a reason" in errors
    assert little.run("health", "silence", "extract.*", "--for", "soon", "--why", "x")[0] == 2
    code, out, _ = little.run("health", "silence", "extract.*", "--for", "2h", "--why", "the source is down")
    assert code == 0
    assert "the source is down" in out
    assert "1 silenced" in little.run("health", "unsilence")[1]
    assert little.run("health", "unsilence", "load.*")[0] == 2
    assert little.run("health", "unsilence", "extract.*")[0] == 0
    assert "0 silenced" in little.run("health", "unsilence")[1]


@pytest.mark.slow
def test_bad_settings_are_one_line_and_cannot_tell(little: Little) -> None:
    for alerts, said in (
        ("nonsense://secret", "is no channel"),
        ("team:x=json://secret json://h", "who owns nothing here"),
    ):
        code, _, errors = little.run("health", "--notify", environment={"PIPELINE_ALERTS": alerts})
        assert (code, errors.count("\n")) == (3, 1)
        assert said in errors
        assert "secret" not in errors
    code, _, errors = little.run("health", "--notify")
    assert code == 0
    assert errors == "PIPELINE_ALERTS is not set: nobody is told\n"
    for text, said in (("a: [b\n", "dagster.yaml:2: is no YAML"), ("- a\n", "dagster.yaml: holds no mapping")):
        (little.root / "dagster.yaml").write_text(text)
        code, _, errors = little.run("health")
        assert (code, errors.count("\n"), said in errors) == (3, 1, True), errors


def test_the_heartbeat_is_asked_after_each_sweep(little: Little) -> None:
    beats: list[str] = []

    class Beat(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            beats.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Beat)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/secret-beat"
    assert little.run("health", "--notify", environment={"PIPELINE_HEARTBEAT": address})[0] == 0
    assert beats == ["/secret-beat"]
    server.shutdown()
    server.server_close()
    code, _, errors = little.run("health", "--notify", environment={"PIPELINE_HEARTBEAT": address})
    assert code == 0
    assert "PIPELINE_HEARTBEAT did not answer" in errors
    assert "secret-beat" not in errors


def test_the_sensor_tells_where_alerts_are_set_and_is_off_where_not(
    little: Little, project: Any, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIPELINE_ALERTS", raising=False)
    (off,) = health_sensors(project)
    assert off.default_status is dg.DefaultSensorStatus.STOPPED
    monkeypatch.setenv("PIPELINE_ALERTS", channel.address)
    (sensor,) = health_sensors(project)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with history.instance(_home(little)) as instance:
        instance.run_storage.add_run(_queued(project))
        said = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(said, dg.SkipReason)
        assert said.skip_message == "learning: 0 messages sent"
    assert os.environ["PIPELINE_ALERTS"] not in said.skip_message
