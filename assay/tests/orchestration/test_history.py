"""A history held open is the history that Dagster itself would have written, and reads."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import time
import warnings
from collections import Counter
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage

from assay.errors import PipelineError
from assay.orchestration import event_log, history
from assay.orchestration.event_log import EventLog, HeldOpen
from assay.orchestration.home import dagster_home
from assay.orchestration.resources import retire
from tests import warm


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="rows")], code_version="1")
def rows() -> dg.MaterializeResult:
    checks = [dg.AssetCheckResult(passed=False, check_name="sound")]
    return dg.MaterializeResult(metadata={"count": 3}, check_results=checks, data_version=dg.DataVersion("1"))


@dg.asset
def other() -> None:
    """Built once."""


@dg.asset(deps=[rows])
def broken() -> None:
    raise ValueError("no")


JOB = dg.Definitions(assets=[rows, broken], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
OTHER = dg.Definitions(assets=[other], jobs=[dg.define_asset_job("one")]).resolve_job_def("one")
IN_BATCHES = "event_log_storage: {module: assay.orchestration.event_log, class: EventLog}"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def ran(instance: dg.DagsterInstance) -> str:
    return JOB.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET).run_id


def told(instance: dg.DagsterInstance, run_id: str) -> dict[str, object]:
    """What the UI asks of a run."""
    key = dg.AssetKey("rows")
    run = instance.get_run_by_id(run_id)
    assert run is not None
    materialized = instance.get_latest_materialization_event(key)
    assert materialized is not None
    assert materialized.asset_materialization is not None
    checks = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "sound"), limit=5)
    return {
        "status": run.status,
        "events": Counter(entry.dagster_event_type for entry in instance.all_logs(run_id)),
        "materialized": (materialized.run_id == run_id, materialized.asset_materialization.metadata),
        "checks": [(check.run_id == run_id, check.status.value) for check in checks],
        "assets": sorted(str(key) for key in instance.all_asset_keys()),
    }


def open_files(folder: Path) -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own descriptor is gone by now
            target = descriptor.readlink()
            if target.is_relative_to(folder):
                found.add(target.name)
    return found


@pytest.mark.slow
def test_the_same_history_is_written(tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("plain", "held")}
    for home in homes.values():
        home.mkdir()
    with dg.DagsterInstance.from_config(str(homes["plain"])) as plain:
        expected = told(plain, ran(plain))
    with history.instance(homes["held"]) as held:
        run_id = ran(held)
        assert told(held, run_id) == expected
    with dg.DagsterInstance.from_config(str(homes["held"])) as plain:
        assert told(plain, run_id) == expected
    assert expected["status"] is dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_what_is_written_is_seen_at_once_and_another_process_may_write(tmp_path: Path) -> None:
    with history.instance(tmp_path) as held, dg.DagsterInstance.from_config(str(tmp_path)) as plain:
        for writer, reader in ((held, plain), (plain, held), (held, plain)):
            run_id = ran(writer)
            assert told(reader, run_id) == told(writer, run_id)
        at_once = [Thread(target=ran, args=(instance,)) for instance in (held, plain)]
        for thread in at_once:
            thread.start()
        for thread in at_once:
            thread.join()
        assert len(plain.get_runs()) == 5
        assert len(held.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))) == 5


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells no open files here")
def test_nothing_stays_open(tmp_path: Path) -> None:
    with history.instance(tmp_path) as held:
        run_id = ran(held)
        assert {"index.db", f"{run_id}.db"} <= open_files(tmp_path)
    assert open_files(tmp_path) == set()


@pytest.mark.parametrize("storage", ["storage: {sqlite: {base_dir: elsewhere}}", IN_BATCHES, ""])
def test_a_storage_that_the_team_chose_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{storage}\n")
    with history.instance(tmp_path) as instance:
        kind = type(instance.event_log_storage)
        assert instance.telemetry_enabled is False
    assert kind is (SqliteEventLogStorage if "elsewhere" in storage else HeldOpen)


def test_the_storage_is_that_of_a_dagster_whose_insides_were_looked_at() -> None:
    """`HeldOpen` and `together` stand on Dagster's private storage: look at it again before a new minor is allowed."""
    assert dg.__version__.startswith("1.13.")


