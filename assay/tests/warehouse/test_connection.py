"""Opening the warehouse: what is no warehouse is said in one line, and who holds it is named after a wait."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import ibis
import pytest

from assay import notices
from assay.errors import CodeError, WarehouseError, WarehouseLocked
from assay.warehouse.connection import Options, connect
from assay.warehouse.dry.scratch import scratch_folder
from assay.warehouse.warehouse import DuckDBWarehouse
from tests.warehouse.house import Given, House, given, made, values
from tests.warehouse.test_publish import COLUMNS, Pair

HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
connection.close()
"""


@contextmanager
def held(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has `file` open until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def refused(path: Path) -> str:
    with (
        pytest.raises(WarehouseError) as caught,
        DuckDBWarehouse(path, output=path.parent, scratch=path.parent / "scratch", lock_timeout=0).session(),
    ):
        pass
    text = str(caught.value)
    assert str(path.parent) in text
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    path.write_text("not a database\n" * 1000)
    assert "is no DuckDB database" in refused(path)
    assert path.read_text().startswith("not a database")
    path.write_bytes(b"")
    assert "is no DuckDB database" in refused(path)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").mkdir()
    assert "is a folder, not a file" in refused(tmp_path / "w.duckdb")


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    """Root may write everywhere, so the place is one where nobody can."""
    (tmp_path / "file").write_text("")
    assert "the folder cannot be created" in refused(tmp_path / "file" / "sub" / "w.duckdb")
    assert "cannot be opened" in refused(Path("/proc/self/w.duckdb"))


def test_a_scratch_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    options = Options(temp_folder=tmp_path / "file" / "spill")
    with pytest.raises(WarehouseError, match="PIPELINE_SCRATCH"):
        connect(tmp_path / "w.duckdb", options, lock_timeout=0)


@pytest.mark.parametrize("offset", [20, 4100, 8200])
def test_a_damaged_header(house: House, offset: int) -> None:
    house.build(given("a", Pair, Given(values(COLUMNS, "1, 1"))))
    house.leave()
    content = bytearray(house.file.read_bytes())
    content[offset : offset + 8] = b"\xff" * 8
    house.file.write_bytes(content)
    assert "is damaged" in refused(house.file)


def test_a_file_cut_short(house: House) -> None:
    house.build(given("a", Pair, Given("SELECT range AS k, range * 7919 % 9973 AS v FROM range(50000)")))
    house.leave()
    content = house.file.read_bytes()
    house.file.write_bytes(content[:20_000])
    assert "is cut off" in refused(house.file)


def test_a_damaged_block_is_found_when_it_is_read_and_the_rest_goes_on(house: House) -> None:
    large = "SELECT range AS k, (hash(range) % 1000000007)::BIGINT AS v FROM range(200000)"
    a = given("a", Pair, Given(large))
    b = given("b", Pair, Given(values(COLUMNS, "1, 1")))
    c = made("c", Pair, {"a": Pair}, lambda a: a)
    assert house.build(a, b, c).ok
    blocks = house.rows("SELECT DISTINCT block_id FROM pragma_storage_info('w.warehouse.a') WHERE block_id >= 0")
    house.leave()
    # Blocks of 256 KB stand behind three headers of 4 KB.
    place = 3 * 4096 + max(block for (block,) in blocks) * 262144 + 1000
    with house.file.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 64)
    result = house.build(a, b, c, names=["b", "c"])
    assert isinstance(result.errors["c"], WarehouseError)
    assert "damaged" in str(result.errors["c"])
    assert "Restore it from a backup" in str(result.errors["c"])
    assert house.table(b) == [(1, 1)]


def test_a_locked_file_names_who_holds_it(tmp_path: Path) -> None:
    with held(tmp_path / "w.duckdb") as process:
        with pytest.raises(WarehouseLocked) as caught:
            connect(tmp_path / "w.duckdb", Options(), lock_timeout=0.2)
        text = str(caught.value)
        assert f"process {process.pid} " in text
        assert Path(sys.executable).name in text
        assert "after 0.2 s" in text
        assert "PIPELINE_LOCK_TIMEOUT" in text
        process.kill()
        process.wait()
        connect(tmp_path / "w.duckdb", Options(), lock_timeout=0).close()


