"""What the repository promises about its own files: the lock, names that must agree, no trace of one machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline_project.project import project
from pipeline_project_tests import repository
from pipeline_project_tests.repository import ROOT

LOCKS = [ROOT / file / "requirements.lock" for file in (".", "docs/site", "assay/tests/spark")]
LOCK = "".join(lock.read_text(encoding="utf-8") for lock in LOCKS)
PINS = {
    canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", LOCK, re.M)
}


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK
    assert "index-url" not in LOCK


def test_every_pin_of_the_lock_has_a_hash() -> None:
    for block in re.split(r"^(?=[\w.-]+)", LOCK, flags=re.M)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def requirements() -> Iterator[Requirement]:
    """What both distributions ask for; the project asks for the framework, which stands in this repository."""
    for folder in (ROOT, ROOT / "assay"):
        metadata = repository.pyproject(folder)
        for lines in (
            metadata["build-system"]["requires"],
            metadata["project"]["dependencies"],
            *metadata["project"].get("optional-dependencies", {}).values(),
            *metadata.get("dependency-groups", {}).values(),
        ):
            yield from (asked for asked in map(Requirement, lines) if asked.name != "dagster-assay")


@pytest.mark.parametrize("requirement", list(requirements()), ids=str)
def test_the_lock_holds_what_the_project_asks_for(requirement: Requirement) -> None:
    pinned = PINS.get(canonicalize_name(requirement.name))
    assert pinned is not None, f"`make lock`: {requirement.name} is not in requirements.lock"
    assert requirement.specifier.contains(pinned, prereleases=True), f"`make lock`: {pinned} is not {requirement}"


def traces(line: str) -> list[str]:
    """What in a line only makes sense on one machine or in one network."""
    home = r"(?<![\w.])/(?:home|Users|root|work|mnt|Volumes)/\w+"
    temporary = r"(?<![\w.])/(?:private/)?tmp/\w+"
    registry = r"\b(?:pypi|pythonhosted|npmjs|registry)\.(?:org|com|io)\b"
    private = r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"
    return re.findall("|".join((home, temporary, registry, private)), line)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("see /" + "home/ada/shop", True),
        ("see /" + "tmp/scratch", True),
        ("index: " + "pypi" + ".org/simple", True),
        ("host 192.168" + ".1.20", True),
        ("read data/tmp/rows.csv or http://127.0.0.1:8000/work/", False),
        ("version 10.2.1", False),
    ],
)
def test_a_trace_of_one_machine_is_seen(line: str, found: bool) -> None:
    assert bool(traces(line)) is found


def test_no_file_names_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {trace}"
        for path in repository.files()
        for number, line in enumerate((repository.text(path) or "").splitlines(), start=1)
        for trace in traces(line)
    ]
    assert found == []


def test_the_workspace_and_dg_agree_on_the_code_location() -> None:
    dg = tomllib.loads((ROOT / "dg.toml").read_text(encoding="utf-8"))["project"]
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    assert dg["code_location_name"] == entry["python_module"]["location_name"] == project.package
    assert dg["code_location_target_module"] == entry["python_module"]["module_name"]
    assert dg["root_module"] == project.package


def test_dg_is_not_configured_in_pyproject() -> None:
    """There it would make `dagster dev` ignore workspace.yaml without a word."""
    assert not {"dg", "dagster"} & repository.pyproject()["tool"].keys()


def test_dagster_sends_no_usage_statistics() -> None:
    assert yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))["telemetry"] == {"enabled": False}


def test_every_exception_of_the_linters_has_its_reason_on_the_line() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    codes = [line for line in lines if re.match(r'\s+"[A-Z]+\d+"', line) or re.match(r'\s+"ignore', line)]
    assert codes
    assert [line for line in codes if "#" not in line] == []


BREACHES = {
    "Imports point one way": ("{0}/extract/breach.py", "{0}.load"),
    "Tables read neither the environment nor the demo sources": ("{0}/transform/breach.py", "{0}.settings"),
    "The framework knows no project": ("assay/plan/breach.py", "{0}.extract"),
    "Only orchestration knows Dagster": ("assay/golden/breach.py", "dagster"),
    "The framework's rooms point one way": ("assay/warehouse/breach.py", "assay.golden"),
}


def test_an_import_against_the_layers_is_refused(tmp_path: Path) -> None:
    """One of each, all at once. That there is none, `make layers` tells."""
    name = project.package
    for folder in (ROOT / name, ROOT / f"{name}_tests", ROOT / "assay" / "src" / "assay"):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, module in BREACHES.values():
        (tmp_path / file.format(name)).write_text(f"import {module.format(name)}\n")
    code = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache', '--no-logo'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(tmp_path / "assay" / "src")]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    told = dict(zip(*[iter(re.split(r"^(.+)\n-+\n", result.stdout, flags=re.M)[1:])] * 2, strict=True))
    for contract, (file, module) in BREACHES.items():
        breach = file.format(name).removesuffix(".py").replace("/", ".")
        assert f"{breach} -> {module.format(name)} (l.1)" in told[contract], result.stdout


def test_every_action_of_a_workflow_is_named_by_its_digest() -> None:
    uses = [
        line.split("uses:", 1)[1].strip()
        for file in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    assert uses
    loose = [action for action in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)]
    assert not loose, f"a tag can be moved: {loose}"


def test_ci_runs_the_oldest_and_the_newest_supported_python() -> None:
    first, end = re.findall(r"3\.(\d+)", repository.pyproject()["project"]["requires-python"])
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["check"]["strategy"]["matrix"]["python-version"]
    assert matrix == [f"3.{first}", f"3.{int(end) - 1}"]


def test_the_hooks_before_a_commit_run_what_is_installed_and_download_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert hooks
    for hook in hooks:
        assert hook["language"] == "system"
        assert hook["entry"].startswith((".venv/bin/python -m ", "make --silent ")), hook["entry"]
