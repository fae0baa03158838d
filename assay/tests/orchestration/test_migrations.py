"""Dagster reads its migrations whenever it opens a file of its history; here once a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from assay.orchestration import history, migrations


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders whose migrations were read."""
    found: list[str] = []
    load = ScriptDirectory._load_revisions

    def loaded(directory: ScriptDirectory) -> Iterator[Script]:
        found.append(directory.dir)
        return load(directory)

    monkeypatch.setattr(ScriptDirectory, "_load_revisions", loaded)
    monkeypatch.setattr(migrations, "_read", {})
    return found


def test_two_histories_are_made_with_the_migrations_read_once(tmp_path: Path, read: list[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with history.instance(tmp_path / name) as instance:
            assert instance.get_runs() == []
    assert len(read) == 1


def test_migrations_that_are_not_dagsters_are_read_whenever_they_are_asked_for(tmp_path: Path, read: list[str]) -> None:
    (tmp_path / "versions").mkdir()
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    for _ in range(2):
        assert ScriptDirectory.from_config(config).get_current_head() is None
    assert len(read) == 2
