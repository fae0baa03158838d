"""Opening a DuckDB file: pinned session options, and waiting for whoever holds it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import duckdb

from assay import notices
from assay.errors import WarehouseError, WarehouseLocked, on_disk
from assay.warehouse.failures import first_line, raise_interrupt

_HELD = re.compile(r"Conflicting lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")
ASKED = 10_000
"""So many questions take as long as the import that they ask for."""


class _Unasked(MetaPathFinder):
    """Keeps DuckDB from importing pandas when the framework's statements have parameters, to tell what pandas calls missing.

    That is a third of a second before the first table of a run. Where pandas is there already nothing changes, code that
    imports it gets it, and DuckDB from then on as well.
    """

    def __init__(self) -> None:
        self.asked = 0

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "pandas" and self.asked < ASKED:
            frame = sys._getframe(1)
            while frame.f_back is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
                frame = frame.f_back
            if frame.f_globals.get("__name__", "").startswith("assay."):
                self.asked += 1
                raise ModuleNotFoundError("No module named 'pandas'", name=name)


_unasked = _Unasked()


@dataclass(frozen=True)
class Options:
    """DuckDB's limits for one session; None leaves DuckDB's own default.

    `time_zone` is UTC in every run; only the check that nothing depends on it uses another.
    """

    memory_limit: str | None = None
    threads: int | None = None
    temp_folder: Path | None = None
    temp_limit: str | None = None
    time_zone: str = "UTC"

    def config(self) -> dict[str, str | bool | int | float | list[str]]:
        """The options as `duckdb.connect` takes them."""
        config: dict[str, str | bool | int | float | list[str]] = {
            # Order is no property of a table; keeping it would cost memory and a thread barrier.
            "preserve_insertion_order": False,
            # A name that is no table must be an error, never a Python variable of that name.
            "python_enable_replacements": False,
            # It tells files by whole seconds: one that was replaced within one would be read with the old one's pages.
            "enable_external_file_cache": False,
            # Of new files. Written so, 21 million rows with two columns of codes take 35% less of the processor than in
            # DuckDB's default format of 2024, and are read 8% quicker; long texts take 20% more.
            "storage_compatibility_version": "v1.3.0",
        }
        if self.memory_limit:
            config["memory_limit"] = self.memory_limit
        if self.threads:
            config["threads"] = self.threads
        if self.temp_folder:
            config["temp_directory"] = str(self.temp_folder)
        if self.temp_limit:
            config["max_temp_directory_size"] = self.temp_limit
        return config


def connect(
    database: Path | None,
    options: Options,
    *,
    lock_timeout: float,
    read_only: bool = False,
) -> duckdb.DuckDBPyConnection:
    """Open `database` (None: in memory) in UTC, waiting up to `lock_timeout` seconds for another process.

    Raises:
        WarehouseLocked: another process still holds the file; the message names it.
        WarehouseError: the file is no DuckDB database, is damaged, or cannot be read or created.
    """
    if _unasked not in sys.meta_path:
        sys.meta_path.insert(0, _unasked)
    if database is not None and not read_only:
        _make_folder(database.parent, "PIPELINE_WAREHOUSE")
    if options.temp_folder:
        _make_folder(options.temp_folder, "PIPELINE_SCRATCH")

    def attempt() -> duckdb.DuckDBPyConnection:
        name = ":memory:" if database is None else str(database)
        connection = duckdb.connect(name, read_only=read_only, config=options.config())
        try:
            settle(connection, options.time_zone)
        except BaseException:
            connection.close()
            raise
        return connection

    return waiting(attempt, database, lock_timeout)


def settle(connection: duckdb.DuckDBPyConnection, time_zone: str = "UTC") -> None:
    """What each connection is told, for DuckDB gives it to no other one of the same database."""
    # Dates of instants follow the session's zone: without this a laptop and a server disagree.
    connection.execute(f"SET TimeZone = '{time_zone}'")
    # How far a query is can be asked for only if it is counted; it is told by the command line alone.
    connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")


@contextmanager
def reading(
    database: Path, options: Options | None = None, *, lock_timeout: float
) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection that may only read `database`, which exists, and its catalog's name; raises as `connect` does."""
    connection = connect(database, options or Options(), lock_timeout=lock_timeout, read_only=True)
    try:
        yield connection, connection.execute("SELECT current_database()").fetchall()[0][0]
    finally:
        close(connection)


