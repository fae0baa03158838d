"""Two drivers with books of their own at the same table: hooks have the other one publish at the worst moment."""

from __future__ import annotations

import dataclasses
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.errors import WarehouseError
from assay.spark.lake import Lake
from assay.spark.session import Cluster
from assay.spark.staging import LakeStaging
from assay.spark.warehouse import SparkDryRun, SparkWarehouse
from tests.spark.driver import FIRST_HALF, ROWS, built
from tests.spark.test_drivers import driver, seen

LAST_HALF = "2026-01-06..2026-01-10"


def before_once(patch: pytest.MonkeyPatch, owner: Any, method: str, meanwhile: Callable[[], object]) -> None:
    """Have something happen before the first call, by whoever it is."""
    real, calls = getattr(owner, method), []

    def watched(*arguments: Any, **options: Any) -> Any:
        calls.append(method)
        if len(calls) == 1:
            meanwhile()
        return real(*arguments, **options)

    patch.setattr(owner, method, watched)


@pytest.fixture
def two(spark: Cluster, tmp_path: Path) -> list[SparkWarehouse]:
    lake, folder = str(tmp_path / "lake"), {"output": tmp_path, "scratch": tmp_path}
    return [
        SparkWarehouse(tmp_path / name, spark.address, lake, **folder, cluster=spark) for name in ("ours", "theirs")
    ]


@pytest.mark.parametrize(
    ("name", "their_days", "told"),
    [
        ("d", LAST_HALF, None),
        ("d", FIRST_HALF, "another run published the same partitions meanwhile. Run it again."),
        ("w", None, "another run published the table meanwhile. Run it again."),
        ("m", None, "another run published the table meanwhile. Run it again."),
    ],
)
def test_of_two_that_publish_at_once_both_do_or_one_is_told(
    two: list[SparkWarehouse],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    their_days: str | None,
    told: str | None,
) -> None:
    ours, theirs = two
    assert built(ours, 1, [name]) == []
    before_once(monkeypatch, LakeStaging, "commit", lambda: lines.append(built(theirs, 2, [name], days=their_days)))
    lines: list[list[str]] = []
    failed = built(ours, 3, [name])
    assert lines == [[]]
    rows, run, _ = seen(tmp_path / "lake", name)
    if told is None:
        assert (failed, rows, run) == ([], Counter({2: ROWS // 2, 3: ROWS // 2}), "run 3")
    else:
        assert [told in line for line in failed] == [True], failed
        assert "Nothing was published" in failed[0]
        assert "\n" not in failed[0]
        assert run == "run 2"
        assert 3 not in rows
        assert rows.total() == (2 if name == "m" else 1) * ROWS
    for warehouse in two:
        with warehouse.session() as session:
            assert session.lake.tables("warehouse") == [name]
    assert built(ours, 5, [name]) == []
    assert seen(tmp_path / "lake", name)[1] == "run 5"


def test_a_driver_in_a_process_of_its_own_publishes_other_days_meanwhile(
    two: list[SparkWarehouse], drivers: list[subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the two have in common is the lake."""
    ours, _ = two
    assert built(ours, 1, ["d"]) == []
    told: list[tuple[str, str]] = []

    def meanwhile() -> None:
        drivers.append(driver("local[1]", tmp_path, 2, LAST_HALF))
        told.append(drivers[0].communicate())

    before_once(monkeypatch, LakeStaging, "commit", meanwhile)
    assert built(ours, 3, ["d"]) == []
    assert (drivers[0].returncode, told[0][0].strip()) == (0, "[]"), told[0][1]
    assert seen(tmp_path / "lake", "d")[0] == Counter({2: ROWS // 2, 3: ROWS // 2})


def test_each_leaves_the_other_s_staging_tables_alone(two: list[SparkWarehouse], tmp_path: Path) -> None:
    """Wherever their books stand: on two machines that may be at the same path."""
    ours, theirs = two
    with ours.session() as session:
        session.lake.make("warehouse")
        session.lake.replace("SELECT 1 AS n", "warehouse", f"__staging_w_{session.token}")
    (tmp_path / "ours").rename(tmp_path / "gone")
    for path, left in ((tmp_path / "ours", 1), (theirs.path, 1), (tmp_path / "gone", 0)):
        with dataclasses.replace(ours, path=path).session() as session:
            assert len(session.lake.tables("warehouse")) == left, path


def test_who_lists_a_lake_minds_no_table_that_is_gone_before_it_is_read(
    two: list[SparkWarehouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = two
    assert built(ours, 1, ["w", "d"]) == []
    with theirs.session() as session:
        lake = session.lake
    real = Lake.published
    monkeypatch.setattr(Lake, "published", lambda self: [*real(self), ("warehouse", "gone")])
    with theirs.session() as session:
        assert session.standing() == {each: found for each, found in session.standing().items() if each[1] != "gone"}
        assert {name for _, name in session.standing()} == {"w", "d"}
    monkeypatch.undo()
    dry: Any = SparkDryRun(
        tmp_path / "ours", scratch=tmp_path / "dry", lake=str(tmp_path / "lake"), cluster=lake.cluster
    )
    with (
        pytest.raises(WarehouseError, match=r"another run published warehouse\.w during the dry run") as told,
        dry.session(),
    ):
        assert built(theirs, 2, ["w"]) == []
    assert "\n" not in str(told.value)
    assert not dry.proof.holds
