"""Every command and path in the documents is executed or checked, and the settings table is the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from assay.settings import BaseSettings
from pipeline_project.cli import pipeline
from pipeline_project.settings import Settings
from pipeline_project_tests import documents, pictures, repository
from pipeline_project_tests.documents import Block, Shell
from pipeline_project_tests.pictures import Picture
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


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "CHANGELOG.md"], ids=name)
def test_every_command_in_a_sentence_exists_with_its_options(document: Path) -> None:
    for command in documents.spoken_of(document):
        problem = documents.problem_with(command, MAKE_TARGETS, pipeline) or ""
        assert re.sub("Missing (argument|option) .*|.* requires an argument.", "", problem) == "", command.line


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.origin], ids=name)
def test_what_is_quoted_stands_in_its_file(block: Block) -> None:
    lines = tuple(line for line in block.body.splitlines() if line.strip() != "...")
    assert len(lines) > 3
    assert documents.lines_not_printed(lines, (ROOT / str(block.origin)).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in ("python", "yaml", "toml")], ids=name)
def test_every_example_parses(block: Block) -> None:
    if block.language == "python":
        assert list(documents.misused_names(block.body)) == []
    elif block.language == "yaml":
        yaml.safe_load(block.body)


def test_the_readme_is_short_and_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(text.split()) < 1_100  # uv's has 1,080
    assert "`make check`" in text
    assert "$ make run " in text
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    reached = set(re.findall(r"\]\(([^)#]+\.md)", text))
    assert {page for page in reached if page.startswith("docs/")} <= pages


STORIES = [path for path in DOCUMENTS if any(block.executed for block in documents.blocks(path))]


@pytest.mark.slow
@pytest.mark.parametrize("document", STORIES, ids=name)
def test_the_executed_commands_do_what_is_shown(document: Path, tmp_path: Path) -> None:
    documents.copied(tmp_path)
    with Shell(tmp_path) as shell:
        for block in documents.blocks(document):
            if block.target:
                (tmp_path / block.target).write_text(block.body, encoding="utf-8")
            for command in block.commands if block.executed else ():
                code, printed = shell.run(command.line)
                expected = block.exit_code if command == block.commands[-1] else 0
                assert code == expected, f"{name(block)}: $ {command.line}\n{printed}"
                assert documents.lines_not_printed(command.output, printed) == [], f"{name(block)}\n{printed}"


@pytest.mark.parametrize("picture", pictures.PICTURES, ids=lambda picture: picture.file)
def test_a_picture_shows_what_its_document_executes(picture: Picture) -> None:
    """Lines that are too long for the picture end in an ellipsis; those of the document stand for any."""
    command, *lines = pictures.lines_of(pictures.IMAGES / picture.file)
    assert command == f"$ {picture.command.partition(' a-')[0]}"
    said = [documents.normalised(line) for line in pictures.shown(picture)]
    for line in map(documents.normalised, lines):
        assert any(each == line or (line.endswith("…") and each.startswith(line[:-1])) for each in said), (
            f"{picture.file} shows what {name(picture.document)} does not: make it anew ({pictures.__name__})\n{line}"
        )
    assert len(lines) > 3
    assert "http" not in (pictures.IMAGES / picture.file).read_text().replace("http://www.w3.org/2000/svg", "")


GUIDE = ROOT / "docs" / "operations.md"


def test_every_message_under_troubleshooting_is_one_that_is_printed() -> None:
    text = GUIDE.read_text(encoding="utf-8").partition("## Troubleshooting")[2].partition("\n## ")[0]
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


def test_the_settings_tables_are_the_settings() -> None:
    def rows(variables: dict[str, tuple[str, str]]) -> str:
        return "\n".join(
            f"| `{variable}` | {f'`{default}`' if default else ''} | {description} |"
            for variable, (default, description) in variables.items()
        )

    every, common = Settings.variables(), BaseSettings.variables()
    own = {variable: told for variable, told in every.items() if variable not in common}
    for document, table in ((GUIDE, rows(common)), (ROOT / "docs" / "template" / "example.md", rows(own))):
        assert f"{table}\n" in document.read_text(encoding="utf-8"), f"{name(document)} should read:\n{table}"
