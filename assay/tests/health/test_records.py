"""The history as it is read without Dagster is the history as Dagster tells it."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import socket
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
)
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._daemon.types import DaemonHeartbeat

from assay.errors import PipelineError
from assay.health.findings import findings
from assay.health.outline import Check, Outline, Watched
from assay.health.state import State
from assay.orchestration import alerting, history, state
from assay.orchestration.origin import repository
from assay.orchestration.processes import PROCESS
from assay.orchestration.records import Records, of_files, of_instance
from assay.orchestration.state import read_state, recall
from assay.tables.fresh import Fresh
from assay.tables.partitions import daily
from tests.postgres import execute
from tests.shop.project import shop_project

NOW = dtm.datetime.now(dtm.UTC)
SHOP: Any = SimpleNamespace(package="tests.shop")
OTHER: Any = SimpleNamespace(package="tests.shopping", root=Path("elsewhere"))
"""A project with the same history; no table of these reads an event log, so nobody asks for more."""
DAYS = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-05")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CHECKS = {name: Check(None, None) for name in ("sound", "usual", "late_one")}
FRESH = Fresh.within(dtm.timedelta(days=1))
OUTLINE = Outline(
    {
        "rows": Watched("rows", "extract", None, (), CHECKS),
        "days": Watched("days", "load", None, ("rows",), {}, FRESH, partitions=daily("day", start="2026-03-01")),
        "wiped": Watched("wiped", "load", None, (), {}, FRESH, partitions=daily("day", start="2026-03-01")),
        "broken": Watched("broken", "load", None, (), {}),
        "never": Watched("never", "load", None, (), {"sound": Check(None, None)}),
    }
)


@dg.asset(check_specs=[dg.AssetCheckSpec(name, asset="rows") for name in ("sound", "usual")])
def rows() -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows it bare
    warned = dg.AssetCheckResult(
        passed=True, check_name="usual", severity=dg.AssetCheckSeverity.WARN, metadata={"learning": True}
    )
    failed = dg.AssetCheckResult(passed=False, check_name="sound", description="3 of 10 rows: 'é' \"quoted\"")
    return dg.MaterializeResult(
        metadata={"newest": "sold_on 2026-03-04", "offsets": dg.MetadataValue.json({"0": [3, "at"]}), "n": 1},
        check_results=[failed, warned],
    )


@dg.asset(partitions_def=DAYS)
def days() -> None:
    """Some of its days are built."""


@dg.asset(partitions_def=DAYS)
def wiped() -> None:
    """Built, wiped, and of one day built again."""


@dg.asset
def broken() -> None:
    raise dg.Failure("broken: the file is no gzip")


def _job(name: str, *assets: Any) -> dg.JobDefinition:
    definitions = dg.Definitions(assets=assets, jobs=[dg.define_asset_job(name)])
    return definitions.resolve_job_def(name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    happen(home)
    # The latest of the evaluations is being made.
    with sqlite3.connect(home / "history/runs/index.db") as connection:
        connection.execute(PLANNED)
    return home


PLANNED = """INSERT INTO asset_check_executions (asset_key, check_name, run_id, execution_status)
             VALUES ('["rows"]', 'sound', 'r', 'PLANNED'), ('["rows"]', 'late_one', 'r', 'PLANNED')"""


def happen(home: Path) -> None:
    """Runs that end well and not, that wait and are dead, days, an asset that is wiped, a schedule and a daemon."""
    with history.instance(home) as instance:
        (days_job, wiped_job) = (_job("of_days", days), _job("of_wiped", wiped))
        assert (
            not _job("all", rows, broken)
            .execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
            .success
        )
        for key in ("2026-03-02", "2026-03-04", "2026-03-02"):
            days_job.execute_in_process(instance=instance, partition_key=key, run_config=QUIET)
            wiped_job.execute_in_process(instance=instance, partition_key=key, run_config=QUIET)
        instance.wipe_assets([dg.AssetKey("wiped")])
        assert "wiped" not in _read(of_instance(instance)).built
        wiped_job.execute_in_process(instance=instance, partition_key="2026-03-03", run_config=QUIET)
        origin = repository(shop_project(home / "shop"))
        place = origin.get_job_origin("pipeline")
        for name, status in (("queued", DagsterRunStatus.QUEUED), ("gone", DagsterRunStatus.STARTED)):
            tags = {PROCESS: f"{name} {socket.gethostname()} boot pid:[1] 1 1"}
            run = dg.DagsterRun("pipeline", run_id=name, status=status, tags=tags, remote_job_origin=place)
            instance.run_storage.add_run(run)
        others = repository(OTHER)
        late = dg.DagsterRun("pipeline", run_id="others", remote_job_origin=others.get_job_origin("pipeline"))
        instance.run_storage.add_run(late)
        off = InstigatorStatus.STOPPED
        theirs = others.get_instigator_origin("others")
        instance.add_instigator_state(
            InstigatorState(theirs, InstigatorType.SCHEDULE, off, ScheduleInstigatorData("0 6 * * *"))
        )
        for name, kind, data in (
            ("daily", InstigatorType.SCHEDULE, ScheduleInstigatorData("0 6 * * *")),
            ("health", InstigatorType.SENSOR, SensorInstigatorData()),
        ):
            on = InstigatorStatus.STOPPED if name == "health" else InstigatorStatus.RUNNING
            state = InstigatorState(origin.get_instigator_origin(name), kind, on, data)  # type: ignore[arg-type]
            instance.add_instigator_state(state)
        for name in ("SCHEDULER", "SENSOR", "BACKFILL"):
            instance.add_daemon_heartbeat(DaemonHeartbeat(NOW.timestamp() - len(name), name, "d", []))


def _read(records: Records, project: Any = SHOP) -> State:
    return read_state(records, OUTLINE, project, NOW, {})


def test_of_another_projects_runs_and_schedules_with_the_same_history_there_is_nothing(home: Path) -> None:
    with of_files(home) as records:
        theirs, ours = _read(records, OTHER), _read(records)
    assert (theirs.runs[0].id, theirs.schedules) == ("others", {"schedule others": False})
    common = {each.id for each in theirs.runs} & {each.id for each in ours.runs}
    with history.instance(home, bury=False) as instance:
        assert not [each for each in common if instance.get_run_by_id(each).remote_job_origin], "those that say nothing"  # type: ignore[union-attr]


def test_the_history_read_as_rows_is_the_one_dagster_tells(home: Path) -> None:
    with of_files(home) as records:
        same(home, _read(records))
    with history.instance(home, bury=False) as instance:
        same(home, _read(of_instance(instance)))


def test_what_its_last_run_was_to_build_and_did_not_is_known(home: Path) -> None:
    project: Any = SimpleNamespace(package="tests.shop", graph=SimpleNamespace(nodes=OUTLINE.nodes))
    with of_files(home) as records:
        assert set(state.unbuilt(records, project)) == {"broken"}
        project.graph.nodes = {"rows": None}
        assert state.unbuilt(records, project) == {}, "what the code has no more"


def test_a_tables_last_failure_is_found_however_many_runs_of_others_came_since(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred are looked at, which a sensor makes in a few hours; of the failed ones twenty."""
    monkeypatch.setattr(state, "NEWEST_RUNS", 2)
    monkeypatch.setattr(state, "FAILURES", 0)
    with of_files(home) as records:
        read = _read(records)
    assert [each.status for each in read.runs] == ["running", "queued", "done", "done", "failed"], (
        "each table's last one"
    )
    assert read.runs[-1].failures == {"broken": "broken: the file is no gzip"}
    (found,) = [each for each in findings(OUTLINE, read) if each.key.startswith(("failed:", "run:"))]
    assert found.key == "failed:broken"


