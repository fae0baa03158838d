"""`pipeline why`: one prediction explained, and one line for a key nobody knows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay.errors import PipelineError, WarehouseError
from assay.project import Project
from assay.settings import BaseSettings
from assay.testing.bench import Bench
from pipeline_project.load.why import why
from pipeline_project.project import project
from pipeline_project.transform.redemption_model import FEATURES
from pipeline_project_tests.transform.households import households


def ask(root: Path, household: int, campaign: int) -> Result:
    here: Project = dataclasses.replace(project, settings=lambda: BaseSettings.read({}, root=root))
    return CliRunner().invoke(why, [str(household), str(campaign)], obj=here)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a warehouse in which sixty households are scored."""
    folder = tmp_path_factory.mktemp("why")
    bench = Bench(project, folder)
    bench.given_arrow("redemption_features", households(60))
    bench.build("redemption_contributions")
    bench.build("redemption_scores")
    (folder / "data").mkdir()
    bench.sql.execute(f"ATTACH '{folder / 'data' / 'warehouse.duckdb'}' AS file; COPY FROM DATABASE memory TO file")
    bench.sql.close()
    return folder


def test_the_lines_add_up_to_the_margin(root: Path) -> None:
    result = ask(root, 4, 8)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "household 4, campaign 8 (2017-05-08 to 2017-06-25)"
    parts = [float(line.split()[-2 if line.endswith(("+", "-")) else -1]) for line in lines[5:-1]]
    margin = float(lines[-1].split()[-1])
    assert lines[1].startswith("probability ")
    assert f"margin {margin:+.4f}" in lines[1]
    assert sum(parts) == pytest.approx(margin, abs=1e-3)
    assert [abs(part) for part in parts[:-1]] == sorted((abs(part) for part in parts[:-1]), reverse=True)
    assert lines[-2].startswith("where everybody starts")
    assert max(map(len, lines)) <= 80
    assert not any(name in result.output for name in FEATURES)


@pytest.mark.parametrize(
    ("household", "campaign", "told"),
    [
        (999, 8, "no prediction for household 999"),
        (4, 999, "no prediction for campaign 999"),
        (4, 13, "campaign 13 was not sent to household 4"),
    ],
)
def test_an_unknown_key_is_one_clear_line(root: Path, household: int, campaign: int, told: str) -> None:
    error = ask(root, household, campaign).exception
    assert isinstance(error, PipelineError)
    assert str(error).startswith(told)
    assert "\n" not in str(error)


def test_without_a_warehouse_it_says_so_and_makes_none(tmp_path: Path) -> None:
    error = ask(tmp_path, 1, 1).exception
    assert isinstance(error, WarehouseError)
    assert "no warehouse yet" in str(error)
    assert not (tmp_path / "data").exists()
