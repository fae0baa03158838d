"""`pipeline run` as a person meets it when something is wrong: one line, where it stands, and no needless repeats."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from pipeline_project_tests import repository
from pipeline_project_tests.repository import ROOT

sys.path.insert(0, str(ROOT / "assay"))
from tests import warm
from tests.little import empty_history


def run(folder: Path, *arguments: str, code: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PIPELINE_WAREHOUSE": str(folder / "w.duckdb"),
        "PIPELINE_OUTPUT": str(folder),
        "DAGSTER_HOME": str(folder / "dagster"),
        "PYTHONPATH": str(code),
        "COLUMNS": "200",
        **settings,
    }
    shutil.copytree(empty_history(), folder / "dagster")
    return warm.run(["-m", "pipeline_project", "run", *arguments], cwd=code, env=environment)


@pytest.mark.slow
def test_a_missing_file_is_told_once_and_not_tried_again(tmp_path: Path) -> None:
    done = run(tmp_path, "raw_products", PIPELINE_SOURCE_RETAIL_FILES=str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stdout.count("FAILED") == 1
    assert "the file does not exist" in done.stdout


def test_days_of_a_table_without_partitions_are_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "products", "--partition", "2017-01-01")
    assert done.returncode == 2
    assert done.stderr == "error: none of these tables is partitioned, so 2017-01-01 is none of their partitions\n"
    assert not (tmp_path / "w.duckdb").exists()


@pytest.mark.slow
def test_what_was_made_is_opened_in_the_browser(tmp_path: Path) -> None:
    """As `make open` does it; the browser is a program that writes down what it is to open."""
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    environment = {**os.environ, "PIPELINE_OUTPUT": str(tmp_path), "BROWSER": f"{browser} %s", "COLUMNS": "200"}
    command = ["make", "--no-print-directory", "open", f"PYTHON={sys.executable}"]
    ask = partial(subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    done = ask()
    page = tmp_path / "dashboard.html"
    assert done.stderr.startswith(f"error: {page}: does not exist yet. Run: pipeline run.\n")
    assert not opened.exists()
    page.write_text("<p>sales")
    done = ask()
    assert (done.returncode, done.stdout) == (0, f"{page.as_uri()}\n")
    assert opened.read_text() == f"{page.as_uri()}\n"


@pytest.mark.slow
def test_a_mistake_in_a_tables_function_is_one_line_with_its_place(tmp_path: Path) -> None:
    for path in repository.files():
        if path.relative_to(ROOT).parts[0] in ("pipeline_project", "dagster.yaml"):
            copy = tmp_path / "code" / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "code" / "golden").mkdir()
    table = tmp_path / "code" / "pipeline_project" / "extract" / "raw_demographics.py"
    text = table.read_text()
    begin = text.index("return ", text.index("def raw_demographics"))
    table.write_text(f"{text[:begin]}source.no_such_column\n    {text[begin:]}")
    line = table.read_text()[: begin + 1].count("\n") + 1
    done = run(tmp_path, "raw_demographics", code=tmp_path / "code")
    assert done.returncode == 2, done.stdout
    (told,) = [each for each in done.stdout.splitlines() if "no_such_column" in each]
    assert told.strip().startswith("extract.raw_demographics (")
    assert f"raw_demographics.py:{line}): AttributeError: " in told
    assert "0 published, 1 failed, 0 skipped" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
