"""What the code declares is kept, and drawn anew when a byte of that code changes: nothing old is ever judged by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from assay.health import kept
from assay.health.draw import outline
from assay.health.kept import FILE
from assay.health.outline import Outline
from tests.little import Little
from tests.shop.project import shop_project


def aged(folder: Path) -> None:
    """Let all files be an hour old: what has changed while a process loads it is kept by nobody."""
    for file in folder.rglob("*.py"):
        os.utime(file, (time.time() - 3600, time.time() - 3600))


def test_what_is_kept_is_what_was_drawn(tmp_path: Path) -> None:
    """Of the tables of the tests' shop, with partitions, owners, checks and an event log."""
    project = shop_project(tmp_path)
    drawn = kept.drawn("tests.shop", "", lambda: outline(project.graph, project.fresh))
    kept.write(tmp_path, drawn, time.time() + 60)
    assert kept.read(tmp_path, "tests.shop", "") == drawn
    assert list(drawn.outline.nodes) == list(project.graph.nodes)
    assert len(list(tmp_path.glob(f"{FILE}*"))) == 1
    kept.write(tmp_path / "gone", drawn, time.time() + 60)  # nobody can write there: it is drawn each time


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that imports a module beside it."""
    folder = tmp_path / "kept_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("import kept_beside")
    (tmp_path / "kept_beside.py").write_text("OWNER = 'team:shop'")
    (folder / "rules.yml").write_text("a: 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("kept_package")
    monkeypatch.delitem(sys.modules, "kept_package", raising=False)
    monkeypatch.delitem(sys.modules, "kept_beside", raising=False)
    __import__("kept_package")
    return folder


@pytest.mark.parametrize(
    "change", ["a module beside", "a file of data", "a new file", "one less", "what is installed", "the file"]
)
def test_any_change_of_the_code_draws_anew(
    tmp_path: Path, package: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    drawn = kept.drawn("kept_package", "", lambda: Outline({}))
    kept.write(home, drawn, time.time() + 60)
    assert kept.read(home, "kept_package", "") == drawn
    assert kept.read(home, "kept_package", "fresh in prod alone") is None
    if change == "a module beside":
        (tmp_path / "kept_beside.py").write_text("OWNER = 'team:food'")
    elif change == "a file of data":
        (package / "rules.yml").write_text("a: 2")
    elif change == "a new file":
        (package / "table.py").write_text("")
    elif change == "one less":
        (package / "rules.yml").unlink()
    elif change == "what is installed":
        monkeypatch.setattr(sys, "version", "3.99")
    else:
        (home / FILE).write_text('{"installed": "1"}')
    assert kept.read(home, "kept_package", "") is None
    assert drawn.holds("kept_package") == (change == "the file")


def test_what_changes_while_it_is_loaded_is_not_kept(tmp_path: Path, package: Path) -> None:
    def edited() -> Outline:
        (package / "rules.yml").write_text("a: 3")
        return Outline({})

    drawn = kept.drawn("kept_package", "", edited)
    assert not drawn.holds("kept_package"), "nobody knows which of both was loaded"
    kept.write(tmp_path, kept.drawn("kept_package", "", lambda: Outline({})), time.time() - 3600)
    assert not (tmp_path / FILE).exists(), "it was changed after the process began"


HEAVY = """
import atexit, sys
heavy = ("dagster", "pandera", "ibis", "pandas", "sqlalchemy")
atexit.register(lambda: print("heavy:", [name for name in heavy if name in sys.modules], file=sys.stderr))
"""


@pytest.mark.slow
def test_health_loads_no_table_and_no_dagster_until_the_code_changes(little: Little) -> None:
    """And a server that began with other code says that it cannot tell."""
    (little.root / "run.py").write_text(HEAVY + (little.root / "run.py").read_text())
    aged(little.root)
    assert little.run("run")[0] == 0
    first, again = (_cold(little, "health") for _ in "12")
    assert (first.returncode, "'pandera'" in first.stderr) == (0, True)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "heavy: []\n")
    serving = little.start("health", "--serve", "0")
    assert serving.stdout is not None
    address = serving.stdout.readline().split()[0]
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.status == 200
    file = little.table("more")
    file.write_text(file.read_text().replace("@table(source", "@table(owner='team:more', source"))
    with pytest.raises(urllib.error.HTTPError, match="503") as told:
        urllib.request.urlopen(address, timeout=60)
    assert "the tables' code has changed" in json.load(told.value)["error"]
    serving.terminate()
    serving.communicate(timeout=60)
    aged(little.root)
    settings = {"PIPELINE_ALERTS": "json://127.0.0.1:9/x team:more=json://127.0.0.1:9/x"}
    code, _, errors = little.run("health", "--notify", environment=settings)
    assert code == 0, errors + "the new table's owner is known"


def _cold(little: Little, command: str) -> subprocess.CompletedProcess[str]:
    """A process that has imported nothing yet."""
    arguments = [sys.executable, "run.py", command]
    return subprocess.run(
        arguments, cwd=little.root, env=little.environment, capture_output=True, text=True, check=False
    )
