"""A dry run leaves the real warehouse byte for byte as it was, and says so only when it is true."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from assay.errors import WarehouseError, WarehouseLocked
from assay.warehouse.dry.proof import Witness
from assay.warehouse.dry.scratch import folder_bytes, scratch_folder
from assay.warehouse.warehouse import DryRunWarehouse, DuckDBWarehouse
from tests import warm


@pytest.fixture
def real(tmp_path: Path) -> Path:
    path = tmp_path / "real.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA load; CREATE TABLE load.t AS SELECT range AS a FROM range(1000)")
    return path


def dry(real: Path, tmp_path: Path, **options: object) -> DryRunWarehouse:
    return DryRunWarehouse(real, scratch=tmp_path / "scratch", lock_timeout=0.2, **options)  # type: ignore[arg-type]


def test_a_dry_run_reads_through_writes_to_scratch_and_proves_it(real: Path, tmp_path: Path) -> None:
    warehouse = dry(real, tmp_path)
    before = real.read_bytes()
    with warehouse.session() as session:
        session.connection.execute("CREATE SCHEMA load; CREATE TABLE load.t AS SELECT a + 1 AS a FROM real.load.t")
        assert session.connection.execute("SELECT count(*), min(a) FROM load.t").fetchall() == [(1000, 1)]
        assert warehouse.folder is not None
        assert folder_bytes(warehouse.folder) > 0
    assert real.read_bytes() == before
    assert warehouse.proof is not None
    assert warehouse.proof.holds
    assert warehouse.proof.line.startswith("Proof: nothing written. real.duckdb ")
    assert "real.duckdb.wal absent" in warehouse.proof.line
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_real_file_with_a_write_ahead_log_is_read_and_left_alone(real: Path, tmp_path: Path) -> None:
    """A writer that was killed leaves a log: a dry run sees its rows, and does not tidy it up."""
    script = (
        "import duckdb, os, signal, sys\n"
        "c = duckdb.connect(sys.argv[1])\n"
        "c.execute('SET checkpoint_threshold = \\'1GB\\'; INSERT INTO load.t VALUES (-7)')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(real)], check=False).returncode == -signal.SIGKILL
    log = real.with_name("real.duckdb.wal")
    before = real.read_bytes(), log.read_bytes()
    warehouse = dry(real, tmp_path)
    with warehouse.session() as session:
        assert session.connection.execute("SELECT min(a) FROM real.load.t").fetchall() == [(-7,)]
    assert (real.read_bytes(), log.read_bytes()) == before
    assert warehouse.proof is not None
    assert "real.duckdb.wal" in warehouse.proof.line


def test_a_write_through_a_python_open_breaks_the_proof(real: Path, tmp_path: Path) -> None:
    warehouse = dry(real, tmp_path)
    with pytest.raises(WarehouseError, match="PROOF FAILED"), warehouse.session(), real.open("ab") as file:
        file.write(b"x")
    assert warehouse.proof is not None
    assert not warehouse.proof.holds


@pytest.mark.parametrize("attack", ["touch", "replace", "wal", "remove"])
def test_every_change_of_the_files_breaks_the_proof(real: Path, tmp_path: Path, attack: str) -> None:
    with Witness(real) as witness:
        assert witness.proof().holds
        if attack == "touch":
            os.utime(real, ns=(1, 1))
        elif attack == "replace":
            copy = tmp_path / "copy"
            copy.write_bytes(real.read_bytes()[:-1] + b"?")
            copy.replace(real)
        elif attack == "wal":
            real.with_name("real.duckdb.wal").write_bytes(b"")
        else:
            real.unlink()
        assert not witness.proof().holds
        with pytest.raises(WarehouseError, match="PROOF FAILED"):
            witness.proof().check()


def test_a_failed_proof_is_told_even_when_the_run_failed_too(real: Path, tmp_path: Path) -> None:
    def run() -> None:
        with dry(real, tmp_path).session():
            real.write_bytes(b"gone")
            raise ValueError("the run's own error")

    with pytest.raises(WarehouseError, match="PROOF FAILED"):
        run()


def open_in_this_process(path: Path) -> None:
    duckdb.connect(str(path)).execute("INSERT INTO load.t VALUES (1)")


def test_no_second_connection_of_this_process_writes_during_a_dry_run(real: Path, tmp_path: Path) -> None:
    link, hard = tmp_path / "link.duckdb", tmp_path / "hard.duckdb"
    link.symlink_to(real)
    hard.hardlink_to(real)
    warehouse = dry(real, tmp_path)
    with warehouse.session():
        for path in (real, link, hard):
            with pytest.raises((duckdb.IOException, duckdb.BinderException)):
                open_in_this_process(path)
    assert warehouse.proof is not None
    assert warehouse.proof.holds


def test_detach_and_attach_fails_even_behind_the_guard(real: Path, tmp_path: Path) -> None:
    """The known bypass, tried on the engine itself: the witness's lock refuses the writable attach."""
    warehouse = dry(real, tmp_path)
    with warehouse.session() as session:
        raw = session.connection._inner  # type: ignore[attr-defined]  # what no table's code is handed
        raw.execute("DETACH real")
        with pytest.raises(duckdb.IOException, match="lock"):
            raw.execute(f"ATTACH '{real}' AS again")
    assert warehouse.proof is not None
    assert warehouse.proof.holds