def close(connection: duckdb.DuckDBPyConnection) -> None:
    """Close `connection`, ending a query that still runs: after Ctrl-C one does, and closing would wait for it."""
    with suppress(duckdb.Error):  # it is closed already
        connection.interrupt()
    connection.close()


def waiting(
    attempt: Callable[[], duckdb.DuckDBPyConnection], database: Path | None, lock_timeout: float
) -> duckdb.DuckDBPyConnection:
    """Call `attempt` until no other process holds `database`; translate DuckDB's errors."""
    patience = Patience(database, lock_timeout)
    while True:
        try:
            return attempt()
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise _unreadable(database, error) from None
            patience.wait(f"{_holder(str(error))} holds it")
        except (duckdb.Error, RuntimeError) as error:
            raise_interrupt(error)
            raise _unreadable(database, error) from None


class Patience:
    """Waits for whoever holds `database`, says so while it does, and gives up after `lock_timeout` seconds."""

    def __init__(self, database: Path | None, lock_timeout: float) -> None:
        self.database, self.lock_timeout = database, lock_timeout
        self._began = time.monotonic()
        self._pause, self._tell = 0.05, 1.0

    def wait(self, who: str) -> None:
        """A moment; raises WarehouseLocked, naming `who`, when the time is up."""
        waited = time.monotonic() - self._began
        if waited >= self.lock_timeout:
            raise WarehouseLocked(
                f"{who}, and still did after {self.lock_timeout:g} s",
                where=str(self.database),
                fix="Wait for it to end, end it, or raise PIPELINE_LOCK_TIMEOUT.",
            )
        if waited >= self._tell:
            # Told soon, and then ever more seldom: a log of an hour's waiting has a dozen lines.
            notices.notice(f"waiting: {self.database}: {who}; waiting for up to {self.lock_timeout:g} s")
            self._tell *= 2
        time.sleep(min(self._pause, self.lock_timeout - waited))
        self._pause = min(self._pause * 1.5, 0.5)


def _make_folder(folder: Path, setting: str) -> None:
    with on_disk(
        WarehouseError, "the folder cannot be created", where=str(folder), fix=f"Set {setting} to another place."
    ):
        folder.mkdir(parents=True, exist_ok=True)


_REASONS = (
    ("not a valid DuckDB database", "is no DuckDB database", "Set PIPELINE_WAREHOUSE to another file."),
    ("Is a directory", "is a folder, not a file", "Set PIPELINE_WAREHOUSE to a file."),
    ("database does not exist", "does not exist", "Run the pipeline first: pipeline run."),
    ("Cannot open file", "cannot be opened", "Check the path and who may write there, or set PIPELINE_WAREHOUSE."),
    ("different configuration", "is open in this process already, with other options", "Close that session first."),
    ("version number", "was written by another version of DuckDB", "Install the DuckDB that wrote it."),
    ("orrupt", "is damaged", "Restore it from a backup, or move it away: the next run builds a new one."),
    ("enough bytes", "is cut off", "Restore it from a backup, or move it away: the next run builds a new one."),
)
"""What stands in DuckDB's message, what it means, and what to do."""


def _unreadable(database: Path | None, error: Exception) -> WarehouseError:
    message = first_line(error)
    _, what, fix = next(
        (reason for reason in _REASONS if reason[0] in message),
        ("", "cannot be opened", "Check the file, or set PIPELINE_WAREHOUSE to another one."),
    )
    return WarehouseError(f"{what} ({message})", where=str(database or "in-memory warehouse"), fix=fix)


def process_name(pid: int | str, otherwise: str = "") -> str:
    """A process as a person can find it: its number and the beginning of its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = [otherwise]
    return f"process {pid} ({' '.join(words).strip()[:120]})"


def _holder(message: str) -> str:
    match = _HELD.search(message)
    return process_name(match["pid"], match["program"]) if match else "another process"
