"""What data holds does nothing to a terminal: every command shows it marked, and sends no colours but its own."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import dagster as dg
import pytest

import assay
from assay.errors import PipelineError
from assay.terminal import say, styled, unstyled
from tests.little import Little

NASTY = "a\x1b]0;title\x07b\x1b[31mred\x1b[2J\x9bK\r\x08\u202ereversed\u2066\u200b\U000e0041\x7fc\nFake: 9 published"
"""Escape sequences that set the title, colour, clear and delete; marks that turn text around or hide; a second line."""
FILE = "or\x1b[2Jders\u202e.csv"
"""A file's name."""

TABLE = '''"""Notes."""
import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import RejectBudget, public, personal, table
from assay.sources import Csv
{imports}

class {model}(pa.DataFrameModel):
    k: dt.String = pa.Field(metadata=public)
    note: dt.String = pa.Field(nullable=True, metadata=public{rule})
    who: dt.String = pa.Field(nullable=True, metadata=personal)

    class Config:
        strict = True
        unique = ["k"]


@table({options})
def {name}({parameter}) -> Table[{model}]:
    """A row per note."""
    return {returned}
'''

SETTINGS = """from collections.abc import Mapping
from typing import ClassVar

class Settings:
    default_locations: ClassVar[Mapping[str, str]] = {}
"""


def table(root: Path, name: str, *, rule: str = "", options: str = "", upstream: str = "", returned: str = "") -> None:
    imports = f"from little.extract.{upstream} import {upstream.title()}" if upstream else ""
    parameter = f"{upstream}: Table[{upstream.title()}]" if upstream else "source: ibis.Table"
    (root / "little" / "extract" / f"{name}.py").write_text(
        TABLE.format(
            imports=imports, model=name.title(), rule=rule, name=name, parameter=parameter,
            returned=returned or upstream or "source",
            options=options or "source=Csv('files', 'data/or*.csv'), max_rejects=RejectBudget(rows=2)",
        )
    )  # fmt: skip


def acting(text: str) -> set[str]:
    """What of `text` would act or hide in a terminal."""
    return {character for character in text if not character.isprintable() and character not in "\n\t"}


@pytest.mark.slow
def test_whatever_a_command_shows_of_data_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    """Two tables with nasty values and a nasty file's name: published, set aside, refused, planned, compared, accepted."""
    little = Little(tmp_path)
    (tmp_path / "data").mkdir()
    source = tmp_path / "data" / FILE

    def given(*rows: tuple[str, str]) -> None:
        lines = [["k", "note", "who"], *([f"{key}{NASTY}", note, f"ann{NASTY}"] for key, note in rows)]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(lines)
        source.write_bytes(text.getvalue().encode())
        for case in ("one", "two"):
            inputs = tmp_path / "golden" / case / "inputs" / "files" / "data"
            inputs.mkdir(parents=True, exist_ok=True)
            (inputs / FILE).write_bytes(text.getvalue().encode())
            (inputs.parents[2] / "case.yml").write_text(f"description: {case}\ntables: [notes, below]\n")

    (tmp_path / "little" / "settings.py").write_text(SETTINGS)
    given(("1", NASTY), ("2", "ok"), ("3", f"no{NASTY}"))
    table(tmp_path, "notes", rule=", str_matches='a|ok'")
    table(tmp_path, "below", rule=", isin=['ok']", upstream="notes", options="max_rejects=RejectBudget(rows=1)")
    results = little.many(["run"], ["quarantine", "list"], ["quarantine", "list", "--json"])

    show = ["quarantine", "show", json.loads(results[2][1])[0]["id"]]
    results += little.many(
        show, [*show, "--unmask"], ["quarantine", "show", FILE], ["golden"], ["golden", "--json"], ["golden", "pending"], ["golden", "review"],
        ["golden", "accept"], ["golden", "determinism", "one"], ["golden", "coverage"], ["golden", "capture", "cut", "--from", "notes"],
        environment={"CI": ""},
    )  # fmt: skip
    given(("1", f"a{NASTY}"), ("2", f"no{NASTY}"), ("4", f"neither{NASTY}"), ("2", "ok"))
    results += (after := little.many(
        ["golden", "--every"], ["golden", "review"], ["plan", "--out", "kept", "--html", "plan.html"], ["plan", "--json"],
        ["run"], ["run", "below", "--traceback"], ["quarantine", "list"], ["quarantine", "discard", "--table", "notes"],
        ["quarantine", "replay", "--table", "below"], ["golden", "accept"], ["golden", "mutate", "below", "--no-search"],
        ["new-source", "others", "--kind", "csv", "--location", "data", "--path", FILE, "--sample", str(source),
         "--address", "./data"],
        ["apply", f"data/{FILE}"], ["run", FILE], ["golden", FILE],
        environment={"CI": ""},
    ))  # fmt: skip
    table(tmp_path, "below", rule=", isin=['ok']", upstream="notes", options="max_rejects=RejectBudget(rows=0)")
    results += (refused := little.many(["run", "below"], ["plan", "below"]))
    told = "".join(out + err for _, out, err in results)
    assert not acting(told), sorted(acting(told))
    assert not acting((tmp_path / "plan.html").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        events = [str(entry) for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    assert not acting("".join(events))
    # All of it was there to be shown, and is.
    for part in ("\\u001b]0;title", "\\u202e", "\\u009b", "\\U000e0041", "\\u200b", "\\u007f"):
        assert part in told, part
        assert part in refused[0][1], part
        assert part in refused[1][1], part
    assert "\nFake" not in told
    assert [json.loads(out) for _, out, _ in (results[2], results[7], after[3])]
    assert NASTY in json.loads(results[2][1])[0]["row"]["note"]


def test_an_error_shows_what_hides_in_the_names_it_quotes() -> None:
    assert (
        str(PipelineError("is\x1b[2J gone", where="a\u202e.csv", fix="Look.\n"))
        == "a\\u202e.csv: is\\u001b[2J gone. Look."
    )


def test_only_our_own_colours_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    text = styled("re\x1b[32md", fg="red") + " \x1b[34mblue \ud800"
    say(text)
    assert screen.getvalue() == "\x1b[31mre\\u001b[32md\x1b[0m \\u001b[34mblue \\ud800\n"
    assert unstyled(text) == "re\\u001b[32md \\u001b[34mblue \\ud800"
    monkeypatch.setenv("NO_COLOR", "1")
    say(text)
    assert screen.getvalue().endswith("\nre\\u001b[32md \\u001b[34mblue \\ud800\n")


def test_nothing_else_prints() -> None:
    """`terminal.py` is the one way, and a notice beside it."""
    printing = re.compile(r"click\.(?:echo|secho|style)\(|(?<![.\w])print\(|\bConsole\(|sys\.std(?:out|err)\.write")
    package = Path(assay.__file__).parent
    found = {str(file.relative_to(package)) for file in package.rglob("*.py") if printing.search(file.read_text())}
    assert found == {"terminal.py", "notices.py"}