def test_the_engine_opens_no_file_outside_the_sources_even_behind_the_guard(real: Path, tmp_path: Path) -> None:
    inside, outside = tmp_path / "source", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.csv").write_text("a\n1\n")
    (tmp_path / "link").symlink_to(inside)
    before = real.read_bytes()
    with dry(real, tmp_path, readable=[tmp_path / "link"]).session() as session:
        raw = session.connection._inner  # type: ignore[attr-defined]  # what no table's code is handed
        for path in (inside, tmp_path / "link"):
            assert raw.execute(f"SELECT * FROM read_csv('{path}/a.csv')").fetchall() == [(1,)]
        for attack in (
            f"SELECT * FROM read_csv('{outside}/a.csv')",
            f"SELECT * FROM read_csv('{inside}/../outside/a.csv')",
            f"COPY real.load.t TO '{outside}/b.csv'",
            f"COPY real.load.t TO '{real}'",
            f"ATTACH '{outside}/new.duckdb' AS x",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            "SET allowed_directories = ['/']",
        ):
            with pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException)):
                raw.execute(attack)
        # Its own database still grows, spills and checkpoints.
        raw.execute("CREATE TABLE big AS SELECT range AS a FROM range(100000); CHECKPOINT")
    assert real.read_bytes() == before
    assert sorted(path.name for path in outside.iterdir()) == ["a.csv"]


def test_the_real_file_behind_a_symlink_is_the_one_that_is_watched(real: Path, tmp_path: Path) -> None:
    link = tmp_path / "warehouse.duckdb"
    link.symlink_to(real)
    warehouse = dry(link, tmp_path)
    with warehouse.session() as session:
        assert session.connection.execute("SELECT count(*) FROM real.load.t").fetchall() == [(1000,)]
        with pytest.raises(WarehouseError, match="refuses"):
            session.connection.execute(f"ATTACH '{link}' AS x")
    assert warehouse.proof is not None
    assert "real.duckdb" in warehouse.proof.line


def test_no_real_warehouse_yet_is_an_empty_one_and_stays_absent(tmp_path: Path) -> None:
    warehouse = dry(tmp_path / "missing.duckdb", tmp_path)
    with warehouse.session() as session:
        assert session.connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'real'"
        ).fetchall()
        with pytest.raises(WarehouseError):
            session.connection.execute("CREATE TABLE real.t AS SELECT 1 AS a")
        with pytest.raises(duckdb.Error, match="read-only"):
            session.connection._inner.execute("CREATE TABLE real.t AS SELECT 1 AS a")  # type: ignore[attr-defined]
    assert not (tmp_path / "missing.duckdb").exists()
    assert warehouse.proof is not None
    assert "missing.duckdb absent" in warehouse.proof.line


@pytest.fixture
def writer(real: Path) -> Iterator[subprocess.Popen[str]]:
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(real)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "open"
    yield process
    process.communicate("")


def test_a_warehouse_that_is_being_written_is_waited_for_and_named(
    real: Path, tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    with (
        pytest.raises(WarehouseLocked, match=f"process {writer.pid} .* holds it for writing"),
        dry(real, tmp_path).session(),
    ):
        pass
    assert list((tmp_path / "scratch").iterdir()) == []
    writer.communicate("")
    with dry(real, tmp_path).session() as session:
        assert session.connection.execute("SELECT 1").fetchall() == [(1,)]


def test_two_dry_runs_at_once_and_no_writer_meanwhile(real: Path, tmp_path: Path) -> None:
    with dry(real, tmp_path).session(), Witness(real):
        writing = DuckDBWarehouse(real, output=tmp_path, scratch=tmp_path, lock_timeout=0.1)
        with pytest.raises(WarehouseError), writing.session():
            pass


def test_scratch_is_removed_kept_on_request_and_swept_after_a_kill(real: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with contextlib.suppress(ValueError), dry(real, tmp_path).session():
        raise ValueError
    assert list(scratch.iterdir()) == []
    with dry(real, tmp_path, keep=True).session():
        pass
    (kept,) = scratch.iterdir()
    assert (kept / "scratch.duckdb").exists()
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from assay.warehouse.warehouse import DryRunWarehouse\n"
        "with DryRunWarehouse(Path(sys.argv[1]), scratch=Path(sys.argv[2])).session() as session:\n"
        "    session.connection.execute('CREATE TABLE x AS FROM range(100000)')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    before = real.read_bytes()
    killed = warm.run(["-c", script, str(real), str(scratch)], cwd=tmp_path, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert real.read_bytes() == before
    assert len(list(scratch.iterdir())) == 2
    with dry(real, tmp_path).session() as session:
        assert session.connection.execute("SELECT count(*) FROM real.load.t").fetchall() == [(1000,)]
    assert list(scratch.iterdir()) == [kept]


def test_a_scratch_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match="PIPELINE_SCRATCH"), scratch_folder(tmp_path / "file" / "scratch"):
        pass
