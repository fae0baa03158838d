"""Partitioned tables that read partitioned tables: one run builds each table's own partitions, in every way to run."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from assay.errors import PipelineError
from assay.orchestration.applying import apply_plan
from assay.orchestration.tags import PARTITION_TAG
from assay.plan.kept import read_plan, to_json
from assay.plan.planner import make_plan
from tests.partitioned import QUIET, Chain

DAYS = 'daily("ordered_on", start="2026-03-01", end="2026-03-05")'
OPEN = 'daily("ordered_on", start="2026-03-01")'
DAYS_OF_2026 = [(dtm.date(2026, 1, 1) + dtm.timedelta(days=number)).isoformat() for number in range(151)]
TODAY = dtm.datetime.now(dtm.UTC).date()
WEEK_AGO = TODAY - dtm.timedelta(days=7)
RECENT = f'daily("ordered_on", start="{WEEK_AGO}")'
ALIKE = {"closed": ([DAYS] * 3, dtm.date(2026, 3, 1)), "open-ended": ([RECENT] * 3, WEEK_AGO)}
DIFFERENT = [
    'hourly("sold_at", start="2026-03-01-00:00", end="2026-03-05-23:00")',
    DAYS,
    'daily("ordered_on", start="2026-02-20", end="2026-03-31")',
    'daily("ordered_on", start="2026-03-01", end="2026-03-05", timezone="Asia/Tokyo")',
    'weekly("ordered_on", start="2026-02-23", end="2026-03-09")',
    DAYS,
    'static("place", keys=["north", "south"])',
    'static("place", keys=["south", "north", "west"])',
    "",
    'monthly("ordered_on", start="2026-02-01", end="2026-04-01", timezone="Asia/Tokyo")',
]
MakeChain = Callable[..., Chain]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeChain]:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    made: list[Chain] = []

    def make(partitions: list[str], lookback: int = 0) -> Chain:
        made.append(Chain(tmp_path, partitions, lookback))
        return made[-1]

    yield make
    for chain in made:
        chain.close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def partitions_of(instance: dg.DagsterInstance, table: str) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey(table))


def days(first: dtm.date, *numbers: int) -> list[str]:
    """The days with these numbers, the first being 1."""
    return [(first + dtm.timedelta(days=number - 1)).isoformat() for number in numbers]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALIKE)
def test_tables_with_the_same_partitions(make: MakeChain, instance: dg.DagsterInstance, name: str) -> None:
    partitions, first = ALIKE[name]
    chain = make(partitions)
    chain.rows(*days(first, 1, 2, 3, 4))
    for _ in range(2):  # Dagster asks for the partitions of an input once it was materialized
        assert chain.job(instance).success
    assert chain.days("t2") == days(first, 1, 2, 3, 4)
    assert partitions_of(instance, "t2") >= set(days(first, 1, 2, 3, 4, 5))

    chain.rows(*days(first, 1, 2, 2, 3))
    range_ = "..".join(days(first, 1, 2))
    assert chain.job(instance, tags={PARTITION_TAG: range_}).success
    assert chain.days("t2") == days(first, 1, 2, 2, 3, 4)

    chain.rows(*days(first, 2, 3, 3))
    (key,) = days(first, 3)
    assert chain.job(instance, tags={"dagster/partition": key}).success, "from the job's page in the UI"
    assert chain.days("t2") == days(first, 1, 2, 2, 3, 3, 4)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, -1])
def test_tables_with_different_partitions(make: MakeChain, instance: dg.DagsterInstance, order: int) -> None:
    """Each table builds its own; Dagster loads them all."""
    chain = make(DIFFERENT[::order])
    dg.Definitions.validate_loadable(chain.definitions)
    for _ in range(2):
        assert chain.job(instance).success
    for table in chain.project.graph.tables.values():
        assert len(chain.days(table.name)) == 4
        if table.partitions is not None:
            whole = table.partitions.whole(dtm.datetime.now(dtm.UTC))
            assert whole is not None
            assert partitions_of(instance, table.name) == set(table.partitions.keys(whole))
    chain.rows("2026-03-01", "2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04")
    assert chain.job(instance, tags={PARTITION_TAG: "2026-03-01"}).success
    assert chain.days("t9").count("2026-03-01") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["open-ended", "closed"])
def test_a_backfill_is_one_run_that_builds_its_range(make: MakeChain, instance: dg.DagsterInstance, name: str) -> None:
    partitions, begin = ALIKE[name]
    chain = make(partitions)
    chain.rows(*days(begin, 1, 2, 3, 4))
    assert chain.job(instance).success
    chain.rows(*days(begin, 1, 2, 2, 3))
    everything = chain.definitions.resolve_implicit_global_asset_job_def()
    keys = days(begin, 1, 2)
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
    assert everything.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET).success
    assert chain.days("t2") == days(begin, 1, 2, 2, 3, 4)
    first, last = (
        event.asset_materialization.metadata
        for event in reversed(instance.fetch_materializations(dg.AssetKey("t2"), limit=2).records)
        if event.asset_materialization is not None
    )
    assert [each["dagster/partition_row_count"].value for each in (first, last)] == [1, 2]
    assert "profile" in last, "what is told of the whole build stands at the newest partition alone"
    assert "profile" not in first
    assert (
        everything.get_subset(asset_selection={dg.AssetKey("t1")})
        .execute_in_process(instance=instance, partition_key=keys[0], raise_on_error=False, run_config=QUIET)
        .success
    )


def rows_told(instance: dg.DagsterInstance, table: str) -> list[tuple[str | None, object]]:
    """Partition and rows of each materialization of `table`, oldest first."""
    records = instance.fetch_materializations(dg.AssetKey(table), limit=999).records
    found = [event.asset_materialization for event in reversed(records)]
    return [
        (each.partition, each.metadata["dagster/partition_row_count"].value if each.partition else None)
        for each in found
        if each is not None
    ]


@pytest.mark.slow
def test_every_partition_of_a_range_has_rows_of_its_own(make: MakeChain, instance: dg.DagsterInstance) -> None:
    """However many there are, and also where a job builds the range or all; a whole build tells what has changed."""
    chain = make(['daily("ordered_on", start="2026-01-01", end="2026-05-31")'] * 2)
    chain.rows("2026-03-01", "2026-03-01", "2026-03-03")
    assert chain.job(instance).success
    expected = [(key, {"2026-03-01": 2, "2026-03-03": 1}.get(key, 0)) for key in DAYS_OF_2026]
    assert rows_told(instance, "t1") == [*expected, (None, None)]
    newest = instance.get_latest_materialization_event(dg.AssetKey("t1"))
    assert newest is not None
    assert newest.asset_materialization is not None
    assert newest.asset_materialization.metadata["dagster/row_count"].value == 3
    assert "dagster/partition_row_count" not in newest.asset_materialization.metadata, "it is of no partition"

    chain.rows("2026-03-01", "2026-03-01", "2026-03-03", "2026-03-03", "2026-03-04")
    told = len(rows_told(instance, "t1"))
    assert chain.job(instance).success
    assert rows_told(instance, "t1")[told:] == [("2026-03-03", 2), ("2026-03-04", 1), (None, None)]

    told = len(rows_told(instance, "t1"))
    assert chain.job(instance, tags={PARTITION_TAG: "2026-03-01..2026-03-04"}).success
    days = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"]
    assert rows_told(instance, "t1")[told:] == [*zip(days, [2, 0, 2, 1], strict=True), (None, None)]

    told = len(rows_told(instance, "t1"))
    tags = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-05-31"}
    everything = chain.definitions.resolve_implicit_global_asset_job_def()
    assert everything.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET).success
    rows = dict(rows_told(instance, "t1")[told:])
    assert rows == {key: {"2026-03-01": 2, "2026-03-03": 2, "2026-03-04": 1}.get(key, 0) for key in DAYS_OF_2026}


@pytest.mark.slow
def test_a_backfill_of_each_unit(make: MakeChain, instance: dg.DagsterInstance) -> None:
    chain = make(DIFFERENT)
    assert chain.job(instance).success
    chain.rows(*["2026-03-01"] * 3, "2026-03-02", "2026-03-03", "2026-03-04")
    everything = chain.definitions.resolve_implicit_global_asset_job_def()
    for table, first, last in (
        ("t0", "2026-03-01-11:00", "2026-03-01-12:00"),
        ("t1", "2026-03-01", "2026-03-01"),
        ("t2", "2026-02-28", "2026-03-02"),
        ("t3", "2026-03-01", "2026-03-01"),
        ("t4", "2026-02-23", "2026-03-02"),
        ("t5", "2026-03-01", "2026-03-01"),
        ("t6", "north", "south"),
        ("t7", "south", "north"),
        ("t8", "", ""),
        ("t9", "2026-03-01", "2026-03-01"),
    ):
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        subset = everything.get_subset(asset_selection={dg.AssetKey(table)})
        assert subset.execute_in_process(
            instance=instance, tags=tags if first else {}, raise_on_error=False, run_config=QUIET
        ).success
        assert chain.days(table).count("2026-03-01") == 3, table


@pytest.mark.slow
def test_the_command_line_runs_and_applies_it(make: MakeChain) -> None:
    chain = make([RECENT, RECENT, f'weekly("ordered_on", start="{WEEK_AGO}")'])
    chain.rows(*days(WEEK_AGO, 1, 2, 3, 4))
    for partition in (None, None, str(WEEK_AGO)):
        assert chain.run(partition).exit_code == 0
    chain.rows(*days(WEEK_AGO, 1, 2, 2, 3, 4))
    file = chain.root / "plan.json"
    file.write_text(to_json(make_plan(chain.project)))
    assert apply_plan(chain.project, read_plan(file), on_progress=lambda _: None).exit_code == 0
    assert chain.days("t2") == days(WEEK_AGO, 1, 2, 2, 3, 4)
    assert make_plan(chain.project).exit_code == 0


@pytest.mark.slow
def test_a_job_that_dagster_could_not_end_is_refused_before_it_begins(
    make: MakeChain, instance: dg.DagsterInstance
) -> None:
    """A job over partitioned assets must come through `project_jobs`, unless only one of them is partitioned."""
    chain = make([DAYS, DAYS, ""])
    definitions = chain.root / chain.package / "definitions.py"
    definitions.write_text(
        definitions.read_text().replace(
            "jobs=project_jobs(project)",
            "jobs=[*project_jobs(project, dg.define_asset_job('right')), *("
            "dg.define_asset_job(name, dg.AssetSelection.assets(*assets)) for name, assets in"
            "{'wrong': ('t0', 't1'), 'also': ('t1',), 'single': ('t0', 't2')}.items())]",
        )
    )
    for name in ("wrong", "also"):
        done = chain.job(instance, name)
        assert not done.success
        told = str([entry.dagster_event for entry in instance.all_logs(done.run_id)])
        assert "'t1' and 't0', which it reads, are partitioned" in told
        assert f"project_jobs(project, {name})" in told
    assert instance.get_latest_materialization_event(dg.AssetKey("t0")) is None, "nothing was built"
    for name in ("right", "single"):
        assert chain.job(instance, name).success


def test_a_range_that_is_no_tables_is_refused_before_anything_runs(make: MakeChain) -> None:
    chain = make([DAYS, 'weekly("ordered_on", start="2026-02-23", end="2026-03-09")'])
    with pytest.raises(
        PipelineError, match=r"Name days of 2026-03-01\.\.2026-03-05 or weeks of 2026-02-23\.\.2026-03-15"
    ):
        make_plan(chain.project, partition=_range("2027-01-01"))
    with pytest.raises(PipelineError, match="'EIRE' is no partition"):
        make_plan(chain.project, partition=_range("EIRE"))


def _range(text: str) -> object:
    from assay.tables.partitions import PartitionRange

    return PartitionRange.parse(text)


@pytest.mark.parametrize(
    ("partitions", "lookback", "tick", "asked", "tables"),
    [
        ([OPEN, OPEN], 0, "2026-03-05T06:00", "2026-03-04", None),
        ([OPEN, OPEN], 3, "2026-03-05T06:00", "2026-03-01..2026-03-04", None),
        ([OPEN, DAYS], 0, "2026-03-05T06:00", "2026-03-04", None),
        ([OPEN, DAYS], 0, "2026-03-08T06:00", "2026-03-07", ["t0"]),
        ([OPEN, DAYS], 2, "2026-03-08T06:00", "2026-03-05..2026-03-07", None),
        ([DAYS, DAYS], 2, "2026-03-07T06:00", "2026-03-04..2026-03-05", None),
        ([DAYS, DAYS], 0, "2026-04-01T06:00", None, None),
        ([DAYS, DAYS], 0, "2026-03-06T06:00", "2026-03-05", None),
        ([OPEN.replace(")", ', timezone="Asia/Tokyo")')], 0, "2026-03-05T16:00", "2026-03-05", None),
        ([OPEN.replace(")", ', timezone="America/New_York")')], 0, "2026-03-05T04:00", "2026-03-03", None),
        ([OPEN, 'weekly("ordered_on", start="2026-02-23")'], 0, "2026-03-04T06:00", "2026-03-03", ["t0"]),
        ([OPEN, 'weekly("ordered_on", start="2026-02-23")'], 0, "2026-03-09T06:00", "2026-03-08", None),
        (['monthly("ordered_on", start="2026-01-01")'], 0, "2026-03-09T06:00", "2026-02-01..2026-02-28", None),
        (
            ['hourly("sold_at", start="2026-03-01-00:00")'],
            0,
            "2026-03-05T06:00",
            "2026-03-04-06:00..2026-03-05-05:00",
            None,
        ),
        (['static("place", keys=["north", "south"])'], 0, "2026-03-05T06:00", None, None),
        (["", ""], 0, "2026-03-05T06:00", None, None),
    ],
)
def test_the_schedule_asks_for_what_is_newly_complete(
    make: MakeChain, partitions: list[str], lookback: int, tick: str, asked: str | None, tables: list[str] | None
) -> None:
    chain = make(partitions, lookback)
    schedule = chain.definitions.resolve_schedule_def("daily")
    with dg.build_schedule_context(scheduled_execution_time=dtm.datetime.fromisoformat(f"{tick}+00:00")) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.tags.get(PARTITION_TAG) == asked
    chosen = request.asset_selection
    assert (None if chosen is None else [key.to_user_string() for key in chosen]) == tables


@pytest.mark.slow
def test_late_rows_are_found_by_a_schedule_that_looks_back(make: MakeChain, instance: dg.DagsterInstance) -> None:
    chain = make([RECENT, RECENT], lookback=3)
    chain.rows(*days(WEEK_AGO, 1, 2, 3, 6))
    assert chain.job(instance).success
    chain.rows(*days(WEEK_AGO, 1, 2, 3, 3, 6, 6))
    tick = dtm.datetime.combine(TODAY, dtm.time(6), dtm.UTC)
    with dg.build_schedule_context(scheduled_execution_time=tick) as context:
        (request,) = chain.definitions.resolve_schedule_def("daily").evaluate_tick(context).run_requests or ()
    tags = {name: text for name, text in request.tags.items() if not name.startswith("dagster/")}
    assert chain.job(instance, tags=tags).success
    assert chain.days("t1") == days(WEEK_AGO, 1, 2, 3, 6, 6), "the third day is further back"
