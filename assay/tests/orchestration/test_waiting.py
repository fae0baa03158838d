"""What waits at a source is told by whichever source can tell: sensors build it, and health says how long it waits."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import public
from assay.health.draw import outline
from assay.health.findings import findings
from assay.health.state import Built, State, Unread
from assay.orchestration import jobs
from assay.orchestration.jobs import event_log_sensors
from assay.orchestration.state import _unread
from assay.settings import BaseSettings
from assay.sources import Csv, EventLog, Rows
from assay.sources.base import Sources
from assay.tables.graph import Graph
from tests.warehouse.house import House, given

NOW = dtm.datetime(2026, 3, 1, 12, tzinfo=dtm.UTC)


class Row(pa.DataFrameModel):
    n: dt.Int64 = pa.Field(unique=True, metadata=public)


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    """New files, an event log, a function with a cursor and a plain file; one file of three was read."""
    tables = [
        given("files", Row, Csv("given", "in/*.csv", new_only=True)),
        given("log", Row, EventLog("given", "log")),
        given("asked", Row, Rows(lambda context: [{"n": 1}], "given", "asked", cursor="n")),
        given("whole", Row, Csv("given", "in/1.csv")),
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("n\n1\n")
    (tmp_path / "log.ndjson").write_text("")
    house = House(tmp_path, threads=1)
    assert house.build(tables[0]).ok
    house.leave()
    for number in (2, 3):
        (tmp_path / "in" / f"{number}.csv").write_text(f"n\n{number}\n")
    settings = BaseSettings(warehouse=house.file)
    opening = lambda _: nullcontext(Sources({"given": str(tmp_path)}))  # noqa: E731
    return SimpleNamespace(
        package="shop", graph=Graph.of(tables), settings=lambda: settings, sources=opening, opening=opening, house=house
    )


def test_each_source_that_can_tell_has_a_sensor(shop: Any) -> None:
    sensors = {sensor.name: sensor for sensor in event_log_sensors(shop)}
    assert set(sensors) == {"files_lag", "log_lag"}
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        asked = sensors["files_lag"](context)
        assert [request.asset_selection for request in asked.run_requests] == [[dg.AssetKey("files")]]
        assert shop.house.build(shop.graph.tables["files"]).ok
        shop.house.leave()
        assert "nothing unread" in str(sensors["files_lag"](context))


def test_what_a_run_failed_to_read_is_asked_for_again_and_not_at_every_tick(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source may have been away for a moment, or a broken file been exchanged for another one."""
    sensor = next(sensor for sensor in event_log_sensors(shop) if sensor.name == "files_lag")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        (request,) = sensor(context).run_requests or ()
        run = dg.DagsterRun("pipeline", tags=request.tags, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        assert f"run {run.run_id[:8]} was to read them" in str(sensor(context))
        instance.report_run_failed(run)
        assert "asked for again 15 minutes after its end" in str(sensor(context))
        monkeypatch.setattr(jobs, "AGAIN", -1)
        (again,) = sensor(context).run_requests or ()
        assert (again.tags, again.run_key == request.run_key) == (request.tags, False), "Dagster takes a key once"


def test_health_says_how_many_files_wait(shop: Any) -> None:
    drawn = outline(shop.graph)
    assert drawn.nodes["files"].files == ("given", "in/*.csv")
    built = {"files": Built(NOW)}
    (waiting,) = _unread(shop, drawn, built, {}, {})
    assert waiting == Unread("files", 2, NOW)
    state = State(NOW + dtm.timedelta(hours=1), built=built, unread=(waiting,))
    (found,) = (each for each in findings(drawn, state) if each.key == "unread:files")
    assert "does not read its folder" in str(dataclasses.astuple(found))
    assert found.actual.startswith("2 unread files")
    (shop.house.folder / "in" / "1.csv").write_text("n\n9\n")
    (changed,) = _unread(shop, drawn, built, {}, {})
    assert "has changed since" in str(changed.problem)


def test_files_that_waited_are_not_resolved_by_a_run_that_holds_the_warehouse(shop: Any) -> None:
    drawn, built = outline(shop.graph), {"files": Built(NOW)}
    code = f"import duckdb, sys; held = duckdb.connect({str(shop.house.file)!r}); print('held', flush=True); sys.stdin.read()"
    holding = [sys.executable, "-c", code]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert list(_unread(shop, drawn, built, {}, {})) == [], "nobody knows of any"
        assert list(_unread(shop, drawn, built, {}, {"files": NOW})) == [Unread("files", 1, NOW)]
        holder.communicate("")
