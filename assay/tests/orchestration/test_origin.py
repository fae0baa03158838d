"""Runs look alike in Dagster's UI, whoever started them: in the same lists, and tagged with who and which commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dagster as dg
import pytest

from assay.orchestration.origin import (
    COMMIT,
    STARTED_BY,
    commit_of,
    located,
    sign,
    started_by,
    terminal_tags,
    web_address,
)
from tests.orchestration.test_history import JOB, QUIET
from tests.shop.project import shop_project


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with one commit."""
    (tmp_path / "file").write_text("as committed")
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "file"], [*own, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_run_of_the_terminal_is_in_the_lists_of_its_code_location(checkout: Path) -> None:
    project = shop_project(checkout)
    with dg.DagsterInstance.ephemeral() as instance:
        with located(instance, project, "all"):
            tags = terminal_tags(project.root)
            run_id = JOB.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET, tags=tags).run_id
        # What the job's page asks for, and what the timeline and *Re-execute* need.
        (run,) = instance.get_runs(
            dg.RunsFilter(job_name="all", tags={".dagster/repository": "__repository__@tests.shop"})
        )
        assert run.run_id == run_id
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.location_name == "tests.shop"
        assert run.tags["dagster/code_location"] == "tests.shop"
        assert run.tags[STARTED_BY] == "pipeline run"
        assert run.tags[COMMIT] == commit_of(checkout)
        sign(instance, run, checkout)
        assert instance.get_runs()[0].tags == run.tags
        other = JOB.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET).run_id
        assert instance.get_runs(dg.RunsFilter(run_ids=[other]))[0].remote_job_origin is None, "only inside the block"


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({}, "UI"),
        ({STARTED_BY: "pipeline run"}, "pipeline run"),
        ({"dagster/schedule_name": "daily"}, "schedule daily"),
        ({"dagster/sensor_name": "orders_lag"}, "sensor orders_lag"),
        ({"dagster/backfill": "abcdef"}, "backfill abcdef"),
        ({STARTED_BY: "pipeline run", "dagster/parent_run_id": "0123456789"}, "re-execution of 01234567"),
        ({"dagster/parent_run_id": "0123456789", "dagster/retry_number": "1"}, "automatic retry of 01234567"),
    ],
)
def test_a_run_says_who_started_it(tags: dict[str, str], words: str) -> None:
    assert started_by(tags) == words


def test_the_commit_is_marked_where_files_differ_from_it(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    commit = commit_of(checkout)
    assert commit is not None
    assert len(commit) == 12
    (checkout / "file").write_text("changed")
    assert commit_of(checkout) == f"{commit}+"
    assert commit_of(tmp_path_factory.mktemp("no_git")) is None


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:team/project.git", "https://github.com/team/project/blob/"),
        ("https://name:secret@github.com/team/project", "https://github.com/team/project/blob/"),
        ("ssh://git@gitlab.example.org:2222/a/b/project.git", "https://gitlab.example.org/a/b/project/-/blob/"),
        ("/srv/git/project.git", None),
    ],
)
def test_code_is_linked_to_the_repository_at_the_commit(checkout: Path, remote: str, address: str | None) -> None:
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=checkout, check=True)
    found = web_address(checkout)
    assert (found is None) if address is None else (found or "").startswith(address)
    assert "secret" not in (found or "")
    (checkout / "inner").mkdir()
    assert (found is None) or (web_address(checkout / "inner") or "").endswith("/inner")
