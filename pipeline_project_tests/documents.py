"""Reads the repository's Markdown: its fenced blocks, and the commands and paths it names.

How a document says what is done with its commands: a ```console block holds lines that begin with `$ `, each
followed by what it prints. `<!-- run -->` on the line above the fence executes them, in order, in a copy of the
repository and a shell that the document's other executed blocks share, and compares what is printed; `<!-- run: 1 -->`
says that the last one leaves with 1. `<!-- to a.py -->` writes the block there first. Without a mark, the commands are only checked: the target, subcommand and options exist; so
are those that stand in a sentence. `<!-- from pipeline_project/a.py -->` above a block of code: it is quoted from there.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click

from pipeline_project_tests import repository
from pipeline_project_tests.repository import ROOT

sys.path.insert(0, str(ROOT / "assay"))
from tests import warm
from tests.little import empty_history

FENCE = re.compile(
    r"^(?:<!-- (?:(?P<run>run)(?:: (?P<code>\d+))?|from (?P<origin>\S+)|to (?P<target>\S+)) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.M | re.S,
)
GENERATED = ("data", "build", ".venv", ".dagster", "golden/.pending", ".env", "dist")
OTHER_PROGRAMS = {
    *("git", "cd", "cat", "sed", "uv", "export", "rm", "cp", "mkdir", "echo", "python", "docker", "kill"),
    *("createdb", "createuser"),
}


@dataclass(frozen=True)
class Command:
    """One `$ ` line, with the lines it is shown to print."""

    line: str
    output: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """The words without a comment and without leading NAME=value."""
        words = shlex.split(self.line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        return words


@dataclass(frozen=True)
class Block:
    """A fenced block; `exit_code` is what its last command leaves with, if it is executed; `origin`: quoted from there;
    `target`: written there."""

    document: Path
    line: int
    language: str
    body: str
    executed: bool
    exit_code: int
    origin: str | None = None
    target: str | None = None

    @property
    def commands(self) -> list[Command]:
        found: list[tuple[str, list[str]]] = []
        for line in self.body.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return [Command(line, tuple(output)) for line, output in found]


def blocks(document: Path) -> list[Block]:
    """Every fenced block of a Markdown file."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document,
            text.count("\n", 0, found.start("body")),
            found["language"],
            found["body"],
            found["run"] is not None,
            int(found["code"] or 0),
            found["origin"],
            found["target"],
        )
        for found in FENCE.finditer(text)
    ]


def spoken_of(document: Path) -> list[Command]:
    """The commands that stand in sentences and tables, where what they are given may be left out."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    spans = re.findall(r"`((?:pipeline|make) [^`\n]+)`", text)
    return [Command(span.partition(" | ")[0], ()) for span in spans]


def misused_names(code: str) -> Iterator[str]:
    """What the code imports from the framework and is not there, and arguments that what it calls does not take."""
    tree = ast.parse(code)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "assay":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                known[alias.asname or alias.name] = getattr(module, alias.name, None)
                if not hasattr(module, alias.name):
                    yield f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and callable(known.get(node.func.id)):
            takes = inspect.signature(known[node.func.id]).parameters
            yield from (f"{node.func.id}({each.arg}=)" for each in node.keywords if each.arg not in takes)


def missing_paths(document: Path, root: Path) -> Iterator[str]:
    """Links and paths in the text that lead to no file of the repository."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    links = [link for link in links if link]
    yield from (link for link in links if not (document.parent / link).exists())
    for span in re.findall(r"`([^`\n]+)`", text):
        if _is_path(span, root) and not (root / span).exists() and not (document.parent / span).exists():
            yield span


def _is_path(span: str, root: Path) -> bool:
    if not re.fullmatch(r"[\w.\-]+(/[\w.\-]*)*", span) or span.startswith((*GENERATED, "./", "../")):
        return False
    first = span.split("/")[0]
    return "/" in span and ((root / first).exists() or bool(re.search(r"\.(py|md|yml|yaml|toml|html)$", span)))