def test_events_written_together_are_all_there_or_none_is(tmp_path: Path) -> None:
    def report(instance: dg.DagsterInstance, *keys: str) -> None:
        for key in keys:
            instance.report_runless_asset_event(dg.AssetMaterialization("a", partition=key))

    (tmp_path / "dagster.yaml").write_text(IN_BATCHES)
    for opened in (history.instance(tmp_path), dg.DagsterInstance.from_config(str(tmp_path))):
        with opened as instance:
            storage = instance.event_log_storage
            assert isinstance(storage, EventLog)
            with storage.together():
                report(instance, "x", "y")
                assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"x", "y"}
            with suppress(ZeroDivisionError), storage.together():
                report(instance, "z")
                raise ZeroDivisionError
            assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"x", "y"}


DAYS = dg.DailyPartitionsDefinition("2010-01-01", end_date="2024-01-01")


def of_days() -> dg.MaterializeResult:
    checks = [dg.AssetCheckResult(passed=True, check_name=name) for name in ("sound", "whole")]
    return dg.MaterializeResult(metadata={"days": 1}, data_version=dg.DataVersion("1"), check_results=checks)


def after() -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion("1"))


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)
    at_once: Any = partial(
        dg.asset, partitions_def=DAYS, code_version="1", backfill_policy=dg.BackfillPolicy.single_run()
    )
    CHECKED = at_once(check_specs=[dg.AssetCheckSpec(name, asset="of_days") for name in ("sound", "whole")])(of_days)
    ASSETS = [CHECKED, at_once(deps=[CHECKED])(after)]
BACKFILL = dg.Definitions(assets=ASSETS).resolve_implicit_global_asset_job_def()


def backfilled(instance: dg.DagsterInstance, last: str, *assets: str) -> str:
    tags = {"dagster/asset_partition_range_start": "2010-01-01", "dagster/asset_partition_range_end": last}
    chosen = [dg.AssetKey(name) for name in assets] or None
    done = BACKFILL.execute_in_process(instance=instance, tags=tags, run_config=QUIET, asset_selection=chosen)
    assert done.success
    return done.run_id


TABLES = {
    "event_logs": "dagster_event_type, step_key, asset_key, partition, event",
    "asset_event_tags": "asset_key, key, value",
    "asset_keys": "asset_key, last_materialization",
    "asset_check_executions": "asset_key, check_name, partition, execution_status, evaluation_event",
}
VARIES = (
    r"%s|(timestamp|pid|marker_\w+|log_key|event_pointer/\w+|storage_id|duration_ms)[\\\"]*: [\\\"]*[\w.]+"
    r"|\b[\d.]+m?s\b|/tmp[\w./-]+"
)


def written(home: Path, run_id: str) -> dict[str, list[str]]:
    """All rows of the event log's tables, without what differs from run to run."""
    found = {}
    for shard in ("index", run_id):
        with closing(sqlite3.connect(home / "history" / "runs" / f"{shard}.db")) as connection:
            for table, columns in TABLES.items():
                rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
                found[f"{table} of {shard == run_id}"] = sorted(re.sub(VARIES % run_id, "", str(row)) for row in rows)
            # A tag, and a check's verdict, name the event they belong to.
            for sql in (
                """SELECT tag.asset_key, event.partition FROM asset_event_tags AS tag JOIN event_logs AS event
                   ON tag.event_id = event.id AND tag.asset_key = event.asset_key""",
                """SELECT done.check_name, done.partition FROM asset_check_executions AS done JOIN event_logs AS event
                   ON done.evaluation_event_storage_id = event.id AND event.event = done.evaluation_event""",
            ):
                found[f"{sql} of {shard == run_id}"] = sorted(str(row) for row in connection.execute(sql).fetchall())
    return found