@pytest.mark.slow
def test_the_history_on_postgres_is_read_as_the_one_in_files(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acceptance 12; there no run is this machine's for sure."""
    execute(postgres, "CREATE DATABASE health")
    database = f"{postgres.rpartition('/')[0]}/health"
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", database.replace("postgresql://", "postgresql+psycopg2://"))
    (tmp_path / "dagster.yaml").write_text("storage: {postgres: {postgres_url: {env: DAGSTER_POSTGRES_URL}}}")
    happen(tmp_path)
    execute(database, PLANNED)
    with history.instance(tmp_path, bury=False) as instance:
        records = of_instance(instance)
        same(tmp_path, _read(records))
        assert _read(records).runs[0].dead is None
        alerting.remember(instance, SHOP, lambda known: dataclasses.replace(known, unread={"events": NOW}))
        assert recall(records, SHOP).unread == {"events": NOW}
        assert recall(records, OTHER).unread == {}


def same(home: Path, read: State) -> None:
    """Whether `read` is what Dagster says of the history in `home`."""
    with history.instance(home, bury=False) as instance:
        for name in ("rows", "days", "wiped"):
            key = dg.AssetKey(name)
            (record,) = instance.get_asset_records([key])
            entry = record.asset_entry
            assert entry.last_materialization is not None
            assert read.built[name].at.timestamp() == pytest.approx(entry.last_materialization.timestamp, abs=1e-5)
            assert read.built[name].partitions == instance.get_materialized_partitions(key)
        assert set(read.built) == {"rows", "days", "wiped"}
        assert read.built["wiped"].partitions == {"2026-03-03"}, "what was wiped is gone"
        assert read.built["rows"].newest == {"sold_on": "2026-03-04"}
        runs = [run for run in instance.get_run_records() if run.dagster_run.run_id != "others"]
        assert [each.id for each in read.runs] == [run.dagster_run.run_id for run in runs]
        for each, run in zip(read.runs, runs, strict=True):
            assert each.created == run.create_timestamp.astimezone(dtm.UTC)
            assert [each.started, each.ended] == [
                dtm.datetime.fromtimestamp(time, dtm.UTC) if time else None for time in (run.start_time, run.end_time)
            ]
            assert each.job == run.dagster_run.job_name
        assert {
            each.instigator_name: each.status is InstigatorStatus.RUNNING for each in instance.all_instigator_state()
        } == {
            "others": False,
            "daily": True,
            "health": False,
        }
        assert read.first is not None
        assert read.first <= runs[-1].create_timestamp.astimezone(dtm.UTC)
        beats = instance.get_daemon_heartbeats()
    assert [each.status for each in read.runs] == ["running", "queued", *["done"] * 7, "failed"]
    assert read.runs[-1].failures == {"broken": "broken: the file is no gzip"}
    assert read.schedules == {"schedule daily": True, "sensor health": False}
    assert read.daemon is not None
    assert read.daemon.timestamp() == pytest.approx(beats["SCHEDULER"].timestamp), "the oldest of those that start runs"
    found = {each.name: each for each in read.checked}
    assert set(found) == {"sound", "usual"}, "of one that was never made there is nothing to say"
    sound = found["sound"]
    assert (sound.passed, sound.severity, sound.summary, sound.learning) == (
        False,
        "error",
        "3 of 10 rows: 'é' \"quoted\"",
        False,
    ), "of a check that is being made the verdict before"
    assert (found["usual"].passed, found["usual"].severity, found["usual"].learning) == (True, "warn", True)


def test_a_run_is_dead_where_its_process_was_of_this_machine_and_else_nobody_can_tell(home: Path) -> None:
    with of_files(home) as records:
        (gone, *_) = _read(records).runs
        assert gone.dead is not None
        assert "is gone: it was killed" in gone.dead
        assert _read(dataclasses.replace(records, here=False)).runs[0].dead is None


def test_no_history_is_no_rows_and_makes_no_file(tmp_path: Path) -> None:
    with of_files(tmp_path) as records:
        assert _read(records) == State(NOW)
        assert recall(records, SHOP).told == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE asset_keys SET last_materialization = replace(last_materialization, 'dagster_event', 'event')",
            "KeyError",
        ),
        ("UPDATE asset_check_executions SET evaluation_event = 'nonsense'", "JSONDecodeError"),
        ("ALTER TABLE asset_check_executions RENAME COLUMN evaluation_event TO evaluation", "no such column"),
    ],
)
def test_a_history_of_another_version_is_one_line_and_never_well(
    home: Path, tmp_path: Path, change: str, said: str
) -> None:
    file = tmp_path / "history/runs/index.db"
    file.parent.mkdir(parents=True)
    with sqlite3.connect(home / "history/runs/index.db") as source, sqlite3.connect(file) as copy:
        source.backup(copy)
        copy.execute(change)
    with (
        pytest.raises(PipelineError, match="Dagster's history") as told,
        history.told(tmp_path),
        of_files(tmp_path) as records,
    ):
        _read(records)
    assert said in str(told.value)
    assert "\n" not in str(told.value)
