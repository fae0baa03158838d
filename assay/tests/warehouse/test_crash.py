"""Killed at any step of publishing, or out of disk: a reader sees the old version whole, or the new one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
NEW = {
    "append": {
        "rows": [["3", "7", "7", "old"]],
        "offsets": [[0, 6]],
        "watermarks": [["a", ""]],
        "published": [[1, 2], [2, 3]],
        "rejects": [["2", "open"], ["3", "open"], ["5", "open"]],
    },
    "replace": {
        "rows": [["1", "2", "20", "new"]],
        "offsets": [],
        "published": [[1, 2], [2, 1]],
        "rejects": [["2", "open"], ["3", "resolved"], ["9", "open"]],
    },
    "partition": {
        "rows": [["2", "3", "21", "old"]],
        "offsets": [],
        "watermarks": [["a", ""]],
        "published": [[1, 2], [2, 2]],
        "rejects": [["2", "open"], ["3", "resolved"], ["9", "open"]],
    },
    "merge": {
        "rows": [["2", "3", "21", "old"]],
        "offsets": [],
        "watermarks": [["a", "20"]],
        "published": [[1, 2], [2, 2]],
        "rejects": [["2", "open"], ["3", "open"]],
    },
}


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.warehouse.victim", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def said(program: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, errors = program.communicate()
    assert program.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    programs = [
        started("append", tmp_path_factory.mktemp("kill")),
        started("replace", "partition", "merge", tmp_path_factory.mktemp("kill")),
    ]
    return [found for program in programs for found in said(program)]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["append", "replace", "partition", "merge"])
def test_after_a_kill_at_any_statement_all_is_old_or_all_is_new(kills: list[dict[str, Any]], scenario: str) -> None:
    """Rows, offsets, books and rejects together; and building again gives the new version, nothing lost or twice."""
    old, unharmed, *attacks = [found for found in kills if found["scenario"] == scenario]
    tables = ["a", "builds", "code", "code_sources", "metrics", "offsets", "partitions"]
    tables += ["publications", "rejected", "watermarks"]
    new = {"exact": True, "tables": tables, "watermarks": [], **NEW[scenario]}
    assert old["old"]["tables"] == tables
    assert not unharmed["died"]
    assert unharmed["seen"] == new
    assert len(attacks) > 8
    seen = []
    for found in attacks:
        place = (found["number"], found["delay"])
        assert found["seen"] in (old["old"], new), place
        seen.append(found["seen"] == new)
        if found["seen"] == old["old"] and "then" in found:
            assert found["then"] == new, place
    # Both happened: killed too early, and killed when it was published already.
    assert set(seen) == {False, True}
    assert all(found["died"] for found in attacks if not found["delay"])
    # An event is published once: whoever dies after the commit has committed the offsets too.
    assert sum("then" in found for found in attacks) > 2


@pytest.mark.slow
def test_a_full_disk_is_one_clear_line_and_the_old_version_stays(tmp_path: Path) -> None:
    old, *found = said(started("full", tmp_path))
    assert [each["more"] for each in found if each["said"]["error"]] == [0, 1 << 18]
    for each in found:
        assert not each["died"]
        assert each["then"]["rows"][0][0] == "60000"
        assert each["error"] == ""
        error = each["said"]["error"]
        if error:
            assert "the disk is full or cannot be written" in error
            assert "Free the disk. Nothing was published; the previous version stays." in error
            assert "\n" not in error
            assert each["seen"] == old["old"]
        else:
            assert each["seen"]["rows"] == each["then"]["rows"]
