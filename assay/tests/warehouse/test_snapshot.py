"""The copy for readers: they never make a build wait, and see the old version whole or the new one."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.warehouse.house import Given, House, given, values
from tests.warehouse.test_publish import COLUMNS, Pair

READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print(connection.execute("SELECT k FROM warehouse.a ORDER BY k").fetchall(), flush=True)
"""


def published(house: House, *rows: str) -> None:
    assert house.build(given("a", Pair, Given(values(COLUMNS, *rows)))).ok
    house.leave()


def keys(file: Path) -> list[tuple[int]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute("SELECT k FROM warehouse.a ORDER BY k").fetchall()


@pytest.fixture
def copy(house: House) -> Path:
    house.warehouse.snapshot = house.folder / "readers" / "snapshot.duckdb"
    published(house, "1, 1")
    return house.warehouse.snapshot


def test_a_reader_of_the_copy_holds_up_nobody_and_goes_on_reading_what_it_opened(house: House, copy: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(copy)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def asked() -> str:
            assert reader.stdin is not None
            assert reader.stdout is not None
            reader.stdin.write("?\n")
            reader.stdin.flush()
            return reader.stdout.readline()

        assert asked() == "[(1,)]\n"
        published(house, "2, 2")  # the house waits for nobody: lock_timeout=0
        assert asked() == "[(1,)]\n"
        assert keys(copy) == [(2,)]
        reader.stdin.close()
    assert [file.name for file in copy.parent.iterdir()] == [copy.name]


def test_a_session_that_changes_nothing_copies_nothing(house: House, copy: Path) -> None:
    before = copy.stat().st_ino
    house.rows("SELECT 1")
    house.leave()
    assert copy.stat().st_ino == before


def test_a_copy_that_cannot_be_made_is_said_and_the_one_before_stays(
    house: House, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house.warehouse.snapshot = copy / "below_a_file"
    published(house, "2, 2")
    assert "snapshot not renewed: " in capsys.readouterr().err
    assert keys(copy) == [(1,)]
    assert keys(house.file) == [(2,)]


def test_what_a_killed_copy_left_is_removed_and_another_process_s_is_not(house: House, copy: Path) -> None:
    left, others = copy.with_name(f".{copy.name}.x.part"), copy.with_name(f".{copy.name}.y.part")
    left.write_bytes(b"half")
    handle = os.open(others, os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    published(house, "2, 2")
    os.close(handle)
    assert not left.exists()
    assert others.exists()
    assert keys(copy) == [(2,)]
