"""`make` says what it can do, installs only when something changed, and says in a line why it cannot."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_project_tests.repository import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = MAKEFILE.partition(".PHONY:")[2].splitlines()[0].split()
NEEDED = (
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "scripts/install.sh",
    "dagster.yaml",
    "assay/pyproject.toml",
)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "TESTS")}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that setting up needs, as just cloned."""
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_help_tells_what_each_target_is_for() -> None:
    told = re.findall(r"^  make (\S+) +\w", make(ROOT, "help").stdout, re.M)
    assert sorted(told) == sorted(TARGETS)


def test_without_a_target_it_runs_what_ci_runs() -> None:
    assert make(ROOT, "-n", "PYTHON=python").stdout == make(ROOT, "-n", "check", "PYTHON=python").stdout


def test_only_check_runs_the_slow_tests_and_browsers() -> None:
    def pytests(*arguments: str) -> list[str]:
        lines = make(ROOT, "-n", "PYTHON=python", *arguments).stdout.splitlines()
        return [line.partition(" --dist worksteal")[2].strip() for line in lines if " -m pytest " in line]

    assert pytests("check") == ['-m "not spark"']
    assert pytests("test") == ['-m "not browser and not slow and not spark"']
    assert pytests("test", "TESTS=pipeline_project_tests/browser") == ["pipeline_project_tests/browser"]


def test_ci_runs_check() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "make -j2 check spark || status=$?" in lines
    assert lines[-1] == 'exit "$status"'
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")


def test_a_clean_clone_is_installed_first(clone: Path) -> None:
    assert make(clone, "-n", "run").stdout.startswith("sh scripts/install.sh .venv\n")


def test_nothing_is_installed_again_when_nothing_changed(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()
    assert "install.sh" not in make(clone, "-n", "run").stdout
    newer = (clone / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(clone / "requirements.lock", (newer, newer))
    assert "install.sh" in make(clone, "-n", "run").stdout


def test_an_environment_that_is_ready_is_used_as_it_is(clone: Path) -> None:
    done = make(clone, "-n", "test", "PYTHON=/opt/python")
    assert "install.sh" not in done.stdout
    assert '"/opt/python" -m pytest' in done.stdout


@pytest.mark.parametrize(("env", "kept"), [("dev", ".dagster"), ("dry_run", ".dagster/dry_run")])
def test_history_is_kept_in_the_project_and_dry_runs_have_their_own(
    clone: Path, env: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_ENV", env)
    for _ in range(2):
        done = make(clone, "dev", "PYTHON=true")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "Dagster's UI: http://localhost:3000 in half a minute; Ctrl-C ends it\n"
    assert f'DAGSTER_HOME="{clone / kept}"' in make(clone, "-n", "dev", "PYTHON=true").stdout
    assert (clone / kept / "dagster.yaml").read_text() == (clone / "dagster.yaml").read_text()


def install(folder: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    """Run the installer with nothing but `tools` on the PATH."""
    shell = shutil.which("sh")
    assert shell is not None
    return subprocess.run(
        [shell, "scripts/install.sh", ".venv"],
        cwd=folder,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_python_one_line_says_what_to_do(clone: Path) -> None:
    tools = clone / "tools"
    tools.mkdir()
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")  # as a Python 3.9 answers to the version check
    (tools / "python3").chmod(0o755)
    done = install(clone, tools)
    assert done.returncode == 2
    assert done.stderr == (
        "install: no Python 3.11 to 3.14 found. Install one, or name it: make PYTHON3=/path/to/python3.12\n"
    )
    assert not (clone / ".venv").exists()


def test_without_the_venv_module_one_line_says_what_to_do(clone: Path) -> None:
    tools = clone / "tools"
    tools.mkdir()
    # As Debian's Python without python3-venv: everything but that import works.
    script = f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n'
    (tools / "python3").write_text(script)
    (tools / "python3").chmod(0o755)
    (tools / "rm").symlink_to(str(shutil.which("rm")))
    done = install(clone, tools)
    assert done.returncode == 2
    assert (
        done.stderr == "install: this Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv\n"
    )


UV = """#!/bin/sh
case "$*" in
--version) echo uv ;;
venv*) for folder; do :; done; mkdir -p "$folder/bin"; ln -s "{python}" "$folder/bin/python" ;;
*--require-hashes*)
    mkdir -p .venv/lib/python3.11/site-packages/one-1.dist-info
    until [ -e seen ]; do sleep 0.1; done ;;
esac
"""


@pytest.mark.parametrize("ci", [False, True])
def test_a_terminal_sees_how_far_the_installation_is_and_a_build_servers_log_does_not(clone: Path, ci: bool) -> None:
    tools = clone / "tools"
    tools.mkdir()
    (tools / "uv").write_text(UV.format(python=sys.executable))
    (tools / "uv").chmod(0o755)
    if ci:
        (clone / "seen").touch()
    environment = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "TERM": "xterm",
        **({"CI": "true"} if ci else {}),
    }
    ours, theirs = os.openpty()
    installing = subprocess.Popen(
        ["sh", "scripts/install.sh", ".venv"],
        cwd=clone,
        env=environment,
        stdout=theirs,
        stderr=theirs,
        # Where tests run in a shell's background, Dagster's handlers leave this process deaf to it, and what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    )
    os.close(theirs)
    told = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while some := os.read(ours, 4096):
            told += some
            if re.search(rb"install: 1 of \d{3} packages  \d+ s", told):
                (clone / "seen").touch()
    os.close(ours)
    assert installing.wait() == 0, told
    assert (b"\r\x1b[Kinstall: 1 of " in told) is not ci, told
    assert told.endswith(b"install: compiling them, once\r\n")
    assert ci or b" s\r\x1b[Kinstall: compiling" in told, "the line is gone when something else is said"


def test_the_path_of_python_may_have_blanks(clone: Path) -> None:
    folder = clone / "my programs"
    folder.mkdir()
    (folder / "python").write_text('#!/bin/sh\necho "ran $*"\n')
    (folder / "python").chmod(0o755)
    (clone / "pipeline_project").mkdir()
    for path in ("my programs/python", str(folder / "python")):
        done = make(clone, "run", f"PYTHON={path}")
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ran -m pipeline_project run"), done.stderr
        done = make(clone, "dev", f"PYTHON={path}")
        assert done.returncode == 0, done.stderr
        assert "ran -W ignore" in done.stdout
