"""What the command line prints of the example's real tables, names and rows fits a terminal of 80 columns."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay import terminal
from assay.commands import run_commands
from pipeline_project.cli import pipeline
from pipeline_project_tests.repository import ROOT

sys.path.insert(0, str(ROOT / "assay"))
from tests.screens import Screen, run

BUILT = ("raw_coupons", "raw_campaign_descriptions", "raw_products", "products", "coupons")
COMMANDS = (
    ["tables"],
    ["settings"],
    ["settings", "--env", "prod"],
    ["quarantine", "list"],
    ["quarantine", "list", "--table", "coupons", "--limit", "3"],
    ["plan", "coupons"],
    ["plan", "coupons", "--details"],
    ["golden", "a-weekend-without-exchange-rates"],
    ["health"],
)


@pytest.mark.slow
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in a terminal of its own, and the other commands on what it left."""
    environment = {
        "PIPELINE_WAREHOUSE": str(tmp_path / "w.duckdb"),
        "PIPELINE_OUTPUT": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "PYTHONPATH": str(ROOT),
    }
    found = {}
    built = run(["-m", "pipeline_project", "run", *BUILT], cwd=ROOT, environment=environment)
    assert built.code == 0, built.text
    assert "rejected" in built.text
    found["run"] = built.too_wide(80)
    for module in (terminal, run_commands):
        monkeypatch.setattr(module, "columns", lambda _: 80)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for arguments in COMMANDS:
        monkeypatch.setenv("PIPELINE_ENV", "dev")
        done = CliRunner().invoke(pipeline, arguments, terminal_width=80)
        assert done.output, arguments
        assert "No such" not in done.output, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, done.exception)
        found[" ".join(arguments)] = Screen(done.output, done.exit_code).too_wide(80)
    assert {name: lines for name, lines in found.items() if lines} == {}