def problem_with(command: Command, targets: set[str], pipeline: click.Group) -> str | None:
    """Why a command of a document cannot be right; None if nothing speaks against it."""
    words = command.words
    if not words:
        return "no command"
    program, *arguments = words
    if program == "make":
        named = [word for word in arguments if "=" not in word and not word.startswith("-")]
        unknown = [name for name in named if name not in targets]
        return f"make has no target {', '.join(unknown)}" if unknown else None
    if program in ("pipeline", "dagster", "dg"):
        group = pipeline if program == "pipeline" else _group_of(program)
        return _parse(group, program, arguments)
    return None if program in OTHER_PROGRAMS else f"unknown program {program}"


@functools.cache
def _group_of(program: str) -> click.Group:
    if program == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli()
    from dagster_dg_cli.cli import create_dg_cli

    group: click.Group = create_dg_cli()
    return group


def _parse(group: click.Group, name: str, arguments: list[str]) -> str | None:
    """Parse without running anything."""
    if {"-h", "--help", "--version"} & set(arguments):
        arguments = [word for word in arguments if word not in ("-h", "--help", "--version")]
        if not arguments:
            return None
    command: click.Command = group
    try:
        while isinstance(command, click.Group):
            # The group parses for itself: one of ours runs its default subcommand when none is named.
            context = command.make_context(name, list(arguments))
            left = [*context._protected_args, *context.args]
            if not left:  # a group that does something itself
                return None
            found, command_found, arguments = command.resolve_command(context, left)
            if command_found is None:
                return f"{name} has no subcommand {found}"
            command, name = command_found, f"{name} {found}"
        command.make_context(name, list(arguments))
    except click.ClickException as error:
        return error.format_message()
    return None


def normalised(line: str) -> str:
    """A printed line without what changes from run to run: instants, seconds, run ids, and the width of columns."""
    line = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", "<id>", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", "<when>", line)
    line = re.sub(r"\b\d+(\.\d+)? ?(s|ms|seconds)\b", "<time>", line)
    return " ".join(line.split())


def lines_not_printed(shown: tuple[str, ...], printed: str) -> list[str]:
    """The first shown line that was not printed, in order; `...` stands for any text, alone for any lines."""
    remaining = iter([normalised(line) for line in printed.splitlines()])
    for line in shown:
        wanted = normalised(line)
        if wanted in ("", "..."):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("...")))
        # The iterator advances: what follows must be printed after it.
        if not any(pattern.fullmatch(each) for each in remaining):
            return [line]
    return []


def executed(document: Path) -> list[Command]:
    """The commands of a document that are executed, in order."""
    return [command for block in blocks(document) if block.executed for command in block.commands]


class Shell:
    """A reader's shell in `folder`: what it exports and starts lasts until the block of `with` ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            ["bash"],
            cwd=self.folder,
            env={**environment(self.folder), "COLUMNS": "120", "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()  # until nobody holds the output

    def run(self, line: str) -> tuple[int, str]:
        """What the command leaves with, and what it and what runs beside it printed until then."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        end = f"-- {uuid.uuid4()} "
        self.process.stdin.write(f"{{ {line}\n}} < /dev/null; printf '\\n%s%s\\n' '{end}' $?\n")
        self.process.stdin.flush()
        printed: list[str] = []
        for text in self.process.stdout:
            if text.startswith(end):
                return int(text.removeprefix(end)), "".join(printed)
            printed.append(text)
        raise AssertionError(f"the shell ended at: {line}\n{''.join(printed)}")


def copied(folder: Path) -> Path:
    """The repository in `folder`, where its code may be changed."""
    for path in repository.files():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    shutil.copytree(empty_history(), folder / ".dagster")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """A reader's: this environment's programs, and the copy's code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "PYTEST_"))}
    kept.pop("CI", None)  # with CI=true no golden is ever written
    command = warm.program("pipeline", "from pipeline_project.cli import main; main()")
    return {
        **kept,
        "PATH": os.pathsep.join([str(command), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "assay" / "src")]),
        "MAKEFLAGS": f"PYTHON={sys.executable}",
    }
