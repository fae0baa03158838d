"""Where a run keeps Dagster's history."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from assay import cli
from assay.orchestration.home import dagster_home


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


@pytest.mark.parametrize(("dry", "folder"), [(False, ".dagster"), (True, ".dagster/dry_run")])
def test_the_history_follows_the_projects_dagster_yaml(root: Path, *, dry: bool, folder: str) -> None:
    home = dagster_home(root, dry=dry)
    assert home == root / folder
    (root / "dagster.yaml").write_text("changed: true\n")
    assert (home / "dagster.yaml").read_text() == "changed: true\n"
    assert dagster_home(root, dry=dry) == home


def test_a_link_that_leads_nowhere_is_renewed(root: Path) -> None:
    """As after the project's folder was moved."""
    (root / ".dagster").mkdir()
    (root / ".dagster" / "dagster.yaml").symlink_to(root / "before" / "dagster.yaml")
    assert (dagster_home(root, dry=False) / "dagster.yaml").read_text() == (root / "dagster.yaml").read_text()


def test_a_dagster_yaml_of_its_own_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(root / "elsewhere"))
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "dagster.yaml").write_text("own: true\n")
    assert (dagster_home(root, dry=False) / "dagster.yaml").read_text() == "own: true\n"


def test_windows_is_told_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "os", SimpleNamespace(name="nt"))
    pipeline = cli.command_line("nobody.asks:this", distribution="dagster-assay")
    with pytest.raises(SystemExit) as ended:
        cli.run(pipeline)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: Windows is not supported. Use WSL, where this is Linux.\n"