@pytest.mark.slow
def test_what_is_written_in_batches_is_what_dagster_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the batches are smaller than what comes at once."""
    found = {}
    for name, size in (("plain", "0"), ("one batch", "500"), ("more batches", "7")):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
        home = tmp_path / name
        home.mkdir()
        (home / "dagster.yaml").write_text("" if name == "plain" else IN_BATCHES)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            found[name] = written(home, backfilled(instance, "2010-01-20"))
            assert len(instance.get_materialized_partitions(dg.AssetKey("of_days"))) == 20
    plain = found.pop("plain")
    assert all(len(plain[f"{table} of False"]) >= 2 for table in TABLES), "there is something to compare"
    for batches in found.values():
        for table, rows in batches.items():
            assert rows == plain[table], table


def test_what_a_run_writes_together_is_what_dagster_writes(tmp_path: Path) -> None:
    """A check that fails, a step that fails, and a second run over the same assets."""
    found = {}
    for name in ("plain", "held"):
        home = tmp_path / name
        home.mkdir()
        with dg.DagsterInstance.local_temp(str(home)) if name == "plain" else history.instance(home) as instance:
            assert isinstance(instance.event_log_storage, HeldOpen) is (name == "held")
            first, run_id = ran(instance), ran(instance)
            logs = [(entry.step_key, entry.dagster_event_type) for entry in instance.all_logs(run_id)]
        tables = written(home, run_id)
        # The stack has lines of the storage's own modules.
        tables = {
            table: sorted(row.replace(first, "") for row in rows if "ValueError" not in row)
            for table, rows in tables.items()
        }
        found[name] = {**tables, "in order": logs}
    assert [len(found["held"][f"{table} of False"]) for table in TABLES] == [12, 2, 2, 2], (
        "there is something to compare"
    )
    for table, rows in found["held"].items():
        assert rows == found["plain"][table], table


def test_what_a_run_has_built_is_not_read_again_but_what_others_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster asks for each asset's materialization, to name it in the asset's checks."""
    read: list[int] = []
    real = SqliteEventLogStorage._get_latest_materialization_records

    def counted(self: SqliteEventLogStorage, rows: Any) -> Any:
        read.append(len(rows))
        return real(self, rows)

    monkeypatch.setattr(SqliteEventLogStorage, "_get_latest_materialization_records", counted)
    key = dg.AssetKey("rows")
    with history.instance(tmp_path) as held, history.instance(tmp_path) as other:
        ran(held)
        assert read == []
        (check,) = held.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "sound"), limit=1)
        assert check.event is not None
        target = check.event.get_dagster_event().asset_check_evaluation_data.target_materialization_data
        (known,) = held.get_asset_records([key])
        assert read == []
        (unpacked,) = other.get_asset_records([key])
        assert read == [1]
        assert known == unpacked
        assert target is not None
        assert target.storage_id == known.asset_entry.last_materialization_storage_id
        other.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"count": 4}))
        for instance in (other, held):
            (newer,) = instance.get_asset_records([key])
            assert newer.asset_entry.last_materialization is not None
            assert newer.asset_entry.last_materialization.asset_materialization.metadata["count"].value == 4
        held.wipe_assets([key])
        assert not [each for each in held.get_asset_records([key]) if each.asset_entry.last_materialization]


def stored(home: Path) -> int:
    """How many events another process finds."""
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM event_logs").fetchone()[0])


def test_an_event_waits_for_others_until_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "SOON", 3600.0)

    def report(partition: str) -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization("a", partition=partition))

    with history.instance(tmp_path) as instance:
        report("x")
        report("y")
        assert stored(tmp_path) == 0
        assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"x", "y"}
        assert stored(tmp_path) == 2
        report("z")
    assert stored(tmp_path) == 3, "at the end nothing is left behind"


def test_other_processes_see_an_event_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that takes an hour is seen to have begun. The one beside it waits for nothing."""
    monkeypatch.setattr(event_log, "SOON", 0.01)
    with history.instance(tmp_path) as instance:
        for number in (1, 2):
            instance.report_runless_asset_event(dg.AssetMaterialization("a"))
            while stored(tmp_path) < number:
                time.sleep(0.01)


def test_events_that_cannot_be_written_wait_and_fail_whoever_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: the thread that writes in time cannot tell anybody."""
    with history.instance(tmp_path) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, HeldOpen)
        tried = Event()

        def full(events: Any) -> None:
            tried.set()
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(event_log, "SOON", 0.01)
            patched.setattr(storage, "store_event_batch", full)
            instance.report_runless_asset_event(dg.AssetMaterialization("a"))
            assert tried.wait(60)
            with pytest.raises(sqlite3.OperationalError, match="full"):
                instance.get_materialized_partitions(dg.AssetKey("a"))
        assert instance.get_latest_materialization_event(dg.AssetKey("a")) is not None


