"""A history held open is the history that Dagster itself would have written, and reads."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from threading import Thread

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from assay.orchestration import history


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="rows")])
def rows() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"count": 3}, check_results=[dg.AssetCheckResult(passed=False, check_name="sound")]
    )


@dg.asset(deps=[rows])
def broken() -> None:
    raise ValueError("no")


JOB = dg.Definitions(assets=[rows, broken], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
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


@pytest.mark.parametrize("storage", ["storage: {sqlite: {base_dir: elsewhere}}", ""])
def test_a_storage_that_the_team_chose_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{storage}\n")
    with history.instance(tmp_path) as instance:
        kind = type(instance.event_log_storage)
        assert instance.telemetry_enabled is False
    assert kind is (SqliteEventLogStorage if storage else history.HeldOpen)


def test_events_written_together_are_all_there_or_none_is(tmp_path: Path) -> None:
    def report(instance: dg.DagsterInstance, *keys: str) -> None:
        for key in keys:
            instance.report_runless_asset_event(dg.AssetMaterialization("a", partition=key))

    for opened in (history.instance(tmp_path), dg.DagsterInstance.from_config(str(tmp_path))):
        with opened as instance:
            with history.together(instance):
                report(instance, "x", "y")
                assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"x", "y"}
            with suppress(ZeroDivisionError), history.together(instance):
                report(instance, "z")
                raise ZeroDivisionError
            assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"x", "y"}
