"""The harder way of the README: where the file's folder is mounted read-only, a table's own code cannot write it either."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[4]
MOUNTED = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec unshare --user "$@"'
"""As the README has it: the folder read-only in a namespace of its own, then no more rights in it to mount it otherwise."""

DRY = """
import sys
from pathlib import Path
from assay.warehouse.warehouse import DryRunWarehouse

file, scratch = Path(sys.argv[1]), Path(sys.argv[2])
with DryRunWarehouse(file, scratch=scratch).session() as session:
    print(session.connection.execute("SELECT v FROM real.extract.t").fetchall())
    try:
        file.open("ab").write(b"x")
    except OSError as error:
        print(error.strerror)
"""


def in_namespace(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED, str(folder), *command],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A warehouse in a folder of its own; skipped where the system has no namespaces for users."""
    folder = tmp_path / "data"
    folder.mkdir()
    if shutil.which("unshare") is None or in_namespace(folder, "true").returncode:
        pytest.skip("this system lets users make no namespaces")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA extract; CREATE TABLE extract.t AS SELECT 1 AS v")
    return folder


@pytest.mark.slow
def test_the_tables_own_code_cannot_write_what_is_mounted_read_only(data: Path, tmp_path: Path) -> None:
    file, before = data / "warehouse.duckdb", (data / "warehouse.duckdb").read_bytes()
    done = in_namespace(data, sys.executable, "-c", DRY, str(file), str(tmp_path / "scratch"))
    assert done.stdout == "[(1,)]\nRead-only file system\n", done.stderr
    assert file.read_bytes() == before


def test_nor_can_it_mount_it_otherwise(data: Path) -> None:
    done = in_namespace(data, "mount", "-o", "remount,bind,rw", str(data))
    assert done.returncode != 0


def test_the_readme_has_it_like_this() -> None:
    assert MOUNTED in (ROOT / "assay" / "README.md").read_text()