def test_a_lock_that_is_released_in_time_is_waited_for(tmp_path: Path) -> None:
    with held(tmp_path / "w.duckdb") as process:
        assert process.stdin is not None
        timer = threading.Timer(0.3, process.stdin.close)
        timer.start()
        connect(tmp_path / "w.duckdb", Options(), lock_timeout=60).close()
        timer.join()


def test_the_process_is_named_also_when_its_command_line_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> bytes:
        raise PermissionError

    with held(tmp_path / "w.duckdb") as process:
        monkeypatch.setattr(Path, "read_bytes", unreadable)
        with pytest.raises(WarehouseLocked, match=f"process {process.pid}"):
            connect(tmp_path / "w.duckdb", Options(), lock_timeout=0)


def test_nothing_holds_the_file_after_a_session_however_it_ended(house: House) -> None:
    """Also while the errors of the run, with their tracebacks, are still there."""
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    remembered = ibis.memtable({"k": [1], "v": [2]})
    results = [
        house.build(up, made("a", Pair, {"up": Pair}, lambda up: up.union(remembered))),
        house.build(up, made("a", Pair, {"up": Pair}, lambda up: up.select("k"))),
        house.build(given("b", Pair, Given("SELECT CAST('x' AS BIGINT) AS k, 1::BIGINT AS v"))),
    ]
    assert [result.ok for result in results] == [True, False, False]
    house.leave()
    with held(house.file):
        pass
    kept = []

    def careless() -> None:
        with house.warehouse.session() as session:
            kept.append(session.connection.sql("SELECT 1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        careless()
    with held(house.file):
        assert kept
        assert results


def test_open_in_this_process_already_with_other_options(house: House) -> None:
    house.rows("SELECT 1")
    with pytest.raises(WarehouseError, match=r"open in this process already.*Close that session first"):
        connect(house.file, Options(threads=1, memory_limit="1GB"), lock_timeout=0)


def test_a_warehouse_of_another_version_of_the_books(house: House) -> None:
    house.rows("ALTER TABLE ops.publications DROP COLUMN profile")
    house.leave()
    with pytest.raises(
        WarehouseError,
        match=r"another version of this framework.*Move the warehouse's file away.*anew from the sources",
    ):
        house.rows("SELECT 1")
    house.leave()


def test_dates_of_instants_do_not_follow_the_machine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert house.rows("SELECT TIMESTAMPTZ '2026-01-01 20:00:00Z'::DATE::VARCHAR") == [("2026-01-01",)]


def test_options_reach_the_database(tmp_path: Path) -> None:
    options = Options(memory_limit="200MB", threads=1, temp_folder=tmp_path / "spill", temp_limit="1GB")
    connection = connect(None, options, lock_timeout=0)
    wanted = ("threads", "temp_directory", "preserve_insertion_order", "python_enable_replacements")
    found = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert [found[name] for name in wanted] == ["1", str(tmp_path / "spill"), "false", "false"]
    connection.close()


def test_running_out_of_memory_and_of_temporary_disk_is_one_line(house: House) -> None:
    house.warehouse.options = Options("30MB", 1, house.folder / "spill", "1MB")
    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Pair, source)
    assert house.build(a).ok
    source.sql = "SELECT len(list(md5(range::VARCHAR))) AS k, 1::BIGINT AS v FROM range(1000000)"
    error = house.build(a).errors["a"]
    assert isinstance(error, WarehouseError)
    assert "out of memory or of disk for temporary files" in str(error)
    assert "PIPELINE_SCRATCH_LIMIT" in str(error)
    assert house.table(a) == [(1, 1)]


def test_an_interrupt_rolls_back(house: House) -> None:
    """Ctrl-C in the middle of publishing."""
    # A process started in the background by a shell ignores Ctrl-C; this one must not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    class Impatient:
        def __init__(self, inner: duckdb.DuckDBPyConnection) -> None:
            self.inner = inner

        def execute(self, query: str, *arguments: object) -> object:
            if str(query).startswith("ALTER"):
                signal.raise_signal(signal.SIGINT)
            return self.inner.execute(query, *arguments)

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    source = Given(values(COLUMNS, "1, 1"))
    a = given("a", Pair, source)
    assert house.build(a).ok
    source.sql = values(COLUMNS, "2, 2")
    plain = house.session.connection
    house.session.connection = Impatient(plain)  # type: ignore[assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            house.build(a)
    finally:
        signal.signal(signal.SIGINT, before)
    house.session.connection = plain
    assert house.table(a) == [(1, 1)]
    assert house.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '\\_\\_%' ESCAPE '\\'") == []


def test_an_error_of_the_sql_itself_is_told_by_the_line_that_wrote_it(house: House) -> None:
    up = given("up", Pair, Given(values(COLUMNS, "1, 1")))
    result = house.build(up, made("a", Pair, {"up": Pair}, lambda up: up.alias("t").sql("SELECT nothing FROM t")))
    error = result.errors["a"]
    assert isinstance(error, CodeError)
    assert isinstance(error.__cause__, duckdb.BinderException)
    assert re.search(r"warehouse.a \(.*test_connection.py:\d+\): BinderException: .*nothing", str(error))
    assert house.build(up).ok


def test_a_connection_that_fails_after_opening_leaves_nothing_open(tmp_path: Path) -> None:
    """As with a time zone that DuckDB does not know."""
    with pytest.raises(WarehouseError, match="cannot be opened"):
        connect(tmp_path / "w.duckdb", Options(time_zone="Nowhere/Land"), lock_timeout=0)
    with held(tmp_path / "w.duckdb"):
        pass


def test_who_is_waited_for_is_told_while_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    with held(tmp_path / "w.duckdb") as process, notices.reading(told.append):
        stdin = process.stdin
        assert stdin is not None
        with notices.reading(lambda _: stdin.close()):
            connect(tmp_path / "w.duckdb", Options(), lock_timeout=600).close()
    assert len(told) >= 1
    assert told[0].startswith(f"waiting: {tmp_path / 'w.duckdb'}: process {process.pid} (")
    assert "holds it; waiting for up to 600 s" in told[0]
    assert told[0] in capsys.readouterr().err


def test_folders_made_at_once_are_not_taken_for_those_of_dead_runs(tmp_path: Path) -> None:
    """Two tables of a run begin to read at the same moment, and each looks for what killed runs left."""

    def made(_: int) -> bool:
        with scratch_folder(tmp_path) as folder:
            (folder / "rows").write_text("")
            return (folder / "rows").exists()

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(made, range(800)))
    assert list(tmp_path.iterdir()) == []


