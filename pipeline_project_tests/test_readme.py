"""Every command and path in the documents is executed or checked, and the settings table is the settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline_project.cli import pipeline
from pipeline_project.settings import Settings
from pipeline_project_tests import documents, repository
from pipeline_project_tests.documents import Block, Command
from pipeline_project_tests.repository import ROOT

ELSEWHERE = {"golden", "fork"}  # data; and a fork's own documents, which are checked in one
DOCUMENTS = [
    path
    for path in repository.files()
    if path.suffix == ".md" and not ELSEWHERE.intersection(path.relative_to(ROOT).parts[:2])
]
BLOCKS = [block for document in DOCUMENTS for block in documents.blocks(document)]
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def name(thing: object) -> str:
    if isinstance(thing, Block):
        return f"{thing.document.relative_to(ROOT)}:{thing.line}"
    return str(thing.relative_to(ROOT)) if isinstance(thing, Path) else repr(thing)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_path_leads_to_a_file(document: Path) -> None:
    missing = list(documents.missing_paths(document, ROOT))
    assert not missing, f"{name(document)} names files that are gone: {', '.join(missing)}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "console"], ids=name)
def test_every_command_exists_with_its_options(block: Block) -> None:
    assert block.commands, "a console block without a line that begins with '$ '"
    for command in block.commands:
        assert documents.problem_with(command, MAKE_TARGETS, pipeline) is None, command.line


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in ("python", "yaml", "toml")], ids=name)
def test_every_example_parses(block: Block) -> None:
    if block.language == "python":
        compile(block.body, name(block), "exec")
    elif block.language == "yaml":
        yaml.safe_load(block.body)


STORIES = [path for path in DOCUMENTS if any(block.executed for block in documents.blocks(path))]


@pytest.mark.slow
@pytest.mark.parametrize("document", STORIES, ids=name)
def test_the_executed_commands_do_what_is_shown(document: Path, tmp_path: Path) -> None:
    for path in repository.files():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    for block in documents.blocks(document):
        if block.executed:
            *before, last = block.commands
            for command in before:
                execute(command, tmp_path, block, 0)
            execute(last, tmp_path, block, block.exit_code)


def execute(command: Command, folder: Path, block: Block, exit_code: int) -> None:
    """Run one command as a reader would, with this environment's programs and the copy's code."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "PYTEST_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "assay" / "src")]),
        "MAKEFLAGS": f"PYTHON={sys.executable}",
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }
    environment.pop("CI", None)  # a reader's machine; with CI=true no golden is ever written
    done = subprocess.run(
        ["bash", "-c", command.line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, f"{name(block)}: $ {command.line}\n{done.stdout}"
    assert documents.lines_not_printed(command.output, done.stdout) == [], f"{name(block)}\n{done.stdout}"


def test_every_message_under_troubleshooting_is_one_that_is_printed() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Troubleshooting")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")][2:]
    messages = [message.removeprefix("install: ") for cell in cells for message in re.findall("`([^`]+)`", cell)]
    printed = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("pipeline_project", "scripts", "assay/src")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".sh")
    )
    assert len(messages) > 10
    assert [message for message in messages if message not in printed] == []


def test_the_settings_table_is_the_settings() -> None:
    table = "\n".join(
        f"| `{variable}` | {f'`{default}`' if default else ''} | {description} |"
        for variable, (default, description) in Settings.variables().items()
    )
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), f"README.md's settings should read:\n{table}"
