"""Variables that stand in files beside a project: `.env` for every environment, `.env.prod` and so on for one.

The format is python-dotenv's, which Dagster reads `.env` with as well; a line that it would skip is an error here.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import dotenv
import dotenv.parser

from assay.errors import SettingsError, on_disk

ENVIRONMENT = "the environment"
"""The origin of a variable that no file says."""


def layers(environ: Mapping[str, str], root: Path, prefix: str) -> list[tuple[str, Mapping[str, str]]]:
    """Where variables come from and which they are; what comes later counts before what comes first.

    Raises:
        SettingsError: a file cannot be read, or has a line that says no variable, or another environment than its own.
    """
    chosen = environ.get(f"{prefix}ENV_FILE")
    if chosen is not None:
        return [(chosen, variables(root / chosen, chosen)), (ENVIRONMENT, environ)]
    every = variables(root / ".env", ".env")
    if environ is os.environ:
        _put_back(every)
    # Dagster has put those of `.env` into the environment, where they would count before the environment's own file.
    said = {name: text for name, text in environ.items() if every.get(name) != text}
    env = said.get(f"{prefix}ENV", every.get(f"{prefix}ENV", "dev"))
    file = f".env.{env}"
    own = variables(root / file, file) if env.isidentifier() else {}
    if (other := own.get(f"{prefix}ENV", env)) != env:
        raise SettingsError(f"says the environment {other}", where=f"{file}: {prefix}ENV", fix="Take the line out.")
    return [(".env", every), (file, own), (ENVIRONMENT, said)]


def variables(file: Path, name: str) -> dict[str, str]:
    """The variables of a file; none where it does not exist."""
    if not file.exists():
        return {}
    with on_disk(SettingsError, "cannot be read", where=name):
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise SettingsError("is not UTF-8", where=name, fix="Save it as UTF-8.") from None
    for each in dotenv.parser.parse_stream(io.StringIO(text)):
        if each.error or (each.key is not None and each.value is None):
            line = each.original.line + len(each.original.string) - len(each.original.string.lstrip("\n"))
            raise SettingsError(
                "says no variable", where=f"{name}, line {line}", fix="Write NAME=value, or # before it."
            )
    return {key: value or "" for key, value in dotenv.dotenv_values(stream=io.StringIO(text)).items()}


def _put_back(every: Mapping[str, str]) -> None:
    """Give variables that Dagster took out of `.env` the values that the shell gave them.

    `dagster dev` and its other commands put all of the `.env` of their folder into the environment, over what is there.
    What was there the system knows, of the first process of Dagster's among this one and those that it belongs to; where
    it cannot tell (there is no /proc), `.env` counts.
    """
    taken = [name for name, text in every.items() if os.environ.get(name) == text]
    process, dagsters = str(os.getpid()), None
    try:
        while taken and process != "0":
            folder = Path("/proc", process)
            words = folder.joinpath("cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            if "dagster" in {Path(word).name for word in words[:2]} or ("-m", "dagster") in pairwise(words):
                dagsters = folder
            # The second field, the program's name in parentheses, may hold anything; the fourth is who started it.
            process = folder.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()[1]
        said = os.fsdecode(dagsters.joinpath("environ").read_bytes()).split("\0") if dagsters is not None else []
    except OSError:  # another user's, or gone
        said = []
    shell = dict(each.split("=", 1) for each in said if "=" in each)
    os.environ.update({name: shell[name] for name in taken if name in shell})
