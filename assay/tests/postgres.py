"""Debian's PostgreSQL in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

AS_POSTGRES = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
"""The server refuses to run as root."""
GUARDED = "guarded"
"""The database that asks for a password; all others let everybody in."""


@contextmanager
def server() -> Iterator[str]:
    """A server on loopback, until the block ends; its URL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL's server is not there")
        pytest.skip("PostgreSQL's server is not there")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="assay_pg_"))
    data = folder / "data"
    if AS_POSTGRES:
        shutil.chown(folder, "postgres", "postgres")

    def as_postgres(program: str, *options: str, check: bool = True) -> None:
        command = [*AS_POSTGRES, str(found[-1] / program), "-D", str(data), *options]
        subprocess.run(command, check=check, capture_output=True, cwd="/")

    try:
        as_postgres("initdb", "--no-sync", "-A", "trust", "-U", "postgres")
        rules = data / "pg_hba.conf"
        rules.write_text(f"host {GUARDED} all 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        as_postgres("pg_ctl", "-o", options, "-l", str(folder / "log"), "-w", "start")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        as_postgres("pg_ctl", "-m", "immediate", "stop", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def execute(url: str, *statements: str) -> None:
    """Execute statements there, each for itself."""
    import psycopg  # few tests need it, and all processes that collect them would load it

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
