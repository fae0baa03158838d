"""Processes of their own for commands, which begin with everything imported: forks of one that has imported it.

Imports are five of the six processor seconds of a small command. Its process is as real as one of `python ARGUMENTS`:
it has its id, folder, environment and output, may be killed or interrupted, and leaves through `__main__`. What it does
not have of its own is the seed of hashes. Where imports or hashes are the question, or where forking is not safe,
`subprocess` is the way.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import uuid
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

LATE = (
    "dagster._core.definitions.external_asset",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.execution.execute_in_process",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.migration.utils",
    "dagster._core.storage.root",
    "dagster._core.storage.schedules.sqlite",
    "dagster._core.system_config.composite_descent",
    "fsspec.implementations.local",
    "httpcore",
    "ibis.backends.duckdb",
    "jinja2",
    "pandera.backends.ibis.register",
    "pandera.ibis",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "stamina",
    "upath.implementations.local",
    "pandas",  # the last: after it Pandera would not be imported alone, as it is in a process of its own
)
"""What commands import while they work, beside the modules of the framework; one that is gone costs time only."""


STAYS = b"stays"
"""Says, in the place of a command, that it is a process for which the forked one stays."""


class Process:
    """A command that runs, as of `subprocess.Popen` with text and pipes; or in the terminal `tty`."""

    def __init__(
        self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], given: str = "", tty: int | None = None
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(_server())
        ours_out, theirs_out = os.pipe()
        ours_err, theirs_err = os.pipe()
        with tempfile.TemporaryFile("w+") as stdin:
            stdin.write(given)
            stdin.seek(0)
            streams = [stdin.fileno(), theirs_out, theirs_err] if tty is None else [tty] * 3
            asked = json.dumps([list(arguments), str(cwd), dict(env)]).encode()
            socket.send_fds(self._line, [asked], streams)
        os.close(theirs_out)
        os.close(theirs_err)
        self.stdout, self.stderr = os.fdopen(ours_out), os.fdopen(ours_err)
        self.pid = int(self._line.recv(64))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.stderr.close()
        self.wait()

    def poll(self) -> int | None:
        """What it left with; below 0: the signal that ended it; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            self.returncode = int(self._line.recv(64))
            self._line.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        with ThreadPoolExecutor(2) as pool:
            output, errors = (pool.submit(stream.read) for stream in (self.stdout, self.stderr))
            try:
                found = output.result(timeout), errors.result(timeout)
            except TimeoutError:
                self.kill()
                raise
        self.wait()
        self.stdout.close()
        self.stderr.close()
        return found

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def start(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], given: str = "", tty: int | None = None
) -> Process:
    """`python ARGUMENTS` in `cwd`, which begin with `-m MODULE`, `-c CODE` or a file; `given` on its standard input."""
    process = Process(arguments, cwd, env, given, tty)
    atexit.register(process.kill)  # a test that fails leaves nobody behind
    return process


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], given: str = ""
) -> subprocess.CompletedProcess[str]:
    """The same until it has ended."""
    process = start(arguments, cwd=cwd, env=env, given=given)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(list(arguments), process.wait(), output, errors)