UNASKED = """
import os
import sys
from assay.warehouse import connection as opened
from assay.warehouse.dry.guard import guarded

plain = opened.connect(None, opened.Options(), lock_timeout=0)
connection = guarded(plain)
assert connection.execute("SELECT ?, [?]", ["a", 1]).fetchall() == [("a", [1])]
assert "pandas" not in sys.modules
if not (often := os.fork()):
    opened.ASKED = 10
    connection.execute("SELECT ?", [[*range(20)]])
    os._exit("pandas" not in sys.modules)
assert os.waitpid(often, 0)[1] == 0
if not (somebody := os.fork()):
    plain.execute("SELECT ?", ["a"])
    os._exit("pandas" not in sys.modules)
assert os.waitpid(somebody, 0)[1] == 0, "what is no statement of the framework's is as it was"

def missing(n: int) -> int:
    import pandas
    return None if pandas.isna(pandas.NaT) else n

connection.create_function("missing", missing, null_handling="special")
assert connection.execute("SELECT missing(?::BIGINT)", [1]).fetchall() == [(None,)]
import pandas
assert connection.execute("SELECT ?, ?", [pandas.NaT, pandas.NA]).fetchall() == [(None, None)]
connection.register("frame", pandas.DataFrame({"at": pandas.Series([pandas.NaT, "x"], dtype=object)}))
assert connection.execute("FROM frame").fetchall() == [(None,), ("x",)]
"""


def test_parameters_alone_import_no_pandas_and_whoever_imports_it_has_it() -> None:
    subprocess.run([sys.executable, "-c", UNASKED], check=True)
