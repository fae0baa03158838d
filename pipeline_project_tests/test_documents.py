"""The reader of documents sees what is wrong in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline_project.cli import pipeline
from pipeline_project_tests import documents
from pipeline_project_tests.documents import Command

TEXT = """# Title

<!-- run: 1 -->
```console
$ pipeline run --help   # how
Usage: pipeline run
...
$ make run
```

```python
x = 1
```
"""


def test_blocks_are_read_with_their_commands_and_output(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(TEXT)
    console, python = documents.blocks(tmp_path / "a.md")
    assert (console.executed, console.exit_code, console.line) == (True, 1, 4)
    assert console.commands == [
        Command("pipeline run --help   # how", ("Usage: pipeline run", "...")),
        Command("make run", ()),
    ]
    assert (python.language, python.executed) == ("python", False)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("make run", None),
        ("PORT=1 make run ARGS=x", None),
        ("make runn", "make has no target runn"),
        ("pipeline run --upstream", None),
        ("PIPELINE_ENV=dry_run pipeline run", None),
        ("pipeline golden ordinary", None),
        ("pipeline health", None),
        ("pipeline golden accept ordinary/orders", None),
        ("pipeline golden --no-such-option", "No such option '--no-such-option'."),
        ("pipeline runn", "No such command 'runn'."),
        ("pipeline run --verbosely", "No such option '--verbosely'."),
        ("dagster job execute -m shop.definitions -j pipeline", None),
        ("dagster job exec", "No such command 'exec'."),
        ("dg list defs", None),
        ("dg list definitions", "No such command 'definitions'."),
        ("terraform plan", "unknown program terraform"),
    ],
)
def test_a_command_that_does_not_exist_is_seen(line: str, problem: str | None) -> None:
    found = documents.problem_with(Command(line, ()), {"run"}, pipeline)
    assert re.split(r" \(?Did you mean", found or "")[0] == (problem or "")


def test_a_command_in_a_sentence_and_a_quoted_file_are_read(tmp_path: Path) -> None:
    text = "`make runn` and `pipeline run TABLE`, not `pipeline`\n\n<!-- from src/a.py -->\n```python\nx = 1\n```\n"
    (tmp_path / "a.md").write_text(text)
    assert [command.line for command in documents.spoken_of(tmp_path / "a.md")] == ["make runn", "pipeline run TABLE"]
    (block,) = documents.blocks(tmp_path / "a.md")
    assert (block.origin, block.target, block.executed) == ("src/a.py", None, False)


def test_a_shell_keeps_what_is_exported_and_ends_what_it_started(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("<!-- to b.py -->\n```python\nx = 1\n```\n")
    assert [block.target for block in documents.blocks(tmp_path / "a.md")] == ["b.py"]
    with documents.Shell(tmp_path) as shell:
        assert shell.run("export GREETING=hello; sleep 600 &") == (0, "\n")
        assert shell.run("printf $GREETING; false") == (1, "hello\n")
        assert shell.run("cat") == (0, "\n"), "nothing is typed"
        assert not shell.process.stdout.closed
    assert shell.process.stdout.closed, "who still ran would hold it open"


def test_names_that_the_framework_does_not_have_are_seen() -> None:
    code = "from assay import daily, tabel\nfrom assay.sources import Csv as C\nC('a', 'b', delimiter=';', sep=',')\n"
    assert list(documents.misused_names(code)) == ["assay.tabel", "C(sep=)"]


def test_a_path_that_does_not_exist_is_seen(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    (tmp_path / "a.md").write_text(
        "[a](src/a.py#L1) [gone](src/gone.py) `src/a.py` `src/lost.py` `data/made.csv` `a/b` [web](https://a.b/c)\n"
    )
    assert list(documents.missing_paths(tmp_path / "a.md", tmp_path)) == ["src/gone.py", "src/lost.py"]


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        (("1 row in 0.2 s", "...", "done"), []),
        (("1   row in 9.1 s",), []),
        (("made 2027-02-03T04:05:06+01:00",), []),
        (("1 row in ...", "f...e"), []),
        (("f...d",), ["f...d"]),
        (("done", "1 row in 0.2 s"), ["1 row in 0.2 s"]),
        (("2 rows in 0.2 s",), ["2 rows in 0.2 s"]),
    ],
)
def test_shown_output_must_be_printed_in_that_order(shown: tuple[str, ...], missing: list[str]) -> None:
    assert documents.lines_not_printed(shown, "1 row in 0.7 s\nfine\nmade 2026-01-01T00:00:00+00:00\ndone\n") == missing


def test_a_line_may_leave_its_end_open() -> None:
    assert documents.lines_not_printed(("2 equal in ...", "done"), "2 equal in 3 cases, 9 s\ndone\n") == []
    assert documents.lines_not_printed(("2 equal in ...",), "3 equal in 3 cases\n") == ["2 equal in ..."]