def program(name: str, code: str) -> Path:
    """A folder for the PATH of a shell, with the program `name`, which is `python -c CODE`."""
    folder = Path(_server()).parent / f"programs_{os.getpid()}"
    folder.mkdir(exist_ok=True)
    words = shlex.join([sys.executable, "-I", __file__, _server(), "-c", code])
    (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    (folder / name).chmod(0o755)
    return folder


def _ask(place: str, arguments: list[str]) -> int:
    """As a process that a shell has started: its streams, its signals, its exit code."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.connect(place)
        socket.send_fds(line, [json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode()], [0, 1, 2])
        pid = int(line.recv(64))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        code = int(line.recv(64))
    return code if code >= 0 else 128 - code


@functools.cache
def _server() -> str:
    """Where the process that is forked listens: one for all processes of a run of tests, which ends with the last of them."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    folder = Path(tempfile.gettempdir()) / f"warm-{run[:16]}"
    folder.mkdir(exist_ok=True)
    place = folder / "asked"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            command = [sys.executable, __file__, str(place)]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
            assert server.communicate()[0] == b"ready\n"
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.connect(str(place))
        line.send(STAYS)
    atexit.register(line.close)  # and held by this, until then
    return str(place)


def _imported() -> None:
    import duckdb
    from alembic.script import ScriptDirectory

    import assay

    names = [found.name for found in pkgutil.walk_packages(assay.__path__, "assay.")]
    for name in [*(name for name in names if "testing" not in name and not name.endswith("__main__")), *LATE]:
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(name)
    # Each run asks which of Dagster's migrations is the newest.
    storage = importlib.import_module("dagster._core.storage.runs.sqlite.sqlite_run_storage")
    ScriptDirectory.from_config(storage.get_alembic_config(storage.__file__)).get_current_head()
    duckdb.default_connection().close()  # it has a thread, which a fork would not have and yet wait for
    gc.collect()
    gc.freeze()


def _serve(place: str) -> tuple[list[str], str, dict[str, str]]:
    """Fork for whoever asks, and tell how it ended. Returns in the forks only, with what was asked."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended, noted = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(noted)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(place)
    server.listen()
    os.write(1, b"ready\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    running: dict[int, socket.socket] = {}
    staying: list[socket.socket] = []
    while True:
        waiting: list[Any] = [ended, server.fileno(), *staying]
        ready = select.select(waiting, [], [], None if staying else 60)[0]
        for gone in {each for each in staying if each in ready}:
            staying.remove(gone)
            gone.close()
        if not staying and (not ready or server.fileno() not in ready):  # who started this is gone, and all others
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(Path(place).parent)
            os._exit(0)
        if server.fileno() in ready:
            asking, _ = server.accept()
            asked, streams, _, _ = socket.recv_fds(asking, 1 << 20, 3)
            if asked == STAYS:
                staying.append(asking)
                continue
            with warnings.catch_warnings(action="ignore"):  # the threads of numpy and pyarrow may be forked
                pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                for end in (
                    *streams,
                    ended,
                    noted,
                    *(each.detach() for each in (server, asking, *staying, *running.values())),
                ):
                    os.close(end)
                arguments, folder, environment = json.loads(asked)
                return arguments, folder, environment
            running[pid] = asking
            asking.send(str(pid).encode())
            for stream in streams:
                os.close(stream)
        if ended in ready:
            os.read(ended, 4096)
            _tell_of_the_ended(running)


def _tell_of_the_ended(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            with contextlib.suppress(BrokenPipeError), running.pop(pid) as asking:
                asking.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Run in this process what `python ARGUMENTS` runs in one of its own."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    if os.isatty(1) and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    sys.modules["numpy"].random.seed()
    sys.modules.pop("assay.commands.health_commands", None)  # it notes when its process began
    sys.path[:1] = [name for name in environment.get("PYTHONPATH", "").split(os.pathsep) if name]
    importlib.invalidate_caches()
    first, *sys.argv = arguments
    if first == "-m":
        sys.path.insert(0, folder)
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    sys.path.insert(0, "" if first == "-c" else str(Path(first).resolve().parent))
    if first == "-c":
        code, sys.argv[0] = compile(sys.argv[0], "<string>", "exec"), "-c"
    else:
        sys.argv, main.__file__ = arguments, first
        code = compile(Path(first).read_bytes(), first, "exec")
    exec(code, vars(main))


if __name__ == "__main__":
    if sys.argv[2:]:
        sys.exit(_ask(sys.argv[1], sys.argv[2:]))
    if os.fork():  # whoever started this has no child to wait for
        os._exit(0)
    _imported()
    _become(*_serve(sys.argv[1]))
