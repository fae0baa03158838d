"""Where a run comes from: its code location, who started it, and the commit; so that all runs look alike in the UI."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from assay.errors import PipelineError
from assay.tables.code_version import source_location

if TYPE_CHECKING:
    from assay.project import Project
    from assay.tables.nodes import Node

STARTED_BY = "pipeline/started_by"
"""The tag that says who started a run, such as `schedule daily`."""
COMMIT = "pipeline/commit"
"""The tag with the commit that a run's code is; `+` at its end where files differ from it."""
TERMINAL = "pipeline run"
"""Who starts the runs of the command line."""
NOT_REPEATED = {"dagster/max_retries": "0"}
"""Whoever started a run in a terminal sees how it ends, and does not want the daemon to start another one."""


def repository(project: Project) -> RemoteRepositoryOrigin:
    """The code location of `project` as Dagster's servers know it: its name is the package's, as in workspace.yaml."""
    target = LoadableTargetOrigin(
        executable_path=sys.executable,
        module_name=f"{project.package}.definitions",
        working_directory=str(project.root),
    )
    return RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=project.package), SINGLETON_REPOSITORY_NAME
    )


@contextmanager
def located(instance: dg.DagsterInstance, project: Project, job: str) -> Iterator[None]:
    """Give the runs of `job` that the block creates the code location: a run without one is in no list of the UI."""
    origin = repository(project).get_job_origin(job)
    # `execute_in_process` creates the run itself, and has no argument for this.
    vars(instance)["create_run_for_job"] = partial(instance.create_run_for_job, remote_job_origin=origin)
    try:
        yield
    finally:
        vars(instance).pop("create_run_for_job")


def terminal_tags(root: Path) -> dict[str, str]:
    """The tags of a run that `pipeline run` starts."""
    return {STARTED_BY: TERMINAL, **NOT_REPEATED, **_commit_tag(root)}


def sign(instance: dg.DagsterInstance, run: dg.DagsterRun, root: Path) -> None:
    """Tag a run that has begun with who started it and the commit, unless it is."""
    wanted = {STARTED_BY: started_by(run.tags), **_commit_tag(root)}
    if any(run.tags.get(name) != value for name, value in wanted.items()):
        instance.add_run_tags(run.run_id, wanted)


def started_by(tags: Mapping[str, str]) -> str:
    """Who started the run with `tags`; one that is executed again inherits those of the first."""
    if parent := tags.get("dagster/parent_run_id"):
        automatic = "dagster/retry_number" in tags
        return f"{'automatic retry' if automatic else 're-execution'} of {parent[:8]}"
    for tag, word in (
        ("dagster/backfill", "backfill"),
        ("dagster/schedule_name", "schedule"),
        ("dagster/sensor_name", "sensor"),
    ):
        if name := tags.get(tag):
            return f"{word} {name}"
    return tags.get(STARTED_BY, "UI")


def code_references(node: Node, project: Project) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Metadata that links to the function of `node`: in the editor in dev, elsewhere in the repository.

    Empty where neither is known: outside of dev without a checkout that has an address.
    """
    file, line = source_location(node)
    try:
        in_dev = project.settings().env == "dev"
    except PipelineError:
        in_dev = True  # the run will say it
    if in_dev:
        here = dg.LocalFileCodeReference(file_path=str(file), line_number=line, label=file.name)
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[here])}
    base = web_address(project.root)
    if base is None or not file.is_relative_to(project.root):
        return {}
    url = f"{base}/{file.relative_to(project.root).as_posix()}#L{line}"
    there = dg.UrlCodeReference(url=url, label=file.name)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[there])}


@lru_cache
def web_address(root: Path) -> str | None:
    """Where the files of `root` stand on the web at this commit: from Git's remote `origin`."""
    try:
        remote = _git(root, "remote", "get-url", "origin")
        commit, folder = _git(root, "rev-parse", "HEAD"), _git(root, "rev-parse", "--show-prefix")
    except (OSError, subprocess.SubprocessError):
        return None
    # git@host:team/project.git, ssh://git@host/team/project.git, https://token@host/team/project.git
    found = re.fullmatch(r"(?:\w+://)?(?:[^@/]+@)?([\w.-]+)(?::\d+)?[:/](.+?)(?:\.git)?/?", remote)
    if found is None:
        return None
    blob = "-/blob" if "gitlab" in found[1] else "blob"
    return f"https://{found[1]}/{found[2]}/{blob}/{commit}/{folder}".rstrip("/")


def _commit_tag(root: Path) -> dict[str, str]:
    commit = commit_of(root)
    return {COMMIT: commit} if commit else {}


def commit_of(root: Path) -> str | None:
    """The commit of the files in `root`, with a `+` where they differ from it; None where there is no Git."""
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