@pytest.mark.slow
def test_more_partitions_than_a_statement_takes_variables(tmp_path: Path) -> None:
    """Of a table with a check Dagster alone backfills 4,095 in one run."""
    (tmp_path / "dagster.yaml").write_text(IN_BATCHES)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        backfilled(instance, "2021-12-31", "of_days")
        assert len(instance.get_materialized_partitions(dg.AssetKey("of_days"))) == 4383


@pytest.mark.slow
def test_the_projects_own_file_writes_in_batches_wherever_its_history_is(tmp_path: Path) -> None:
    """Also without DAGSTER_HOME, where Dagster takes the configuration from here and keeps the history elsewhere."""
    for file in (Path(__file__).parents[3] / "dagster.yaml", None):
        home, config = tmp_path / str(bool(file)), tmp_path / f"{bool(file)}_config"
        home.mkdir()
        config.mkdir()
        (config / "dagster.yaml").write_text(file.read_text() if file else "")
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), config_dir=str(config))) as instance:
            assert isinstance(instance.event_log_storage, EventLog) is bool(file)
            ran(instance)
        assert (home / "history" / "runs" / "index.db").exists()


MAKER = """
import sys
from pathlib import Path
from assay.orchestration import history
from assay.errors import PipelineError
while not Path("now").exists():
    pass
with history.instance(Path(sys.argv[1])) as instance:
    print(len(instance.get_runs()))
"""
STAMPED_WITHOUT_THE_LOCK = "INSERT INTO alembic_version VALUES ('567bc23fd1ac')"


def versions(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]


def databases(home: Path) -> list[Path]:
    return [home / "history" / "runs.db", home / "history" / "runs" / "index.db", home / "schedules" / "schedules.db"]


def test_processes_that_make_the_history_at_once_make_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    makers = [warm.start(["-c", MAKER, str(home)], cwd=tmp_path, env=os.environ) for _ in range(3)]
    (tmp_path / "now").touch()
    assert [(*maker.communicate(), maker.wait()) for maker in makers] == [("0\n", "", 0)] * 3
    assert [len(versions(file)) for file in databases(home)] == [1, 1, 1]


def test_a_history_that_two_processes_made_at_once_is_mended(tmp_path: Path) -> None:
    with history.instance(tmp_path) as held:
        run_id = ran(held)
    right = [versions(file) for file in databases(tmp_path)]
    for file in databases(tmp_path):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(STAMPED_WITHOUT_THE_LOCK)
    with pytest.raises(Exception, match="more than one head"):
        dg.DagsterInstance.from_config(str(tmp_path))
    with history.instance(tmp_path) as held:
        assert [run.run_id for run in held.get_runs()] == [run_id]
    assert [versions(file) for file in databases(tmp_path)] == right


def test_a_history_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the place is one where nobody can."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match=r"file/.dagster: Dagster's history cannot be read or written: Not a dir"):
        dagster_home(tmp_path / "file", dry=False)
    home = tmp_path / "home"
    (home / "history" / "runs.db").mkdir(parents=True)
    with pytest.raises(PipelineError, match=r"unable to open database file\. Free the disk") as caught:
        history.instance(home)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_old_runs_give_up_their_page_and_the_catalog_stays(tmp_path: Path) -> None:
    """But those that built an asset last, however old they are."""
    with history.instance(tmp_path) as held:
        first = OTHER.execute_in_process(instance=held, run_config=QUIET).run_id
        runs = [ran(held) for _ in range(4)]
        before = told(held, runs[-1])
        assert isinstance(held.event_log_storage, EventLog)
        retire(held, 2)
        assert set(held.get_run_ids()) == {first, *runs[-2:]}
        assert told(held, runs[-1]) == before
        materialized = held.fetch_materializations(dg.AssetKey("rows"), limit=9).records
        assert [record.run_id for record in materialized] == runs[::-1]
    left = {file.name.partition(".")[0] for file in (tmp_path / "history" / "runs").iterdir()}
    assert left == {"index", first, *runs[-2:]}
    assert {file.name for file in (tmp_path / "storage").iterdir()} == {first, *runs[-2:]}


@pytest.mark.slow
def test_who_only_loads_the_code_does_not_wait_for_the_history() -> None:
    """Its libraries are a fifth of all that a project's definitions would import."""
    script = "import sys, assay.definitions; print({'sqlalchemy', 'alembic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
