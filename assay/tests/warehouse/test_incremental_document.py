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


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_a_full_plan_shows_is_applied(little: Little) -> None:
    """Applied without --full it would not see the row below the watermark, and say that the result is not the plan."""
    file = little.root / "orders.csv"
    first, second = [body for mark, language, body in blocks() if language == "csv" and not mark]
    file.write_text(first)
    assert little.run("run", "orders")[0] == 0
    file.write_text(second.replace("3,,", "3,30.00,"))
    done = little.many(
        ("run", "orders"),
        ("plan", "orders", "--out", "some.plan"),
        ("plan", "orders", "--full", "--out", "full.plan"),
        ("apply", "full.plan"),
        ("plan", "orders", "--full", "--out", "same.plan"),
        ("apply", "full.plan"),
    )
    assert [code for code, _, _ in done] == [0, 0, 2, 0, 0, 1], done
    assert "order_id=1  amount  10.00 -> 11.00" in done[2][1]
    assert "the result is the plan" in done[3][1]
    assert "moved since the plan was made: the published orders" in done[5][2]
    with duckdb.connect(str(little.warehouse), read_only=True) as connection:
        (amount,) = connection.execute("SELECT amount::VARCHAR FROM extract.orders WHERE order_id = 1").fetchall()
        (book,) = connection.execute("SELECT watermark, code_version <> '' FROM ops.watermarks").fetchall()
    assert (amount, book) == (("11.00",), ("2026-03-02 11:20:00+00", True))


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
