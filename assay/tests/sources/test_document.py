"""Every example of `docs/sources.md` is a table, a golden case's input and its rows, and comes out as it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from assay.golden.case import read_cases
from assay.golden.opened import opened_case
from assay.tables.graph import Graph

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "sources.md"
FENCE = re.compile(r"^(?:<!-- (?P<mark>\S+) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S)


@dataclass
class Example:
    """A table's file, its inputs by path, and the rows that come out, with the rejects after them."""

    title: str
    code: str
    inputs: dict[str, str] = field(default_factory=dict)
    rows: str = ""

    @property
    def table(self) -> str:
        return re.findall(r"^@table[^\n]*(?:\n[^\n]+)*?\ndef (\w+)\(", self.code, re.M)[0]


def examples(text: str) -> Iterator[Example]:
    """The examples of a document, in order."""
    found: Example | None = None
    for match in FENCE.finditer(text):
        mark, language, body = match["mark"] or "", match["language"], match["body"]
        if language == "python" and "@table(" in body:
            if found:
                yield found
            found = Example(re.findall(r"^## (.*)$", text[: match.start()], re.M)[-1], body)
        elif found and mark.startswith("inputs/"):
            found.inputs[mark] = body
        elif found and mark == "rows":
            found.rows = body
    if found:
        yield found


def outcome(example: Example, folder: Path) -> str:
    """The rows of the example's golden case and what was set aside, as the document writes them."""
    package = folder / "documented"
    (package / "extract").mkdir(parents=True)
    for file in (package, package / "extract"):
        (file / "__init__.py").write_text("")
    (package / "extract" / f"{example.table}.py").write_text(example.code)
    case = folder / "golden" / "case"
    for place, text in example.inputs.items():
        (case / place).parent.mkdir(parents=True, exist_ok=True)
        (case / place).write_text(text)
    (case / "case.yml").write_text(f"description: documented\ntables: [{example.table}]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        graph = Graph.load("documented", ("extract",))
        for name in [name for name in sys.modules if name.split(".")[0] == "documented"]:
            del sys.modules[name]
    (found,) = read_cases(folder / "golden")
    table = graph.tables[example.table]
    with opened_case(graph, found) as opened:
        errors = opened.build().errors
        if errors:
            return "".join(f"error: {error}\n" for error in errors.values())
        return "".join(_lines(opened.session.connection, opened.session.relation(table)))


def _lines(connection: duckdb.DuckDBPyConnection, relation: str) -> Iterator[str]:
    rows = connection.execute(f"FROM {relation}")
    yield ",".join(column[0] for column in rows.description or []) + "\n"
    for row in connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {relation}").fetchall():
        yield ",".join("" if value is None else value for value in row) + "\n"
    rejected = connection.execute(
        "SELECT reason_codes[1], source_file, source_line FROM quarantine.rejects ORDER BY 2, 3"
    ).fetchall()
    for reason, file, line in rejected:
        yield f"rejected: {reason} {file} {line}\n"


EXAMPLES = list(examples(DOCUMENT.read_text(encoding="utf-8"))) if DOCUMENT.exists() else []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.table)
def test_an_example_comes_out_as_the_document_says(example, tmp_path):
    assert example.inputs, f"'{example.title}' has no golden input"
    assert outcome(example, tmp_path) == example.rows


@pytest.mark.skipif(not EXAMPLES, reason="the document stands in the template's repository")
def test_an_example_that_is_wrong_is_seen(tmp_path):
    example = EXAMPLES[0]
    wrong = Example(example.title, example.code.replace("Decimal(9, 2)", "Decimal(9, 3)"), example.inputs, example.rows)
    assert outcome(wrong, tmp_path) != example.rows
