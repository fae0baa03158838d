"""`docs/incremental.md` is what happens: its table is built, its files change, its golden case gives its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from assay.golden.case import read_cases
from assay.golden.opened import opened_case
from assay.tables.graph import Graph
from tests.little import Little

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "incremental.md"
FENCE = re.compile(r"^(?:<!-- (?P<mark>\S+) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S)


def blocks() -> Iterator[tuple[str, str, str]]:
    """Mark, language and body of every block, in order."""
    for match in FENCE.finditer(DOCUMENT.read_text(encoding="utf-8")):
        yield match["mark"] or "", match["language"], match["body"]


def plain(line: str) -> str:
    return re.sub(r"\d+\.\d+ s\b", "0.00 s", " ".join(line.split()))


@pytest.fixture
def little(tmp_path: Path) -> Little:
    little = Little(tmp_path)
    for name, code in zip(
        ("orders", "customers"), (b for _, language, b in blocks() if language == "python"), strict=True
    ):
        (tmp_path / "little" / "extract" / f"{name}.py").write_text(code)
    return little


def test_the_commands_print_what_is_shown(little: Little) -> None:
    done = 0
    for mark, language, body in blocks():
        if language == "csv" and not mark:
            (little.root / "orders.csv").write_text(body)
        elif language == "console":
            command, *shown = body.splitlines()
            code, out, err = little.run(*command.removeprefix("$ pipeline ").split())
            assert code == (2 if " plan" in command else 0), out + err
            printed = [plain(line) for line in out.splitlines()]
            assert [line for line in map(plain, shown) if line not in printed] == [], out
            done += 1
    assert done == 4
    with duckdb.connect(str(little.warehouse), read_only=True) as connection:
        rows = connection.execute("SELECT order_id, amount::VARCHAR FROM extract.orders ORDER BY 1").fetchall()
    assert rows == [(1, "11.00"), (2, "25.00"), (4, "40.00"), (5, "50.00")]


def test_the_golden_case_gives_the_rows_that_are_shown(little: Little, monkeypatch: pytest.MonkeyPatch) -> None:
    case = little.root / "golden" / "changes"
    case.mkdir(parents=True)
    text = "description: What changed\nnow: 2026-03-03T00:00:00Z\ntables: [orders, customers]\n"
    (case / "case.yml").write_text(text)
    for mark, _, body in blocks():
        if mark.startswith("inputs/"):
            (case / mark).parent.mkdir(parents=True, exist_ok=True)
            (case / mark).write_text(body)
    monkeypatch.syspath_prepend(str(little.root))
    graph = Graph.load("little", ("extract",))
    (found,) = read_cases(case.parent)
    with opened_case(graph, found) as opened:
        assert opened.build().ok
        for mark, _, body in blocks():
            if mark.startswith("rows/"):
                relation = opened.session.relation(graph.tables[mark.removeprefix("rows/")])
                listed = opened.session.connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {relation} ORDER BY ALL")
                shown = [" ".join("NULL" if text is None else text for text in row) for row in listed.fetchall()]
                assert shown == body.splitlines()
